"""A foreign mask beside the own one, its controls, and dense: every journey on one page."""

from __future__ import annotations

from collections.abc import Iterable

from lottery.analysis import travel, verdict
from lottery.report.figures.forest import SAID, Row, panels
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import BETTER, MARGIN, STATES
from lottery.report.words import parts
from lottery.runs.record import Record

DRAWN = {
    travel.OWN_MASK: "less own mask",
    travel.SHUFFLED: "less rows shuffled",
    travel.RANDOM: "less random places",
    travel.DENSE: "less dense",
}
WORDS = SAID | {
    verdict.UP: "better",
    verdict.DOWN: "worse",
    verdict.SAME: f"the same within {MARGIN:g} points",
}


def travel_forest(records: Iterable[Record]) -> Picture | None:
    """The foreign mask less others in points of test accuracy, one panel a journey.

    A rung has a row for each comparison that was run, from the most weights to the fewest.
    """
    found = [(journey.name, _rows(journey)) for journey in travel.journeys(records)]
    axis = "Test accuracy of the foreign mask less that of another (points)"
    return panels(found, axis, WORDS, STATES | BETTER)


def _rows(journey: travel.Journey) -> list[Row]:
    names = list(parts(rung.sparsity for rung in journey.rungs).values())
    return [
        (f"{name}: {words}", rung[asked])
        for name, rung in zip(names, journey.rungs, strict=True)
        for asked, words in DRAWN.items()
        if rung[asked].interval is not None
    ]
