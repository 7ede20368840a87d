"""A ticket's graph answers as the ticket does, whatever its model is made of."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from helpers.untrained import ticket
from lottery.files import UserError
from lottery.tickets import onnx as graphs
from lottery.tickets.ticket import padded


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("cnn", {}),
        ("cnn", {"widths": (2, 7)}),
        ("lstm", {}),
        ("lstm", {"layers": 2, "pooling": "mean"}),
        ("lstm", {"layers": 2, "directions": 1, "pooling": "last"}),
    ],
)
def test_another_runtime_gives_the_same_logits(model, options):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    made = ticket(model, **options)
    content = graphs.graph(made)
    texts = ["1 2 3", "", "7", " ".join(map(str, range(2, 250))), "4 999 5 6 8 9 10 11 12"]
    split = made.encode(texts)
    theirs = graphs.answer(runtime.InferenceSession(content), split)
    np.testing.assert_allclose(theirs, made.logits(split).numpy(), rtol=0, atol=1e-5)
    dense = 4 * made.trained["embedding.weight"].numel()
    assert len(content) < dense + 6000, "what is mostly pruned is stored sparse"
    other = ticket(model, **options)
    other.trained["output.bias"][1] += 1e-3
    with pytest.raises(UserError, match=r"logits are 0\.001 from ours"):
        graphs._check(runtime.InferenceSession(content), other)


def test_without_the_libraries_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="install this project's extra `onnx`"):
        graphs.libraries()


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
@pytest.mark.parametrize("directions", [1, 2])
def test_every_pooling_is_the_same_of_pytorchs_own_layers(pooling, directions):
    made = ticket("lstm", pooling=pooling, directions=directions, layers=2)
    split = made.encode(["5 6", "7", "8 9 10 11 12 13", "9 9 9"])
    with torch.no_grad():
        plain = made.to_torch()(*padded(split))
    torch.testing.assert_close(plain, made.logits(split), rtol=0, atol=1e-5)
