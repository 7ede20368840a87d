"""What a results folder says, for comparing two of them."""

from __future__ import annotations

import json

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


def same(one: Store, other: Store) -> None:
    assert content(one) == content(other)
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name, (tensors, facts) in a.items():
        assert facts == b[name][1]
        assert tensors.keys() == b[name][0].keys()
        assert all(torch.equal(t, b[name][0][n]) for n, t in tensors.items())
