"""Shares of what masks keep and what training leaves of it, over the runs that counted it.

The first records did not count: None stands for that, and nothing is inferred.
"""

from __future__ import annotations

from collections.abc import Iterable

from lottery.pruning.masks import EMBEDDING
from lottery.runs.record import Record

RARE = 8  # words that occur fewer times in the training texts
OFTEN = 256  # words that occur so often or more


def kept(records: Iterable[Record], least: int, below: float) -> float | None:
    """Share of the embedding's weights that remain in the rows of some words, 0 to 1.

    Of words that occur `least` times or more, yet fewer than `below`; both are powers of two, as
    the bins of `pruning.tally.by_frequency`, or 0 or infinite.
    """
    there, left = 0.0, 0
    for record in records:
        words = sum(some.words for some in record.words)
        for some in record.words:
            if least <= some.least < below:
                there += some.words * record.layers[EMBEDDING][1] / words
                left += some.kept
    return left / there if there else None


def vanished(records: Iterable[Record]) -> float | None:
    """Share of the prunable weights that training alone brought under 1e-6, 0 to 1."""
    own = [record for record in records if record.vanished]
    there = sum(size - removed for record in own for removed, size in record.layers.values())
    return sum(sum(record.vanished.values()) for record in own) / there if there else None
