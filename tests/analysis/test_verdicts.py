"""The table of verdicts says what the report's marks say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lottery
from helpers.synthetic import record, right, study, world
from lottery.analysis import verdict, verdicts
from lottery.files import UserError
from lottery.runs.store import Store


def test_every_question_that_was_run_has_its_row():
    records = world({"lt": (0, -2), "random": (-2, -2)})
    found = verdicts.table(records)
    facts = [
        (rung.sparsity, question, fact)
        for pair in verdict.ladders(records)
        for rung in pair.rungs
        for question, fact in rung.facts.items()
        if fact.seeds
    ]
    assert len(found) == len(facts) > 4
    for (_, row), (sparsity, question, fact) in zip(found.iterrows(), facts, strict=True):
        assert (row.sparsity, row.question, row.state) == (sparsity, question, fact.state)
        assert (row["mean"], row.low, row.high) == (
            fact.interval.mean,
            fact.interval.low,
            fact.interval.high,
        )
        assert row.seeds == fact.seeds and row.lucky == fact.interval.is_lucky
        assert (None if pd.isna(row.needed) else row.needed) == fact.needed
    assert set(found[found.question == "ticket"].state) == {"yes", "no"}


def test_differences_are_shares_of_the_test_texts_paired_by_seed():
    dense = [record(seed=seed, correct=right(0.9, seed, "a")) for seed in range(3)]
    ticket = [
        record(arm="lt", ladder=(0.5,), seed=seed, correct=right(0.88, seed, "a"))
        for seed in range(3)
    ]
    (row,) = verdicts.table([*dense, *ticket]).query("question == 'ticket'").itertuples()
    assert row.mean == pytest.approx(np.mean([t.test_accuracy - 0.9 for t in ticket]))
    assert row.low < row.mean < row.high and row.seeds == 3


def test_it_is_read_from_a_folder_and_is_the_file_beside_the_report(tmp_path):
    store = Store(tmp_path / "results")
    late = [replace(r, settings=replace(r.settings, rewind_step=5)) for r in study()]
    for one in [*study(seeds=(0, 1)), *(r for r in late if r.settings.arm == "lt")]:
        store.put(one)
    found = lottery.verdicts(tmp_path / "results")
    assert set(found.tickets) == {"", "rewind_step 5"}
    from lottery.report import page

    page.write(store, say=[].append)
    written = pd.read_csv(tmp_path / "results" / "verdicts.csv", keep_default_na=False)
    assert list(written) == list(found) and len(written) == len(found)
    assert written["mean"].tolist() == found["mean"].tolist()
    with pytest.raises(UserError, match="is no results folder"):
        lottery.verdicts(tmp_path)


def test_a_row_names_its_pair_and_the_seeds_whose_masks_differ():
    records = [
        replace(r, mask=("b" if (r.settings.arm, r.settings.seed) == ("random", 2) else "a") * 64)
        for r in world({"lt": (0,), "random": (-2,)}, dataset="agnews", model="lstm")
    ]
    found = verdicts.table(records)
    assert set(zip(found.dataset, found.model, strict=True)) == {("agnews", "lstm")}
    rows = found.set_index("question")[["seeds", "apart"]]
    assert rows.loc[verdict.FIRST_VALUES].tolist() == [4, 1]
    assert rows.loc[verdict.TICKET].tolist() == [5, 0]
