"""What a results folder says, for comparing two of them."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch

from lottery import files
from lottery.runs.store import Store


def content(store: Store) -> dict:
    """All that a store says, without the time it took."""
    found = {}
    for path in store.paths():
        values = json.loads(path.read_text())
        for name in ("seconds", "sha256"):
            values.pop(name)
        for epoch in values["history"]:
            epoch.pop("seconds")
        found[path.name] = values
    return found


def weights(store: Store) -> dict:
    return {
        path.name: files.load(path)
        for path in sorted((store.root / "checkpoints").glob("*/*/*.safetensors"))
        if ".state." not in path.name
    }


def same(one: Store, other: Store, but: Iterable[str] = ()) -> None:
    """Records alike, but for time and these fields; weights to the bit."""
    found = [content(store) for store in (one, other)]
    for values in (values for records in found for values in records.values()):
        for name in but:
            values.pop(name)
    assert found[0] == found[1]
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name, (tensors, facts) in a.items():
        assert facts == b[name][1]
        assert tensors.keys() == b[name][0].keys()
        assert all(torch.equal(t, b[name][0][n]) for n, t in tensors.items())
