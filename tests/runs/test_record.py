"""A record that contradicts itself is one clear line, whatever stands in it."""

from __future__ import annotations

import json

import pytest

from helpers.synthetic import record
from lottery.runs.store import Store


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
