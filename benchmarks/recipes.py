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
    """Of the study and of the trials; a run that is in both is the study's."""
    folder = root() / "results"
    stores = (Store(folder / "trials"), Store(folder))
    found = {record.run: record for store in stores for record in store.records()[0]}
    return [record for record in found.values() if not record.failed]


def table(found: list[Record]) -> str:
    """One row a recipe of which the whole ladder to 96.9 % was run, by pair and mean."""
    by_settings = {record.settings: record for record in found}
    tops = [s for s in by_settings if s.arm == "lt" and s.ladder == RUNGS[-1]]
    recipes: dict[Settings, list[Settings]] = defaultdict(list)
    for top in tops:
        recipes[replace(top, seed=0)].append(top)
    rows = []
    for recipe, seeds in recipes.items():
        means = [_mean([_below(top, ladder) for top in seeds], by_settings) for ladder in RUNGS]
        if None in means:
            continue
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


def _below(top: Settings, ladder: tuple[float, ...]) -> Settings:
    arm = "lt" if ladder else "dense"
    return replace(top, arm=arm, ladder=ladder).normal()


def _mean(wanted: list[Settings], by_settings: dict[Settings, Record]) -> float | None:
    """Over the seeds; None if one of them lacks the run."""
    if not all(settings in by_settings for settings in wanted):
        return None
    return statistics.fmean(by_settings[settings].best.valid_accuracy for settings in wanted)


def written(text: str, found: list[Record]) -> str:
    """`text` with the table that begins like ours in the place of the old one."""
    old = r"(?m)^\| pair \| decay .*\n(\|.*\n)+"
    return re.sub(old, lambda _: table(found) + "\n", text, count=1)


if __name__ == "__main__":
    page = root() / "docs" / "recipe.md"
    write_whole(page, written(page.read_text(encoding="utf-8"), records()))
