"""How uneven the classes of a corpus are, and what that makes of an accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Balance:
    """The largest and the smallest class of the training texts (of equals the first, the last)."""

    largest: str
    smallest: str
    most: float  # the largest's share of the training texts
    least: float
    floor: float  # test accuracy of a network that always says the largest class

    @classmethod
    def of(cls, classes: Sequence[str], labels: Mapping[str, Sequence[int]]) -> Balance:
        """Of the rows of each class in "train" and "test"."""
        train, test = labels["train"], labels["test"]
        top = train.index(max(train))
        low = min(reversed(range(len(train))), key=train.__getitem__)
        shares = train[top] / sum(train), train[low] / sum(train), test[top] / sum(test)
        return cls(classes[top], classes[low], *shares)


def macro_f1(texts: Sequence[int], said: Sequence[int], right: Sequence[int]) -> float:
    """Mean over the classes that have test texts of 2 right / (texts + said).

    Of each class: its test texts, how often it was predicted, and how often rightly. The harmonic
    mean of precision and recall (van Rijsbergen 1979), every class counting alike.
    """
    each = zip(texts, said, right, strict=True)
    scores = [2 * hit / (there + times) for there, times, hit in each if there]
    return sum(scores) / len(scores)
