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


def records() -> list[Record]:
    """Of the trials and of the study; a run may be in both, made on two machines."""
    folder = root() / "results"
    stores = (Store(folder / "trials"), Store(folder))
    return [one for store in stores for one in store.records()[0] if not one.failed]


def table(found: list[Record]) -> str:
    """One row a recipe of which the whole ladder to 96.9 % was run, by pair and mean."""
    by_settings: dict[Settings, list[Record]] = defaultdict(list)
    recipes: dict[Settings, dict[int, Record]] = defaultdict(dict)
    for record in found:
        by_settings[record.settings].append(record)
        if record.settings.arm == "lt" and record.settings.ladder == RUNGS[-1]:
            # Of two machines' it is the study's, which come last.
            recipes[replace(record.settings, seed=0)][record.settings.seed] = record
    rows = []
    for recipe, seeds in recipes.items():
        chains = [[_below(top, ladder, by_settings) for ladder in RUNGS] for top in seeds.values()]
        chains = [chain for chain in chains if None not in chain]
        if len(chains) < len(seeds):
            continue
        means = [statistics.fmean(accuracies) for accuracies in zip(*chains, strict=True)]
        cells = [f"{getattr(recipe, name):g}" if name in SHOWN[:1] else str(getattr(recipe, name))
                 for name in SHOWN]  # fmt: skip
        accuracies = [f"{100 * value:.2f}" for value in (*means, statistics.fmean(means))]
        name = f"{recipe.dataset} {recipe.model}"
        rows.append((name, -statistics.fmean(means), (name, *cells, str(len(seeds)), *accuracies)))
    lines = [
        HEADS,
        ("---",) * 2 + ("---",) * 2 + ("---:",) * 11,
        *(row for *_, row in sorted(rows)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _below(
    top: Record, ladder: tuple[float, ...], by_settings: dict[Settings, list[Record]]
) -> float | None:
    """The accuracy of a ladder's rung below `top`, made on its machine if it was; None: not run."""
    arm = "lt" if ladder else "dense"
    there = by_settings[replace(top.settings, arm=arm, ladder=ladder).normal()]
    there = sorted(there, key=lambda record: record.device != top.device)
    return there[0].best.valid_accuracy if there else None


def written(text: str, found: list[Record]) -> str:
    """`text` with the table that begins like ours in the place of the old one."""
    old = r"(?m)^\| pair \| decay .*\n(\|.*\n)+"
    return re.sub(old, lambda _: table(found) + "\n", text, count=1)


if __name__ == "__main__":
    page = root() / "docs" / "recipe.md"
    write_whole(page, written(page.read_text(encoding="utf-8"), records()))
