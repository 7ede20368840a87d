"""Which records may be averaged: those of one corpus and one protocol that differ by seed alone."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from lottery.analysis.protocols import fingerprint, variant, words
from lottery.files import check_known
from lottery.models import MODELS
from lottery.pruning.arms import ARMS
from lottery.runs.record import Record
from lottery.settings import Settings

OF_BEST = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in the seed alone; a key of dictionaries by what it is."""

    records: tuple[Record, ...]

    @property
    def settings(self) -> Settings:
        """The settings they share; the seed is that of the first."""
        return self.records[0].settings

    @property
    def seeds(self) -> int:
        return len(self.records)

    def values(self, name: str) -> list[float]:
        """A figure of each run: a field of the record or of its best epoch."""
        return [figure(record, name) for record in self.records]

    def mean(self, name: str) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values(name))

    def median(self, name: str) -> float:
        """Median over the seeds."""
        return statistics.median(self.values(name))

    def sd(self, name: str) -> float | None:
        """Sample standard deviation over the seeds; None for a single one."""
        return statistics.stdev(self.values(name)) if self.seeds > 1 else None


def figure(record: Record, name: str) -> float:
    """A figure of a finished run, e.g. "test_accuracy"; "valid_loss" is that of the best epoch."""
    return getattr(record.best if name in OF_BEST else record, name)


def groups(records: Iterable[Record]) -> list[Group]:
    """The records by everything but the seed; by model, then sparsity, then arm."""
    found: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        key = replace(record.settings, seed=0), fingerprint(record)
        found[key].append(record)
    made = [Group(tuple(sorted(same, key=lambda r: r.settings.seed))) for same in found.values()]
    return sorted(made, key=_order)


def first_rung(found: Iterable[Group], model: str, arm: str) -> Group | None:
    """The group that stands for a model and arm: plain options first, then lowest sparsity.

    UserError for an arm that there is not.
    """
    found = list(found)
    check_known("arm", arm, dict.fromkeys([*ARMS, *(g.settings.arm for g in found)]))
    candidates = [g for g in found if (g.settings.model, g.settings.arm) == (model, arm)]
    return min(
        candidates,
        key=lambda g: (len(variant(g.settings)), g.settings.sparsity, -g.seeds, _order(g)),
        default=None,
    )


def chains(found: Iterable[Group]) -> list[list[Group]]:
    """Groups of one model, arm and variant as ladders: each group's masks come from the one before.

    Two ladders that part are two chains, because a line between them would mean nothing.
    """
    made: list[list[Group]] = []
    for group in sorted(found, key=lambda g: (-g.settings.rung, _order(g))):
        ladder = group.settings.ladder
        above = [chain for chain in made if chain[0].settings.ladder[: len(ladder)] == ladder]
        for chain in above:
            chain.append(group)
        if not above:
            made.append([group])
    return [chain[::-1] for chain in made]


def _order(group: Group) -> tuple:
    s = group.settings
    models, arms = [*MODELS, s.model], [*ARMS, s.arm]
    place = models.index(s.model), s.model, s.sparsity, arms.index(s.arm), s.arm
    rest = tuple(getattr(s, f.name) for f in fields(s) if f.name != "seed")
    return s.dataset, *place, len(variant(s)), words(variant(s)), s.ladder, rest
