"""Which records may be averaged: those of one corpus and one protocol that differ by seed alone."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from lottery.models import MODELS
from lottery.pruning.arms import ARMS
from lottery.recipes import RECIPES
from lottery.runs.record import Record
from lottery.runs.store import table
from lottery.settings import Settings

ARM_LABELS = {
    "dense": "dense",
    "lt": "lt init",
    "random": "random init",
    "random_mask": "random mask",
    "shuffled": "shuffled mask",
    "finetune": "fine-tuned",
}


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone."""

    records: tuple[Record, ...]

    @property
    def settings(self) -> Settings:
        """The settings they share; the seed is that of the first."""
        return self.records[0].settings

    @property
    def seeds(self) -> int:
        return len(self.records)

    @cached_property
    def _columns(self) -> dict[str, list[float]]:
        return table(self.records).to_dict("list")

    def mean(self, column: str) -> float:
        """Mean over the seeds of a column of `results.COLUMNS`."""
        return statistics.fmean(self._columns[column])

    def median(self, column: str) -> float:
        """Median over the seeds."""
        return statistics.median(self._columns[column])

    def sd(self, column: str) -> float | None:
        """Sample standard deviation over the seeds; None for a single one."""
        return statistics.stdev(self._columns[column]) if self.seeds > 1 else None


def identity(record: Record) -> tuple[Settings, str]:
    """What two records must share to stand in one table: the protocol and the very same texts."""
    return record.settings.protocol(), fingerprint(record)


def fingerprint(record: Record) -> str:
    """What names the texts that a run was made on."""
    return str(record.data["fingerprint"])


def main(records: Iterable[Record]) -> list[Record]:
    """Per dataset and model the records of one protocol on one corpus.

    It is the recipe's if that was run, lest a trial with more seeds take its place; then the one
    with most records; of equals the one nearest to the defaults, then by name.
    """
    records = list(records)
    counts = Counter(identity(record) for record in records)

    def order(key: tuple[Settings, str]) -> tuple:
        protocol, texts = key
        pair = protocol.dataset, protocol.model
        recipe = Settings(*pair, **RECIPES.get(pair, {})).protocol()
        return protocol != recipe, -counts[key], len(protocol.spoken()), protocol.run, texts

    chosen: dict[tuple[str, str], tuple[Settings, str]] = {}
    for key in sorted(counts, key=order):
        chosen.setdefault((key[0].dataset, key[0].model), key)
    return [record for record in records if identity(record) in chosen.values()]


def groups(records: Iterable[Record]) -> list[Group]:
    """The records by everything but the seed; by model, then sparsity, then arm."""
    found: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        key = replace(record.settings, seed=0), fingerprint(record)
        found[key].append(record)
    made = [Group(tuple(sorted(same, key=lambda r: r.settings.seed))) for same in found.values()]
    return sorted(made, key=_order)


def first_rung(found: Iterable[Group], model: str, arm: str) -> Group | None:
    """The group that stands for a model and arm: plain options first, then lowest sparsity."""
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


def variant(settings: Settings) -> dict[str, Any]:
    """How the mask was made, where it differs from the defaults, e.g. {"rewind_step": 438}."""
    changed = differences(settings, settings.protocol())
    return {name: v for name, v in changed.items() if name not in ("arm", "ladder", "seed")}


def differences(settings: Settings, other: Settings) -> dict[str, Any]:
    """The fields of `settings` that differ from `other`, with their values."""
    base = asdict(other)
    return {name: value for name, value in asdict(settings).items() if value != base[name]}


def words(options: dict[str, Any]) -> str:
    """Options as "rewind_step 438, scope global"."""

    def plain(value: Any) -> str:
        if isinstance(value, (tuple, list)):
            return "[" + ", ".join(map(str, value)) + "]"
        return str(value)

    return ", ".join(f"{name} {plain(value)}" for name, value in options.items())


def label(settings: Settings) -> str:
    """The arm as the report calls it, with the options that are not the plain ones."""
    name = ARM_LABELS.get(settings.arm, settings.arm.replace("_", " "))
    return ", ".join(filter(None, (name, words(variant(settings)))))


def _order(group: Group) -> tuple:
    s = group.settings
    models, arms = [*MODELS, s.model], [*ARMS, s.arm]
    place = models.index(s.model), s.model, s.sparsity, arms.index(s.arm), s.arm
    return s.dataset, *place, len(variant(s)), words(variant(s)), s.ladder, s.run
