"""Test accuracy over the milliseconds of an answer: a network that is up and left is the better."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from lottery.analysis import intervals
from lottery.report.figures.axes import fit, grid, legend
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import LOOK, panel_name
from lottery.report.speed import WAYS, Speed, matched
from lottery.runs.record import Record

LOOKS = {
    "torch": {"color": "0.5", "marker": "s"},
    "dense": {"color": "black", "marker": "D"},
    "ticket": {"color": "#0b3c8c", "marker": "o", "markerfacecolor": "#0b3c8c"},
}
LEAST = 2.0  # points that the axis spans or more


def speed_curve(speed: Speed | None, records: Iterable[Record]) -> Picture | None:
    """One panel a pair, for one text; bars are 95 % intervals over test examples.

    None where nothing was measured.
    """
    found = matched(speed, records)
    pairs = list(dict.fromkeys((row.dataset, row.model) for row, _ in found))
    if not pairs:
        return None
    wide = min(len(pairs), 2)
    figure = Picture(0.8 + 2.7 * -(-len(pairs) // wide))
    panels = figure.subplots(-(-len(pairs) // wide), wide, squeeze=False).ravel()
    handles: dict[str, object] = {}
    for axes, pair in zip(panels, pairs, strict=False):
        own = [(row, record) for row, record in found if (row.dataset, row.model) == pair]
        for row, record in own:
            look = LOOK | LOOKS[row.way] | {"linestyle": ""}
            ends = intervals.interval(record.correct[None])
            axes.vlines(
                row.ms_1, 100 * ends.low, 100 * ends.high, colors=look["color"], linewidth=1
            )
            axes.plot(row.ms_1, 100 * record.test_accuracy, label=WAYS[row.way], **look)
            handles.setdefault(WAYS[row.way], Line2D([], [], **look))
        times = np.array([row.ms_1 for row, _ in own])
        axes.set_xscale("log")
        axes.set_xlim(times.min() / 1.5, times.max() * 1.5)
        near = times.max() < 4 * times.min()  # too near for a decade's ticks
        axes.xaxis.set_major_locator(MaxNLocator(5) if near else LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        fit([axes], LEAST)
        axes.set_title(panel_name(*own[0][1].settings.pair), fontsize=10)
        axes.set_xlabel("Milliseconds for one text (log)", fontsize=9)
        axes.set_ylabel("Test accuracy (%)", fontsize=9)
        grid(axes, "both")
    for axes in panels[len(pairs) :]:
        axes.remove()
    legend(figure, handles)
    return figure
