"""Which records may be averaged: those of one corpus and one protocol that differ by seed alone."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from lottery.models import MODELS
from lottery.outside.register import coded, is_here
from lottery.pruning import arms
from lottery.pruning.arms import ARMS
from lottery.recipes import RECIPES, WITHOUT_DECAY, Recipes
from lottery.runs.record import Record
from lottery.settings import Settings

OF_BEST = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
OF_MASKS = ("score", "scored_at", "kept_dense", "scope", "output_rate", "rewind_step")


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


def identity(record: Record) -> tuple[Settings, str]:
    """What two records must share to stand in one table: the protocol and the very same texts."""
    return record.settings.protocol, fingerprint(record)


def fingerprint(record: Record) -> str:
    """What names the texts that a run was made on."""
    return str(record.data["fingerprint"])


def protocol(pair: tuple[str, str], recipes: Recipes = RECIPES) -> Settings:
    """The protocol of a (dataset, model) by its recipe; the defaults' where it has none.

    Of a model from outside, with the code that is here: records carry theirs.
    """
    return coded(Settings(*pair, **recipes.get(pair, {})).protocol)


def is_former(settings: Settings) -> bool:
    """Is this a run by the recipe without weight decay, where today's is another?"""
    pair, own = settings.pair, settings.protocol
    return own == protocol(pair, WITHOUT_DECAY) != protocol(pair)


def of_recipe(records: Iterable[Record], recipes: Recipes) -> list[Record]:
    """The records of a recipe's protocol, of each pair on the texts with most of them."""
    return _without_scores(
        _chosen(r for r in records if r.settings.protocol == protocol(r.settings.pair, recipes))
    )


def main(records: Iterable[Record]) -> list[Record]:
    """Per dataset and model the records of one protocol on one corpus: the report's main tables.

    Today's recipe once a ladder of it has begun, lest a trial with more seeds take its place; until
    then the one without weight decay; then the one with most records.
    """
    return _without_scores(_chosen(records))


def at_home(records: Iterable[Record]) -> list[Record]:
    """Without the runs with a mask from another dataset's ladder, which have their own section."""
    return [record for record in records if not record.settings.source]


def scored(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """The records of `main`'s protocols, and of them the tickets of ladders that were run by two
    scores or more, and made by the recipe but for the score."""
    chosen = _chosen(records)
    tickets: dict[Any, list[Record]] = defaultdict(list)
    for record in chosen:
        s = record.settings
        if s.arm == "lt" and variant(s).keys() <= {"score", "score_texts"}:
            tickets[identity(record), s.ladder].append(record)
    several = [own for own in tickets.values() if len({r.settings.score for r in own}) > 1]
    return chosen, [record for own in several for record in own]


def left_out(records: Iterable[Record]) -> list[Record]:
    """The records of `main`'s protocols that neither `main` nor `scored` gives: by another score
    on a ladder that has no second one, by another arm than `lt`, or with more options."""
    chosen, tickets = scored(records)
    shown = {record.run for record in (*_without_scores(chosen), *tickets)}
    return [record for record in chosen if record.run not in shown]


def _is_by_other(record: Record) -> bool:
    """Was the mask scored by another score than the recipe's?"""
    s = record.settings
    usual = RECIPES.get(s.pair, {}).get("score", "magnitude")
    return s.arm != "dense" and s.score != usual


def _without_scores(records: list[Record]) -> list[Record]:
    """Without the runs by other scores, where there is a ladder by the recipe's, and without the
    recipe's on ladders that were only run to stand beside them."""
    others, usual = defaultdict(set), defaultdict(set)  # of each protocol the ladders
    by_other = {record.run for record in records if _is_by_other(record)}
    for record in records if by_other else ():
        if record.settings.rung:
            some = others if record.run in by_other else usual
            some[identity(record)].add(record.settings.ladder)

    def stays(record: Record) -> bool:
        key, ladder = identity(record), record.settings.ladder
        if not ladder or key not in usual or key not in others:
            return True
        most = max(map(len, usual[key]))
        longest = [own for own in usual[key] if len(own) == most]
        apart = ladder in others[key] and all(own[: len(ladder)] != ladder for own in longest)
        return record.run not in by_other and not apart

    return [record for record in records if stays(record)] if by_other else records


def _chosen(records: Iterable[Record]) -> list[Record]:
    records = [r for r in at_home(records) if is_here(r.settings)]
    counts = Counter(identity(record) for record in records)
    pruned = {identity(record) for record in records if record.settings.rung}

    def order(key: tuple[Settings, str]) -> tuple:
        own, texts = key
        today, begun = own == protocol(own.pair), key in pruned
        rank = (not (today and begun), not (is_former(own) and begun), not today)
        return *rank, -counts[key], len(own.spoken()), own.run, texts

    chosen: dict[tuple[str, str], tuple[Settings, str]] = {}
    for key in sorted(counts, key=order):
        chosen.setdefault(key[0].pair, key)
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


def plain(settings: Settings) -> Settings:
    """The same arm, rung and seed with the mask made as the pair's recipe says."""
    recipes = WITHOUT_DECAY if is_former(settings) else RECIPES
    recipe = recipes.get(settings.pair, {})
    made = {name: recipe[name] for name in OF_MASKS if name in recipe}
    own = {"arm": settings.arm, "ladder": settings.ladder, "seed": settings.seed}
    return replace(settings.protocol, **made, **own).normal()


def variant(settings: Settings) -> dict[str, Any]:
    """How the mask was made, where it is not the recipe's way, e.g. {"rewind_step": 438}."""
    return differences(settings, plain(settings))


def differences(settings: Settings, other: Settings) -> dict[str, Any]:
    """The fields of `settings` that differ from `other`, with their values; but for digests."""
    both = ((f.name, getattr(settings, f.name), getattr(other, f.name)) for f in fields(Settings))
    return {name: own for name, own, base in both if own != base and name != "code"}


def words(options: dict[str, Any]) -> str:
    """Options as "rewind_step 438, scope global"."""

    def plain(value: Any) -> str:
        if isinstance(value, (tuple, list)):
            return "[" + ", ".join(map(str, value)) + "]"
        return str(value)

    return ", ".join(f"{name} {plain(value)}" for name, value in options.items())


def label(settings: Settings) -> str:
    """The arm as the report calls it, with the options that are not the plain ones."""
    return ", ".join(filter(None, (arms.label(settings.arm), words(variant(settings)))))


def _order(group: Group) -> tuple:
    s = group.settings
    models, arms = [*MODELS, s.model], [*ARMS, s.arm]
    place = models.index(s.model), s.model, s.sparsity, arms.index(s.arm), s.arm
    return s.dataset, *place, len(variant(s)), words(variant(s)), s.ladder, s.run
