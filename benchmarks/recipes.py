"""The trials of recipes as a table: `python benchmarks/recipes.py` writes it into docs/recipe.md.

Validation accuracy of the best epoch alone; no test figure is read.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from dataclasses import replace

from lottery.files import root, write_whole
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.settings import Settings

RUNGS = (0.5, 0.75, 0.875, 0.9375, 0.969)  # what is chosen, is chosen by dense's and these' mean
SHOWN = ("weight_decay", "schedule", "scope", "dropout", "word_dropout", "rewind_step")
HEADS = ("pair", "decay", "schedule", "scope", "dropout", "word dropout", "θₖ", "a round", "seeds")
STEPS = ("dense", "50 %", "75 %", "87.5 %", "93.75 %", "96.9 %")
OF_DENSE = ("weight_decay", "schedule", "pooling", "layers", "embedding_size", "dropout")
OF_DENSE += ("word_dropout",)

Batches = dict[str, list[Record]]  # records by the folder in results/ that has them


def records(*names: str) -> Batches:
    """Of the trials and, last, of the study; a run may be in several, trained more than once."""
    folder = root() / "results"
    return {
        name: [one for one in Store(folder / name).records()[0] if not one.failed]
        for name in names or ("trials", "trials-gpu", "trials-gpu-2", "")
    }


def tables() -> tuple[str, str, str]:
    """Of the ladders to 96.9 %; of those on a GPU that end before it; of dense networks there."""
    return (
        table(records()),
        table(records("", "trials-gpu"), ("trials-gpu",), RUNGS[:-1]),
        alone(records("screen-gpu")["screen-gpu"]),
    )


def table(
    found: Batches,
    tops: tuple[str, ...] = (),
    rungs: tuple[float, ...] = RUNGS,
) -> str:
    """One row a recipe of which the whole ladder was run, by pair and mean.

    `tops` (default: all) have the ends of the ladders. Of a run found twice it is the later. A
    ladder may have rungs between these: as many rounds to each, of which *a round* is the share.
    """
    by_settings: dict[Settings, list[tuple[str, Record]]] = defaultdict(list)
    recipes: dict[Settings, dict[int, tuple[str, Record]]] = defaultdict(dict)
    for name, some in found.items():
        for record in some:
            settings = record.settings
            by_settings[settings].insert(0, (name, record))
            whole = settings.ladder[-1:] == rungs[-1:] and set(rungs) <= set(settings.ladder)
            if name in (tops or found) and settings.arm == "lt" and whole:
                recipes[replace(settings, seed=0)][settings.seed] = name, record
    rows = []
    for recipe, seeds in recipes.items():
        ends = (0, *(recipe.ladder.index(rung) + 1 for rung in rungs))
        ladders = [recipe.ladder[:end] for end in ends]
        a_round = 1 - 0.5 ** (len(rungs) / len(recipe.ladder))
        chains = [
            [_below(*top, ladder, by_settings) for ladder in ladders] for top in seeds.values()
        ]
        chains = [chain for chain in chains if None not in chain]
        if len(chains) < len(seeds):
            continue
        means = [statistics.fmean(accuracies) for accuracies in zip(*chains, strict=True)]
        said = (*_said(recipe, SHOWN), f"{100 * a_round:.0f} %", len(seeds))
        cells = (*said, *_percent(*means, statistics.fmean(means)))
        rows.append((recipe.pair, -statistics.fmean(means), cells))
    return _lines((*HEADS, *STEPS[: 1 + len(rungs)], "mean"), rows, 4)


def alone(dense: list[Record]) -> str:
    """One row a recipe of which the dense network was trained alone, by pair and mean."""
    recipes: dict[Settings, list[float]] = defaultdict(list)
    for record in dense:
        recipes[replace(record.settings, seed=0)].append(record.best.valid_accuracy)
    rows = []
    for recipe, all_of in recipes.items():
        mean = statistics.fmean(all_of)
        apart = _percent(min(all_of), max(all_of))
        cells = (*_said(recipe, OF_DENSE), len(all_of), *_percent(mean), " to ".join(apart))
        rows.append((recipe.pair, -mean, cells))
    heads = ("pair", "decay", "schedule", "pooling", "layers", "vectors", "dropout", "word dropout")
    return _lines((*heads, "seeds", "mean", "from … to"), rows, 4)


def _said(recipe: Settings, names: tuple[str, ...]) -> list[str]:
    values = [getattr(recipe, name) for name in names]
    return [" ".join(recipe.pair), f"{values[0]:g}", *map(str, values[1:])]


def _percent(*shares: float) -> list[str]:
    return [f"{100 * share:.2f}" for share in shares]


def _lines(heads: tuple[str, ...], rows: list[tuple], words: int) -> str:
    """A table of `rows` (pair, place, cells), its first `words` columns to the left."""
    body = (cells for *_, cells in sorted(rows, key=lambda row: row[:2]))
    lines = [heads, ("---",) * words + ("---:",) * (len(heads) - words), *body]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _below(
    name: str,
    top: Record,
    ladder: tuple[float, ...],
    by_settings: dict[Settings, list[tuple[str, Record]]],
) -> float | None:
    """The accuracy of a ladder's rung below `top` of the batch `name`; None: not run.

    Made in the same batch and on the same machine if it was."""
    arm = "lt" if ladder else "dense"
    there = by_settings[replace(top.settings, arm=arm, ladder=ladder).normal()]
    there = sorted(there, key=lambda one: (one[0] != name, one[1].device != top.device))
    return there[0][1].best.valid_accuracy if there else None


def written(text: str, new: tuple[str, ...]) -> str:
    """`text` with these tables in the places of those that begin like them."""
    old, rest = r"(?m)^\| pair \| decay .*\n(\|.*\n)+", iter(new)
    return re.sub(old, lambda _: next(rest) + "\n", text, count=len(new))


if __name__ == "__main__":
    page = root() / "docs" / "recipe.md"
    write_whole(page, written(page.read_text(encoding="utf-8"), tables()))
