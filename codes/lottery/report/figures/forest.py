"""Is the ticket as good as dense? Every pair and rung on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lottery.analysis import verdict
from lottery.analysis.verdict import Fact, Ladder
from lottery.report.figures.axes import grid, legend
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import MARGIN, STATES, Look, panel_name
from lottery.report.words import parts, points
from lottery.runs.record import Record

FURTHEST = 10.0  # points; what lies beyond is an arrow, and its number stands beside it
Row = tuple[str, Fact]  # its name, and what is drawn
SAID = {
    verdict.YES: f"yes: no worse by more than {MARGIN:g} points",
    verdict.NO: f"no: worse by more than {MARGIN:g} points",
    verdict.OPEN: "open",
}
# Beside the panel, so many dots right of its edge whatever its width: numbers, and seeds.
VALUES, SEEDS = (8, "left"), (166, "right")
BESIDE = {"textcoords": "offset points", "fontsize": 9, "annotation_clip": False}
BAND = {"color": "0.88", "linewidth": 0}


def forest(records: Iterable[Record]) -> Picture | None:
    """Ticket less dense in points of test accuracy, with 95 % intervals, one panel a pair.

    A rung is a row, from the most weights to the fewest; pairs without such a rung are left out.
    """
    found = [(panel_name(*pair.key), _rows(pair)) for pair in verdict.pairs(records)]
    return panels(found, "Test accuracy of the ticket less that of dense (points)", SAID, STATES)


def panels(
    found: Iterable[tuple[str, Sequence[Row]]],
    axis: str,
    said: Mapping[str, str],
    looks: Mapping[str, Look],
) -> Picture | None:
    """Rows of facts under titles, a panel each; None if there is no row.

    `axis` names what is drawn, `said` the states in the legend, `looks` how each is marked.
    """
    found = [(title, rows) for title, rows in found if rows]
    if not found:
        return None
    tall = [len(rows) + 0.6 for _, rows in found]
    figure = Picture(1.1 + sum(0.2 * rows + 0.3 for rows in tall))
    drawn = figure.subplots(
        len(found), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": tall}
    )[:, 0]
    facts = [fact for _, rows in found for _, fact in rows]
    limits = _limits(facts)
    for axes, (title, rows) in zip(drawn, found, strict=True):
        axes.set_xlim(limits)
        _draw(axes, rows, looks)
        axes.set_title(title, loc="left", size=10)
    for words, aside, side in (("points [95 % interval]", *VALUES), ("seeds", *SEEDS)):
        drawn[0].annotate(
            words,
            (1, 1),
            xycoords="axes fraction",
            xytext=(aside, 4),
            ha=side,
            color="0.3",
            **BESIDE,
        )
    drawn[-1].set_xlabel(axis)
    seen = {fact.state for fact in facts}
    handles: dict[str, object] = {
        words: Line2D([], [], **_look(looks[state]))
        for state, words in said.items()
        if state in seen
    }
    legend(figure, handles | {f"± {MARGIN:g} points": Patch(**BAND)})
    return figure


def _rows(pair: Ladder) -> list[Row]:
    found = [rung for rung in pair.rungs if rung[verdict.TICKET].interval is not None]
    names = list(parts(rung.sparsity for rung in found).values())
    return [
        (f"{name} of the weights", rung[verdict.TICKET])
        for name, rung in zip(names, found, strict=True)
    ]


def _limits(facts: list[Fact]) -> tuple[float, float]:
    """Ends of the axis in points: all that is drawn, and the margin."""
    ends = [100 * end for fact in facts for end in (fact.interval.low, fact.interval.high)]
    ends = [min(max(end, -FURTHEST), FURTHEST) for end in ends]
    low, high = min(-2 * MARGIN, *ends), max(2 * MARGIN, *ends)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def _draw(axes: Axes, rows: Sequence[Row], looks: Mapping[str, Look]) -> None:
    """Draw one panel's rows from top to bottom, their numbers at the right."""
    axes.axvspan(-MARGIN, MARGIN, zorder=0, **BAND)
    axes.axvline(0, color="0.35", linewidth=1, zorder=1)
    grid(axes, "x")
    left, right = axes.get_xlim()
    for y, (name, fact) in enumerate(rows):
        mean, low, high = (100 * end for end in _ends(fact))
        look = _look(looks[fact.state])
        # What lies beyond an end is drawn at it, with an arrow.
        first, last = left + 0.03 * (right - left), right - 0.03 * (right - left)
        ends = min(max(low, left), last), max(min(high, right), first)
        axes.hlines(y, *ends, colors=look["color"], linewidth=1.5)
        for end, beyond, arrow in ((left, low < left, "<"), (right, high > right, ">")):
            if beyond:
                axes.plot(end, y, arrow, color=look["color"], markersize=6, clip_on=False)
        axes.plot(min(max(mean, first), last), y, label=name, **look)
        said = [points(end) for end in _ends(fact)]
        numbers = f"{said[0]} [{said[1]} to {said[2]}]"
        for words, aside, side in ((numbers, *VALUES), (str(fact.seeds), *SEEDS)):
            axes.annotate(
                words,
                (1, y),
                xycoords=axes.get_yaxis_transform(),
                xytext=(aside, 0),
                ha=side,
                va="center",
                **BESIDE,
            )
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _ends(fact: Fact) -> tuple[float, float, float]:
    return fact.interval.mean, fact.interval.low, fact.interval.high


def _look(own: Look) -> Look:
    return {"linestyle": "", "markeredgewidth": 1.3, "zorder": 4} | own
