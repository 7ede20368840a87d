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

RUNGS = ((), (0.5,), (0.5, 0.75), (0.5, 0.75, 0.875), (0.5, 0.75, 0.875, 0.9375))
RUNGS += ((*RUNGS[-1], 0.969),)  # what is chosen, is chosen by the mean over dense and these
SHOWN = ("weight_decay", "schedule", "scope", "dropout", "word_dropout", "rewind_step")
HEADS = ("pair", "decay", "schedule", "scope", "dropout", "words", "θₖ", "seeds")
HEADS += ("dense", "50 %", "75 %", "87.5 %", "93.75 %", "96.9 %", "mean")


def records(*stores: str) -> list[Record]:
    """Of the trials and, last, of the study; a run may be in several, trained more than once."""
    folder = root() / "results"
    stores = stores or ("trials", "trials-gpu", "")
    found = [one for store in stores for one in Store(folder / store).records()[0]]
    return [one for one in found if not one.failed]


def tables() -> tuple[str, str]:
    """Of the ladders to 96.9 %; and of those that were tried on a GPU, which end before it."""
    tried = records("trials-gpu")
    return table(records()), table([*records(""), *tried], tried, RUNGS[:-1])


def table(
    found: list[Record],
    tops: list[Record] | None = None,
    rungs: tuple[tuple[float, ...], ...] = RUNGS,
) -> str:
    """One row a recipe of which the whole ladder was run, by pair and mean.

    `tops` (default: all found) has the ends of the ladders. Of a run found twice it is the later.
    """
    by_settings: dict[Settings, list[Record]] = defaultdict(list)
    recipes: dict[Settings, dict[int, Record]] = defaultdict(dict)
    for record in found:
        by_settings[record.settings].insert(0, record)
    for record in found if tops is None else tops:
        if record.settings.arm == "lt" and record.settings.ladder == rungs[-1]:
            recipes[replace(record.settings, seed=0)][record.settings.seed] = record
    rows = []
    for recipe, seeds in recipes.items():
        chains = [[_below(top, ladder, by_settings) for ladder in rungs] for top in seeds.values()]
        chains = [chain for chain in chains if None not in chain]
        if len(chains) < len(seeds):
            continue
        means = [statistics.fmean(accuracies) for accuracies in zip(*chains, strict=True)]
        cells = [f"{getattr(recipe, name):g}" if name in SHOWN[:1] else str(getattr(recipe, name))
                 for name in SHOWN]  # fmt: skip
        accuracies = [f"{100 * value:.2f}" for value in (*means, statistics.fmean(means))]
        name = f"{recipe.dataset} {recipe.model}"
        rows.append((name, -statistics.fmean(means), (name, *cells, str(len(seeds)), *accuracies)))
    heads = (*HEADS[: 8 + len(rungs)], HEADS[-1])
    lines = [heads, ("---",) * 4 + ("---:",) * (len(heads) - 4), *(row for *_, row in sorted(rows))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _below(
    top: Record, ladder: tuple[float, ...], by_settings: dict[Settings, list[Record]]
) -> float | None:
    """The accuracy of a ladder's rung below `top`, made on its machine if it was; None: not run."""
    arm = "lt" if ladder else "dense"
    there = by_settings[replace(top.settings, arm=arm, ladder=ladder).normal()]
    there = sorted(there, key=lambda record: record.device != top.device)
    return there[0].best.valid_accuracy if there else None


def written(text: str, new: tuple[str, ...]) -> str:
    """`text` with these tables in the places of those that begin like them."""
    old, rest = r"(?m)^\| pair \| decay .*\n(\|.*\n)+", iter(new)
    return re.sub(old, lambda _: next(rest) + "\n", text, count=len(new))


if __name__ == "__main__":
    page = root() / "docs" / "recipe.md"
    write_whole(page, written(page.read_text(encoding="utf-8"), tables()))
