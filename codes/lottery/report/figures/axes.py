"""What the pictures share: the axis of weights remaining, grid, names of lines, legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from lottery.report.figures.picture import WIDTH

# Of a legend's entry, in inches: the sample with its gaps, and a letter.
SAMPLE, LETTER = 0.65, 0.07
REMAINING = "Prunable weights remaining (%, log)"


def remaining_axis(axes: Axes, least: float) -> None:
    """A log axis from all weights on the left to `least` percent on the right, ticked by halves.

    Above it stands how many times smaller the network is.
    """
    axes.set_xscale("log")
    axes.set_xlim(100 * 1.3, least / 1.3)
    halves = [100 / 2**k for k in range(40) if 100 / 2**k >= least / 1.1]
    ticks = halves[:: -(-len(halves) // 8)]  # eight labels fit
    top = axes.secondary_xaxis("top")
    for axis, form in ((axes.xaxis, _percent), (top.xaxis, _times)):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(form))
        axis.set_minor_formatter(NullFormatter())
    top.tick_params(labelsize=8, colors="0.35", length=2.5)
    axes.set_xlabel(REMAINING)


def grid(axes: Axes, which: str = "y") -> None:
    """Light lines behind the data."""
    axes.grid(axis=which, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def fit(panels: Iterable[Axes], least: float, held: Sequence[float] = ()) -> None:
    """Set the shared y axis around `held`, else all that is drawn, `least` wide at least, lest
    noise look like much."""
    panels = list(panels)
    drawn = [end for axes in panels for end in axes.dataLim.intervaly if math.isfinite(end)]
    if ends := held or drawn:
        middle, span = (min(ends) + max(ends)) / 2, max(ends) - min(ends)
        half = max(least, 1.1 * span) / 2
        panels[0].set_ylim(middle - half, middle + half)


def legend(figure: Figure, handles: dict[str, object]) -> None:
    """Below all panels, the name and look of what is drawn, row by row, four in a row at most."""
    names = list(handles)
    for wish in range(min(4, len(names)), 0, -1):
        rows = -(-len(names) // wish)
        width = -(-len(names) // rows)  # as long as each other
        columns = [names[column::width] for column in range(width)]
        if sum(SAMPLE + LETTER * max(map(len, column)) for column in columns) < WIDTH:
            break
    order = [name for column in columns for name in column]  # as matplotlib fills it
    figure.legend(
        [handles[name] for name in order],
        order,
        loc="outside lower center",
        ncols=width,
        frameon=False,
        fontsize=9,
        handlelength=3.2,
    )


def name_lines(axes: Axes, gap: float) -> None:
    """Name each labelled line right of the axes, at the height of its end, with a sample of it.

    `gap` is the height of a line of words, as a share of the axes' height.
    """
    ends = []
    for line in axes.get_lines():
        if not line.get_label().startswith("_"):
            end = axes.transData.transform((axes.get_xlim()[1], line.get_ydata()[-1]))
            height = axes.transAxes.inverted().transform(end)[1]
            ends.append((float(height), line.get_label().replace(", ", "\n"), line))
    ends.sort(key=lambda end: end[:2])
    rows = [1 + name.count("\n") for _, name, _ in ends]
    gaps = [gap * (below + above) / 2 for below, above in pairwise(rows)]
    heights = _apart([end[0] for end in ends], gaps)
    for height, (_, name, line) in zip(heights, ends, strict=True):
        sample = Line2D([], [])
        sample.update_from(line)
        sample.set(data=([1.03, 1.08, 1.13], [height] * 3), markevery=[1])
        sample.set(transform=axes.transAxes, clip_on=False, label=f"_{name}")
        axes.add_artist(sample)
        where = {"transform": axes.transAxes, "va": "center", "fontsize": 9}
        axes.text(1.15, height, name, **where)


def _apart(heights: list[float], gaps: list[float]) -> list[float]:
    """Rising heights in 0 to 1 moved apart to the gaps or more, as little as it takes."""
    moved = list(heights)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gaps[i - 1])
    if moved and moved[-1] > 1:
        moved[-1] = 1.0
        for i in range(len(moved) - 2, -1, -1):
            moved[i] = min(moved[i], moved[i + 1] - gaps[i])
    return moved


def _percent(value: float, _: int | None = None) -> str:
    return f"{value:.3g}"


def _times(value: float, _: int | None = None) -> str:
    return f"×{100 / value:.3g}"
