"""What tests of engines compare, and what they wait for."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path

from helpers import stores
from lottery.runs.store import Store

LADDER = {"ladder": (0.5, 0.75), "arms": ("lt", "random", "random_mask", "shuffled", "finetune")}
ELSEWHERE = ("host", "worker")  # what another engine may change in a record, beside times
same = partial(stores.same, but=ELSEWHERE)


def begun(path: Path) -> Counter:
    return Counter(path.read_text().split()) if path.exists() else Counter()


def until(true, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.02)


def states(store: Store) -> list[Path]:
    return list(store.root.rglob("*.state.safetensors"))
