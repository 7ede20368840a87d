"""A job array's share of the runs, which needs to know nothing of the other shares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from lottery.files import UserError, shown
from lottery.settings import Settings

T = TypeVar("T")
Chain = tuple[str, str, int]  # a dataset, a model and a seed


@dataclass(frozen=True)
class Shard:
    """Share `number` of `count`, from 1.

    Chains are shared out: a chain is all runs of one dataset, model and seed, because each rung
    stands on the one below; datasets between which masks travel have one chain together. They are
    dealt in turn, so that shares differ by one chain at most.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def read(cls, text: str | Shard) -> Shard:
        """That of "2/8"; UserError if there is no such share."""
        if isinstance(text, Shard):
            return text
        found = isinstance(text, str) and re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise UserError(f"shard {shown(text)} is not i/n with i from 1 to n, e.g. 1/4")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, planned: Iterable[tuple[T, list[Settings]]]) -> list[tuple[T, list[Settings]]]:
        """This share of several plans, each with what belongs to it."""
        planned = list(planned)
        chain_of = chains(planned)
        places: dict[Chain, int] = {}
        shares = []
        for owner, runs in planned:
            own = []
            for settings in runs:
                place = places.setdefault(chain_of(settings), len(places))
                if place % self.count == self.number - 1:
                    own.append(settings)
            shares.append((owner, own))
        return shares


def chains(planned: Iterable[tuple[object, list[Settings]]]) -> Callable[[Settings], Chain]:
    """Of each run of these plans the name of its chain."""
    home: dict[str, str] = {}  # of each dataset the first of those with which it exchanges masks
    for settings in (settings for _, runs in planned for settings in runs):
        ends = settings.dataset, settings.source or settings.dataset
        one, other = (home.setdefault(name, name) for name in ends)
        home |= {name: one for name, first in home.items() if first == other}
    return lambda settings: (home[settings.dataset], settings.model, settings.seed)


ONLY = Shard()
