"""What tests of engines compare, and what they wait for."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import torch

from helpers.stores import content, weights
from lottery.runs.store import Store

LADDER = {"ladder": (0.5, 0.75), "arms": ("lt", "random", "random_mask", "shuffled", "finetune")}
ELSEWHERE = ("host", "worker")  # what another engine may change in a record, beside times


def same(one: Store, other: Store) -> None:
    """Records alike but for time, host and worker; weights to the bit."""
    a, b = content(one), content(other)
    for records in (a, b):
        for values in records.values():
            for name in ELSEWHERE:
                values.pop(name)
    assert a == b
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name, (tensors, facts) in a.items():
        assert facts == b[name][1]
        assert all(torch.equal(t, b[name][0][n]) for n, t in tensors.items())


def begun(path: Path) -> Counter:
    return Counter(path.read_text().split()) if path.exists() else Counter()


def until(true, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.02)


def states(store: Store) -> list[Path]:
    return list(store.root.rglob("*.state.safetensors"))
