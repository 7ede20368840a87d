"""Which records a picture shows: finished ones, and those of a recipe."""

from __future__ import annotations

from collections.abc import Iterable

from lottery import recipes
from lottery.analysis import groups
from lottery.analysis.groups import Group
from lottery.runs.record import Record
from lottery.settings import Settings

WITH, WITHOUT = "with weight decay", "without weight decay"


def finished(records: Iterable[Record]) -> list[Record]:
    """Those that have figures."""
    return [record for record in records if not record.failed]


def models(found: Iterable[Group]) -> list[str]:
    """The models of some groups, each once, as they come."""
    return list(dict.fromkeys(group.settings.model for group in found))


def remaining(group: Group) -> float:
    """Percent of the prunable weights that the masks keep; what a recipe keeps dense is not one."""
    settings, layers = group.settings, group.records[0].layers
    free = [count for name, count in layers.items() if name not in settings.kept_dense]
    return 100 * sum(there - removed for removed, there in free) / sum(there for _, there in free)


def decay(settings: Settings) -> str:
    """Has it weight decay? In words."""
    return WITH if settings.weight_decay else WITHOUT


def by_decay(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records made by a recipe, today's or the former one: those with weight decay, those without.

    Of settings that are no recipe's, those of the report's main tables. No other ways of making
    tickets are among them.
    """
    records = list(records)
    of_recipes = [
        record
        for known in (recipes.RECIPES, recipes.WITHOUT_DECAY)
        for record in groups.of_recipe(records, known)
    ]
    found: dict[str, dict[str, Record]] = {}  # by their runs: both recipes may be the same
    for record in of_recipes or groups.main(records):
        if not groups.variant(record.settings):
            found.setdefault(decay(record.settings), {})[record.run] = record
    return {way: list(own.values()) for way, own in sorted(found.items())}
