"""Records to pictures, readable in grey: every line has its own dashes, marker and name."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lottery import groups
from lottery.corpus import DATASETS
from lottery.files import whole
from lottery.groups import Group
from lottery.models import MODELS
from lottery.results import Record

WIDTH, DPI = 9.0, 150  # inches, shown at 100 dots an inch: 900 pixels, saved half as wide again

# Filled or open markers and light or dark colours, so that a grey print keeps the arms apart. An
# open marker is the larger one: where two arms meet, both are seen.
STYLES: dict[str, dict[str, Any]] = {
    "dense": {"color": "black", "linestyle": "-", "linewidth": 1.2},
    "lt": {"color": "#0b3c8c", "linestyle": "-", "marker": "o", "markersize": 5, "zorder": 5},
    "random": {"color": "#e07b00", "linestyle": "--", "marker": "s", "markersize": 8.5},
    "random_mask": {"color": "#2a8f5b", "linestyle": "-.", "marker": "^", "markersize": 8.5},
    "shuffled": {"color": "#8f4fa8", "linestyle": ":", "marker": "D", "markersize": 7.5},
    "finetune": {"color": "#7a7a7a", "linestyle": (0, (6, 2)), "marker": "x", "markersize": 7},
}
LOOK = {
    "linewidth": 1.5,
    "markersize": 7,
    "markerfacecolor": "white",
    "markeredgewidth": 1.5,
    "zorder": 4,
}
CROSS = {"markersize": 10, "color": "black", "zorder": 6}


class Picture(Figure):
    """A figure that a notebook shows, crisp and 900 pixels wide, with no plotting state behind."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (int(100 * inches) for inches in self.get_size_inches())
        return png(self), {"width": width, "height": height}


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes, for no program is named in them."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_bytes(png(figure))


def sparsity_curve(records: Iterable[Record]) -> Picture:
    """Test accuracy over weights remaining, one panel a model, for the records of one dataset.

    The dense network is a line across, since it has no sparsity to vary; from two seeds on a band
    of one standard deviation goes with it, and bars of one with the tickets.
    """
    found = groups.groups(groups.main(records))
    title = _title(found)
    figure = Picture(figsize=(WIDTH, 3.9), layout="constrained")
    panels = figure.subplots(1, len(MODELS), sharey=True)
    for axes, model in zip(panels, MODELS, strict=True):
        own = [group for group in found if group.settings.model == model]
        _curves(axes, own)
        axes.set_title(title + model.upper())
        axes.set_xlabel("Prunable weights remaining (%, log)")
    panels[0].set_ylabel("Test accuracy (%)")
    _fit(panels, 2.0)
    for axes in panels:
        _name_lines(axes, 0.08)
    return figure


def learning_curves(records: Iterable[Record], arm: str = "dense") -> Picture:
    """Loss and accuracy over the epochs on training and validation data, one column a model.

    Means over the seeds, each seed a thin line from two on. The cross is the epoch of lowest
    validation loss. Of a pruned arm the first rung is shown.
    """
    found = groups.groups(groups.main(records))
    title = _title(found)
    figure = Picture(figsize=(WIDTH, 5.6), layout="constrained")
    panels = figure.subplots(2, len(MODELS), sharex=True, sharey="row")
    for column, model in enumerate(MODELS):
        group = groups.first_rung(found, model, arm)
        for axes, quantity, scale in zip(
            panels[:, column], ("loss", "accuracy"), (1, 100), strict=True
        ):
            _history(axes, group, quantity, scale)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panels[0, column].set_title(title + model.upper())
        panels[1, column].set_xlabel("Epoch (cross: lowest validation loss)")
    panels[0, 0].set_ylabel("Loss")
    panels[1, 0].set_ylabel("Accuracy (%)")
    for axes in panels.flat:
        _name_lines(axes, 0.12)
    return figure


