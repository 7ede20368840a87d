from __future__ import annotations

from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
import pytest

from helpers.synthetic import record, study, world
from lottery import load
from lottery.analysis import frame, groups, shares
from lottery.files import UserError
from lottery.pruning.tally import Words
from lottery.runs.store import Store
from lottery.settings import Settings


def test_every_setting_is_a_column_with_the_records_values():
    records = [record(kept_dense=("embedding.weight",), arm="lt", ladder=(0.5,), score="magnitude")]
    records.append(record("agnews", "lstm", weight_decay=1e-5, schedule="linear", hidden=64))
    made = frame.frame(records)
    assert [f.name for f in fields(Settings)] == list(made.columns)[: len(fields(Settings))]
    for one, row in zip(records, made.to_dict("records"), strict=True):
        assert {name: row[name] for name in frame.SETTINGS} == asdict(one.settings)
        assert row["run"] == one.run
        assert row["rung"] == one.settings.rung
        assert row["sparsity"] == one.sparsity
        assert row["valid_loss"] == one.best.valid_loss
        assert row["test_accuracy"] == one.test_accuracy


def test_a_folder_is_read_and_its_failed_and_unreadable_runs_are_left_out(tmp_path):
    records = study(seeds=(0, 1))
    store = Store(tmp_path)
    for one in records:
        store.put(one)
    none = {"test_loss": None, "test_accuracy": None, "test_correct": "", "best_epoch": 0}
    store.put(replace(record(seed=9), failed="the loss is nan", **none))
    store.record_path(record(seed=10).settings).write_text("{")
    with pytest.warns(UserWarning, match="is not valid JSON; mend it or move it away") as said:
        made = load(tmp_path)
    assert len(said) == 1 and said[0].filename == __file__
    assert sorted(made.run) == sorted(one.run for one in records)


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path):
    (tmp_path / "results" / "runs").mkdir(parents=True)
    assert list(load(tmp_path / "results").columns) == frame.COLUMNS
    for name in ("reslts", "results/runs"):
        with pytest.raises(UserError, match=f"{name}': is no results folder; name one with runs/"):
            load(tmp_path / name)
    with pytest.raises(UserError, match="results 3 is no folder: give its path as a str or a Path"):
        load(3)


def test_a_row_for_each_epoch():
    one = record(arm="lt", ladder=(0.5,))
    made = frame.frame([one, record()], epochs=True)
    assert list(made.epoch) == [1, 2, 3, 1, 2, 3]
    first = made[made.run == one.run]
    for name in ("train_loss", "valid_accuracy", "seconds"):
        assert list(first[name]) == [getattr(epoch, name) for epoch in one.history]
    assert set(first.test_accuracy) == {one.test_accuracy}


def test_what_was_right_is_an_array_a_run():
    records = [record(accuracy=0.7), record(seed=1, accuracy=0.8)]
    made = frame.frame(records, correct=True)
    for one, correct in zip(records, made.correct, strict=True):
        assert correct.dtype == bool
        np.testing.assert_array_equal(correct, one.correct)
    assert "correct" not in frame.frame(records)


def test_labels_and_rows_are_those_of_the_report():
    plain, late = record(arm="lt", ladder=(0.5,)), record(arm="lt", ladder=(0.5,), rewind_step=9)
    records = [plain, late, record(max_tokens=50)]
    made = frame.frame(records)
    assert list(made.label) == ["lt init", "lt init, rewind_step 9", "dense"]
    assert list(made.in_report) == [True, True, False]


def test_group_figures_are_those_of_the_frame():
    records = study(seeds=(0, 1, 2))
    made = frame.frame(records)
    for group in groups.groups(records):
        own = made[(made.model == group.settings.model) & (made.arm == group.settings.arm)]
        assert group.seeds == len(own) == 3
        for column in ("test_accuracy", "valid_loss", "seconds"):
            assert group.mean(column) == pytest.approx(own[column].mean(), rel=1e-12)
            assert group.sd(column) == pytest.approx(own[column].std(ddof=1), abs=1e-12)


def test_the_csv_gives_the_frame_again(tmp_path):
    made = frame.frame(world({"lt": (0, 0)}, seeds=(0, 1)))
    made.to_csv(tmp_path / "runs.csv", index=False)
    again = pd.read_csv(tmp_path / "runs.csv")
    assert list(again.columns) == list(made.columns)
    np.testing.assert_array_equal(again.test_accuracy, made.test_accuracy)
    assert list(again.ladder) == [str(steps) for steps in made.ladder]


# What is inside a mask


def counted(vanished, words, **options):
    layers = {"embedding.weight": 8000, "output.weight": 500}
    return replace(record(layers=layers, **options), vanished=vanished, words=tuple(words))


def test_shares_of_rows_and_of_vanished_weights_by_hand():
    words = [Words(0, 10, 50, 0), Words(4, 50, 250, 10), Words(256, 20, 1200, 100)]
    one = counted({"embedding.weight": 110, "output.weight": 60}, words)
    # 80 words share 8,000 weights, 100 each.
    assert shares.kept([one], 0, 8) == pytest.approx(300 / 6000)
    assert shares.kept([one], 4, 256) == pytest.approx(250 / 5000), "fewer than 256 times"
    assert shares.kept([one], 256, float("inf")) == pytest.approx(1200 / 2000)
    assert shares.vanished([one]) == pytest.approx(170 / 8500)
    more = replace(one, words=(Words(4, 80, 800, 0),), vanished={"embedding.weight": 0})
    assert shares.kept([one, more], 4, 8) == pytest.approx(1050 / 13_000)
    assert shares.vanished([one, more]) == pytest.approx(170 / 17_000)


def test_records_that_did_not_count_say_nothing():
    assert shares.kept([record()], 0, 8) is None
    assert shares.vanished([record()]) is None
    assert shares.kept([counted({}, [Words(4, 80, 800, 0)])], 256, float("inf")) is None


def test_macro_f1_is_the_records():
    one = record("mine", correct=np.arange(6) < 4)
    about = {"labels": {"test": [4, 2]}, "classes": ["a", "b"], "length": 9}
    counts = {"said": [6, 0], "right": [4, 0]}
    made = frame.frame([replace(one, data=one.data | about, by_class=counts)])
    assert list(made.macro_f1) == [pytest.approx((2 * 4 / (4 + 6) + 0) / 2)]  # accuracy is 4 / 6
