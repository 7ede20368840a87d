"""A record that contradicts itself is one clear line, whatever stands in it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from helpers.synthetic import record, study
from lottery.files import UserError
from lottery.runs.record import Record
from lottery.runs.store import Store, table


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values["layers"].update({"output.weight": [float("inf"), 500]}),
        lambda values: values.update(test_loss=10**400),
        lambda values: values["history"][0].update(train_loss=10**400),
    ],
)
def test_numbers_beyond_all_bounds_are_one_clear_line(tmp_path, damage):
    store, one = Store(tmp_path), record()
    store.put(one)
    path = store.record_path(one.settings)
    values = json.loads(path.read_text())
    damage(values)
    path.write_text(json.dumps(values))
    records, (line,) = store.records()
    assert records == [] and line.startswith(f"{path}: has a field of the wrong shape (")
    assert "\n" not in line


def test_records_stand_by_rung_arm_and_seed(tmp_path):
    store = Store(tmp_path)
    for one in study(ladder=(0.5, 0.75), seeds=range(5), models=("cnn",))[::-1]:
        store.put(one)
    keys = [(r.settings.rung, r.settings.arm, r.settings.seed) for r in store.records()[0]]
    assert len(keys) == 25 and keys == sorted(keys)


def epochs(values, *numbers):
    for epoch, number in zip(values["history"], numbers, strict=True):
        epoch["epoch"] = number


EMBEDDING = "embedding.weight"  # 8,000 weights of 80 words, half of them kept
WORDS = [{"least": 1, "words": 60, "kept": 2500, "vanished": 9},
         {"least": 2, "words": 20, "kept": 1500, "vanished": 1}]  # fmt: skip


def less(name, by=1):
    """A change of the first words' `name`, which then adds up no more."""
    return lambda values: values["words"][0].update({name: WORDS[0][name] - by})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: None, ""),
        (lambda values: values.update(best_epoch=3), "not the epoch of lowest validation loss"),
        (lambda values: values.update(test_accuracy=0.901), "not the mean of 'test_correct'"),
        (lambda values: epochs(values, 1, 3, 2), "'history' and 'best_epoch' do not fit"),
        (lambda values: epochs(values, 0, 1, 2), "'history' and 'best_epoch' do not fit"),
        (lambda values: values["vanished"].update({EMBEDDING: 4001}), "'vanished' counts more"),
        (lambda values: values["vanished"].update({EMBEDDING: -1}), "'vanished' counts more"),
        (lambda values: values["vanished"].update({"no.weight": 0}), "'vanished' counts more"),
        (less("kept"), "'words' does not add up"),
        (less("vanished"), "'words' does not add up"),
        (lambda values: values["data"]["rows"].pop("valid"), "must count train, valid and test"),
        (lambda values: values["data"].pop("generated"), "'data' lacks 'generated'"),
    ],
)
def test_counts_that_do_not_fit_are_refused(change, said):
    values = json.loads(json.dumps(record(arm="lt", ladder=(0.5,)).to_json()))
    values |= {"vanished": {EMBEDDING: 10}, "words": json.loads(json.dumps(WORDS))}
    change(values)
    if not said:
        assert Record.from_json(values).kept[EMBEDDING] == 4000
        return
    with pytest.raises(UserError, match=said):
        Record.from_json(values)


@pytest.mark.parametrize(
    ("said", "right", "fits"),
    [
        ([500, 500], [500, 400], True),
        ([400, 600], [500, 400], False),  # the first is right more often than it was said
        ([700, 300], [650, 250], False),  # and than there are texts of it
        ([500, 500], [500, 399], False),  # 900 texts are right
        ([500, 499], [500, 400], False),  # of 1,000 texts
        ([550, 450], [-1, 901], False),
    ],
)
def test_no_class_is_right_more_often_than_it_was_said_or_has_texts(said, right, fits):
    values = record().to_json()
    values["data"] |= {"classes": ["a", "b"], "labels": {"test": [600, 400]}}
    values["by_class"] = {"said": said, "right": right}
    if fits:
        assert Record.from_json(values).macro_f1 == pytest.approx((1000 / 1100 + 800 / 900) / 2)
        return
    with pytest.raises(UserError, match="'by_class' does not add up"):
        Record.from_json(values)


def test_a_table_has_each_figure_under_its_own_head():
    one = record(accuracy=0.8)
    one = replace(one, history=tuple(replace(e, valid_accuracy=0.7) for e in one.history))
    (row,) = table([one]).to_dict("records")
    assert (row["valid_accuracy"], row["test_accuracy"]) == (0.7, 0.8)
    assert (row["sparsity"], row["seed"], row["seconds"]) == (0, 0, 90)


def test_a_failed_record_with_figures_is_refused():
    with pytest.raises(UserError, match="it failed, and yet has figures"):
        Record.from_json(record().to_json() | {"failed": "the loss is nan"})


def test_bits_that_are_too_many_are_refused():
    one = record()
    longer = base64.b64encode(base64.b64decode(one.test_correct) + b"\xff").decode()
    with pytest.raises(UserError, match="does not hold one bit for each test row"):
        Record.from_json(one.to_json() | {"test_correct": longer})
