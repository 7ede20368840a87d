"""Tickets that were never trained."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from lottery import Ticket, data, models
from lottery.settings import Settings
from lottery.tickets.folder import Contents

WORDS = 300


def ticket(model: str, classes: str = "abcd", **options) -> Ticket:
    """Random weights of which a fifth is kept, biases among them; a letter a class."""
    settings = Settings("demo-news", model, embedding_size=12, filters=6, hidden=9, **options)
    draw = torch.Generator().manual_seed(0)
    weights = models.draw(models.build(settings, WORDS, data.outputs(len(classes))), 1)
    mask = {n: torch.rand(w.shape, generator=draw) > 0.8 for n, w in weights.items() if w.dim() > 1}
    for name, weight in weights.items():
        bias = torch.randn(weight.shape, generator=draw) / 10
        weight.copy_(weight * mask[name] if name in mask else bias)
    about = SimpleNamespace(settings=settings, data={})  # of a record
    return Ticket(Contents(about, tuple(classes), tuple(map(str, range(WORDS))), weights, mask))
