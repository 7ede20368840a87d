"""Which records a picture shows: finished ones, and those of a recipe."""

from __future__ import annotations

from collections.abc import Iterable

from lottery.analysis import selection
from lottery.analysis.groups import Group
from lottery.runs.record import Record


def finished(records: Iterable[Record]) -> list[Record]:
    """Those that have figures."""
    return [record for record in records if not record.failed]


def models(found: Iterable[Group]) -> list[str]:
    """The models of some groups, each once, as they come."""
    return list(dict.fromkeys(group.settings.model for group in found))


def remaining(group: Group) -> float:
    """Percent of the prunable weights that masks keep; those in `kept_dense` are not counted."""
    settings, layers = group.settings, group.records[0].layers
    free = [count for name, count in layers.items() if name not in settings.kept_dense]
    return 100 * sum(there - removed for removed, there in free) / sum(there for _, there in free)


def by_decay(records: Iterable[Record]) -> dict[str, list[Record]]:
    """`selection.by_decay`; of settings that are no recipe's, those of the report's main tables.

    A way that nothing was made in is left out.
    """
    records = list(records)
    found = selection.by_decay(records)
    if not any(found.values()):
        found = selection.parted(selection.in_report(records))
    return {way: own for way, own in found.items() if own}
