"""Which records the report shows: one protocol on one corpus a pair, and what stands beside it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from lottery.analysis.protocols import identity, is_former, protocol, variant
from lottery.plugins.register import is_here
from lottery.recipes import RECIPES, WITHOUT_DECAY, Recipes
from lottery.runs.record import Record
from lottery.settings import Settings

WITH, WITHOUT = "with", "without"  # weight decay


def in_report(records: Iterable[Record]) -> list[Record]:
    """Per dataset and model the records of one protocol on one corpus: the report's main tables.

    Today's recipe once a ladder of it has begun, lest a trial with more seeds take its place; until
    then the one without weight decay; then the one with most records.
    """
    return _without_scores(_chosen(records))


def of_recipe(records: Iterable[Record], recipes: Recipes) -> list[Record]:
    """The records of a recipe's protocol, of each pair on the texts with most of them."""
    return _without_scores(
        _chosen(r for r in records if r.settings.protocol == protocol(r.settings.pair, recipes))
    )


def by_decay(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The plain records of today's and the former recipes, parted as by `parted`."""
    records = list(records)
    own = {r.run: r for known in (RECIPES, WITHOUT_DECAY) for r in of_recipe(records, known)}
    return parted(own.values())


def parted(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The plain ones of some records, WITH weight decay and WITHOUT."""
    found: dict[str, list[Record]] = {WITH: [], WITHOUT: []}
    for record in records:
        if not variant(record.settings):
            found[WITH if record.settings.weight_decay else WITHOUT].append(record)
    return found


def at_home(records: Iterable[Record]) -> list[Record]:
    """Without the runs with a mask from another dataset's ladder, which have their own section."""
    return [record for record in records if not record.settings.source]


def scored(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """The records of `in_report`'s protocols, and of them the tickets of ladders that were run by
    two scores or more, and made by the recipe but for the score."""
    chosen = _chosen(records)
    tickets: dict[Any, list[Record]] = defaultdict(list)
    for record in chosen:
        s = record.settings
        if s.arm == "lt" and variant(s).keys() <= {"score", "score_texts"}:
            tickets[identity(record), s.ladder].append(record)
    several = [own for own in tickets.values() if len({r.settings.score for r in own}) > 1]
    return chosen, [record for own in several for record in own]


def left_out(records: Iterable[Record]) -> list[Record]:
    """The records of `in_report`'s protocols that neither it nor `scored` gives: by another score
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
