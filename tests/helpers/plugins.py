"""Code from outside, as a file and as a notebook's cells, and the registries as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lottery.plugins import register

SCORE = '''
import lottery
from torch import tanh

ALPHA = 0.5


def squash(x):
    return tanh(ALPHA * x)


@lottery.score(means="squashed")
def mine(context):
    """A rule."""
    return {name: squash(w.abs() - 1e-3) for name, w in context.weights.items()}
'''
ARM = """
import lottery
from lottery.pruning.tickets import Ticket


@lottery.arm(label="only signs", means="places and signs alone", look={"linestyle": ":"})
def signs(origins):
    size = {name: weight.std(correction=0) for name, weight in origins.first.items()}
    first = {name: w.sign() * size[name] for name, w in origins.first.items()}
    return Ticket(first, origins.mask)
"""
MODEL = """
import lottery
from torch import nn


@lottery.model(label="Bag of words")
class Bag(lottery.Model):
    def __init__(self, settings, words, outputs):
        super().__init__()
        self.embedding = nn.EmbeddingBag(words, settings.embedding_size)
        self.drop = nn.Dropout(settings.dropout)
        self.output = nn.Linear(settings.embedding_size, outputs)

    def forward(self, batch, noise=None):
        return self.output(self.drop(self.embedding(batch.ids, batch.offsets[:-1])))
"""


@contextmanager
def nothing_left() -> Iterator[None]:
    """What is registered meanwhile is forgotten."""
    known = (register.OUTSIDE, register._parts, *register.REGISTRIES.values())
    before = [dict(one) for one in known]
    try:
        yield
    finally:
        for one, old in zip(known, before, strict=True):
            one.clear()
            one.update(old)


def forget(kind: str, name: str) -> None:
    """As in a process that never had it."""
    register.OUTSIDE.pop((kind, name))
    register.REGISTRIES[kind].pop(name)
