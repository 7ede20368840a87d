"""What the documents say of records is what the records say."""

from __future__ import annotations

import re
from importlib import util

from lottery.files import root
from lottery.runs.store import Store
from lottery.settings import table
from lottery.upkeep.verify import verify


def test_no_figure_of_the_report_is_a_hole():
    page = (root() / "week9.md").read_text()
    assert not re.search(r"\b(nan|none|null|inf|todo)\b", page, re.IGNORECASE)


def test_the_report_is_made_from_the_records_that_lie_beside_it():
    count, wrong, _ = verify(Store(root() / "results"))
    assert count > 100
    assert wrong == []


def test_the_recipes_figures_are_those_of_their_records():
    folder = root() / "results"
    stores = {"": Store(folder), "trials ": Store(folder / "trials")}
    records = {(k, r.run): r for k, store in stores.items() for r in store.records()[0]}
    runs = [run for _, run in records]
    assert len(runs) == len(set(runs))  # a trial is no part of the study
    rows = re.findall(
        r"([\d.]+)\**\s*\|\s*\**([\d.]+) %\**\s*\|\s*(trials )?`(\w{12})`",
        (root() / "docs" / "recipe.md").read_text(),
    )
    assert len(rows) >= 17
    for loss, accuracy, place, run in rows:
        best = records[place, run].best
        assert (f"{best.valid_loss:.4f}", f"{best.valid_accuracy:.2%}") == (loss, f"{accuracy}%")


def test_the_settings_table_is_the_settings():
    assert table() in (root() / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_trials_table_is_that_of_the_records():
    path = root() / "benchmarks" / "recipes.py"
    spec = util.spec_from_file_location("recipes_table", path)
    recipes = util.module_from_spec(spec)
    spec.loader.exec_module(recipes)
    text = (root() / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert recipes.table(recipes.records()) in text