def _curves(axes: Axes, found: list[Group]) -> None:
    """Draw one model's groups."""
    lines: dict[str, list[Group]] = defaultdict(list)
    for group in found:
        lines[groups.label(group.settings)].append(group)
    remaining = [50.0]  # the axis reaches at least so far
    for name, own in lines.items():
        style = LOOK | STYLES.get(own[0].settings.arm, {})
        if own[0].settings.arm == "dense":
            mean, sd = (100 * (x or 0) for x in (own[0].mean("test_accuracy"), _sd(own[0])))
            axes.axhspan(mean - sd, mean + sd, color="0.88", linewidth=0, zorder=0)
            axes.axhline(mean, label=name, **style)
            continue
        if own[0].settings.arm == "lt":
            style |= {"markerfacecolor": style["color"]}
        if groups.variant(own[0].settings):  # the same arm, made another way
            style |= {"alpha": 0.6, "markerfacecolor": "0.8"}
        if len(own) > 8:  # a long ladder
            style |= {"markersize": 0.6 * style["markersize"]}
        for number, chain in enumerate(groups.chains(own)):
            x = [100 * (1 - group.mean("sparsity")) for group in chain]
            y = [100 * group.mean("test_accuracy") for group in chain]
            bars = [100 * (_sd(group) or 0) for group in chain]
            if any(bars):
                thin = {"ecolor": style["color"], "elinewidth": 1, "capsize": 3, "zorder": 3}
                axes.errorbar(x, y, bars, fmt="none", **thin)
            axes.plot(x, y, label=None if number else name, **style)
            remaining += x
    _percent_axis(axes, min(remaining))
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    if not found:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center")


def _percent_axis(axes: Axes, least: float) -> None:
    """A log axis from all weights on the left to the fewest on the right, ticked by halves."""
    axes.set_xscale("log")
    axes.set_xlim(100 * 1.12, least / 1.18)
    halves = [100 / 2**k for k in range(40) if 100 / 2**k >= least / 1.1]
    every = -(-len(halves) // 7)  # seven labels fit
    axes.xaxis.set_major_locator(FixedLocator(halves[::every]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def _history(axes: Axes, group: Group | None, quantity: str, scale: float) -> None:
    """Draw one model's training and validation figures over the epochs."""
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    if group is None:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center")
        return
    for part, name, arm in (("train", "training", "random"), ("valid", "validation", "lt")):
        style = LOOK | STYLES[arm] | {"markersize": 4}
        if arm == "lt":
            style |= {"markerfacecolor": style["color"]}
        each = [
            [scale * getattr(epoch, f"{part}_{quantity}") for epoch in record.history]
            for record in group.records
        ]
        mean = [sum(values) / len(each) for values in zip(*each, strict=True)]
        if group.seeds > 1:
            thin = {"color": style["color"], "linestyle": style["linestyle"], "alpha": 0.4}
            for values in each:
                axes.plot(range(1, len(values) + 1), values, linewidth=0.7, zorder=2, **thin)
        axes.plot(range(1, len(mean) + 1), mean, label=name, **style)
        if part == "valid":
            for record, values in zip(group.records, each, strict=True):
                best = record.best_epoch
                axes.plot(best, values[best - 1], "X", markeredgecolor="white", **CROSS)


def _title(found: list[Group]) -> str:
    """The dataset's name before that of the model."""
    return f"{DATASETS[found[0].settings.dataset].title}, " if found else ""


def _sd(group: Group) -> float | None:
    return group.sd("test_accuracy")


def _fit(panels: Iterable[Axes], least: float) -> None:
    """Set the shared y axis around the data, `least` wide at least, lest noise look like much."""
    panels = list(panels)
    ends = [end for axes in panels for end in axes.dataLim.intervaly if math.isfinite(end)]
    if ends:
        middle, span = (min(ends) + max(ends)) / 2, max(ends) - min(ends)
        half = max(least, 1.2 * span) / 2
        panels[0].set_ylim(middle - half, middle + half)


def _name_lines(axes: Axes, gap: float) -> None:
    """Name each labelled line right of the axes, at the height of its end, with a sample of it.

    `gap` is the least distance of two names, as a share of the axes' height.
    """
    low, high = axes.get_ylim()
    ends = [
        ((line.get_ydata()[-1] - low) / (high - low), line.get_label(), line)
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    ]
    ends.sort(key=lambda end: end[:2])
    heights = _apart([end[0] for end in ends], gap)
    for height, (_, name, line) in zip(heights, ends, strict=True):
        sample = Line2D([], [])
        sample.update_from(line)
        sample.set(data=([1.03, 1.08, 1.13], [height] * 3), markevery=[1])
        sample.set(transform=axes.transAxes, clip_on=False, label=f"_{name}")
        axes.add_artist(sample)
        place = {"transform": axes.transAxes, "va": "center", "fontsize": 9}
        axes.text(1.15, height, name.replace(", ", "\n"), **place)


def _apart(heights: list[float], gap: float) -> list[float]:
    """Rising heights in 0 to 1 moved apart to `gap` or more, as little as it takes."""
    moved = list(heights)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    if moved and moved[-1] > 1:
        moved[-1] = 1.0
        for i in range(len(moved) - 2, -1, -1):
            moved[i] = min(moved[i], moved[i + 1] - gap)
    return moved
