"""A ticket's graph answers as the ticket does, whatever its model is made of."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lottery import models
from lottery.files import UserError
from lottery.settings import Settings
from lottery.tickets import onnx as graphs
from lottery.tickets.folder import Contents
from lottery.tickets.ticket import Ticket

WORDS = 300


def ticket(model: str, **options) -> Ticket:
    """Random weights of which a fifth is kept, biases among them."""
    settings = Settings("demo-news", model, embedding_size=12, filters=6, hidden=9, **options)
    draw = torch.Generator().manual_seed(0)
    weights = models.draw(models.build(settings, WORDS, 4), 1)
    mask = {n: torch.rand(w.shape, generator=draw) > 0.8 for n, w in weights.items() if w.dim() > 1}
    for name, weight in weights.items():
        bias = torch.randn(weight.shape, generator=draw) / 10
        weight.copy_(weight * mask[name] if name in mask else bias)
    words = tuple(map(str, range(WORDS)))
    return Ticket(Contents(SimpleNamespace(settings=settings), tuple("abcd"), words, weights, mask))


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
