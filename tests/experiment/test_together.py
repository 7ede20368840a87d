"""Processes at once on one results folder: nothing twice, nothing lost, nobody in the way."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter

import pytest

from helpers.children import Child, run, study
from lottery.experiment.bars import Bars
from lottery.experiment.shelf import Busy
from lottery.report import page as report
from lottery.runs.store import Store
from lottery.upkeep.clean import clean
from lottery.upkeep.places import is_held
from lottery.upkeep.status import standings
from lottery.upkeep.verify import verify

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals"),
]


def test_eight_at_once_train_every_run_once(tmp_path):
    store = Store(tmp_path / "demo")
    ladders = (("0.5",), ("0.5", "0.75"), ("0.5", "0.75", "0.9"))
    asked = [(ladders[n % 3], ("lt", "random")[: 1 + n % 2], n // 6) for n in range(8)]
    children = [
        Child(
            run(store.root, "--sparsity", *ladder, arms=arms, seed=seed), tmp_path / f"log{number}"
        )
        for number, (ladder, arms, seed) in enumerate(asked)
    ]
    assert [child.wait() for child in children] == [0] * 8, [child.said for child in children]
    wanted = {
        settings.run
        for ladder, arms, seed in asked
        for settings in study(
            store.root, tuple(map(float, ladder)), arms=arms, seeds=(seed,)
        ).plan()
    }
    trained = Counter(
        line
        for child in children
        if child.trained.exists()
        for line in child.trained.read_text().split()
    )
    assert len(wanted) > 8
    assert trained == dict.fromkeys(wanted, 1)
    records, unread = store.records()
    assert {record.run for record in records} == wanted
    assert unread == []
    report.write(store, say=[].append)
    assert verify(store) == (len(wanted), [], [])
    assert list(store.root.rglob("*.state.safetensors")) == []
    assert list(store.root.rglob("*.tmp")) == []


def test_a_run_that_is_held_blocks_no_other_and_is_free_once_its_process_is_dead(tmp_path):
    options = {"arms": ("lt",), "epochs": 300}
    child = Child(run(tmp_path / "results", **options), tmp_path / "log")
    assert child.wait_for_training()
    child.send(signal.SIGSTOP)  # alive, and not moving
    try:
        made = study(tmp_path / "results", seeds=(0,), **options)
        dense = made.plan()[0]
        assert is_held(made.store.lock_path(dense))
        with Bars(2, "held") as bars:
            undone = made.climb(made.plan(), bars)
        assert list(undone) == made.plan(), "the ticket stands on the held run"
        assert all(isinstance(why, Busy) for why in undone.values())
        with pytest.raises(Busy), made.shelf.hold(dense):
            pass
        other = study(tmp_path / "results", arms=("random",), seeds=(1,))
        assert len(other.run()) == 2
        assert clean(made.store)["locks"][0] == 2, "the other study's own"
        (standing,) = standings(made.store)[0]
        assert [unfinished.running for unfinished in standing.unfinished] == [True]
    finally:
        assert child.kill() == -signal.SIGKILL
    lock = made.store.lock_path(dense)
    assert lock.exists(), "nobody removed it"
    assert not is_held(lock)
    short = study(tmp_path / "results", arms=("lt",), epochs=2)
    assert len(short.run()) == 2
    with made.shelf.hold(dense):
        assert is_held(lock), "what is held here is held for all"
    assert os.path.exists(lock)
