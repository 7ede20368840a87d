"""Records to pictures, readable in grey: every line has its own dashes, marker and name."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lottery.analysis import groups, verdict
from lottery.analysis import intervals as evidence
from lottery.analysis.groups import Group
from lottery.data import DATASETS
from lottery.files import whole
from lottery.models import MODELS
from lottery.runs.record import Record
from lottery.settings import Settings

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
# The same arm made another way, in the order of the ways.
VARIANTS = [{"marker": "v"}, {"marker": "P"}, {"marker": "*", "markersize": 10}, {"marker": "h"}]
# Ticket less another arm: fields of `verdict.Rung`, with their names.
DIFFERENCES = {"dense": "less dense", "random": "less random init"}
LAYERS = {
    "embedding.weight": "embedding",
    "output.weight": "output",
    "lstm.weight_ih": "input",
    "lstm.weight_hh": "recurrent",
}
SCOPE_NAMES = {"layer": "layer by layer", "global": "all layers together"}
LAYER_LOOKS = [
    *(STYLES[arm] for arm in ("lt", "random", "random_mask", "shuffled", "finetune")),
    {"color": "black", "linestyle": (0, (3, 1, 1, 1)), "marker": "v", "markersize": 8},
]


Measured = tuple[float, float, float]  # a mean, and the lower and upper end around it


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

    The dense network is a line across, since it has no sparsity to vary. Its band and the bars of
    the others are 95 % intervals over seeds and test examples.
    """
    return _over_weights(records, _accuracy, "Test accuracy (%)", 2.0)


def epoch_curve(records: Iterable[Record]) -> Picture:
    """Epoch of lowest validation loss over weights remaining; bars and band are one deviation."""
    return _over_weights(records, _best_epoch, "Epoch of lowest validation loss", 4.0)


def difference_curve(records: Iterable[Record]) -> Picture:
    """Tickets less dense and less random init, in points, with their intervals and the margins.

    Plain tickets only; a rung to the right of the others by a hair, so that no bar hides another.
    """
    found = [ladder for ladder in verdict.ladders(records) if not ladder.name]
    title = f"{DATASETS[found[0].dataset].title}, " if found else ""
    figure = Picture(figsize=(WIDTH, 3.9), layout="constrained")
    panels = figure.subplots(1, len(MODELS), sharey=True)
    margin = 100 * verdict.MARGIN
    for axes, model in zip(panels, MODELS, strict=True):
        remaining = [50.0]
        for bound in (-margin, margin):
            axes.axhline(bound, color="0.55", linewidth=1, linestyle=(0, (2, 3)), zorder=1)
        axes.axhline(0, color="0.55", linewidth=0.8, zorder=1)
        rungs = [rung for ladder in found if ladder.model == model for rung in ladder.rungs]
        for number, (field, name) in enumerate(DIFFERENCES.items()):
            ran = [(r.sparsity, getattr(r, field).interval) for r in rungs]
            ran = [(100 * (1 - sparsity), given) for sparsity, given in ran if given]
            if not ran:
                continue
            style = LOOK | STYLES["lt" if field == "dense" else field]
            style |= {"markerfacecolor": style["color"] if field == "dense" else "white"}
            x = [x * (1 - 0.04 * number) for x, _ in ran]
            measured = [(100 * i.mean, 100 * i.low, 100 * i.high) for _, i in ran]
            _with_bars(axes, x, measured, style, name)
            remaining += [x for x, _ in ran]
        _percent_axis(axes, min(remaining))
        axes.set_title(title + model.upper())
        axes.set_xlabel("Prunable weights remaining (%, log)")
        if not rungs:
            axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center")
    panels[0].set_ylabel("lt init less another arm (points)")
    _fit(panels, 4 * margin)
    for axes in panels:
        _name_lines(axes, 0.08)
    return figure


def density_curve(records: Iterable[Record]) -> Picture:
    """What each layer keeps over what the network keeps, both in log; a row for each scope.

    Layers that keep the same all along are one line.
    """
    tickets = [g for g in groups.groups(groups.main(records)) if g.settings.arm == "lt"]
    scopes = [s for s in SCOPE_NAMES if any(g.settings.scope == s for g in tickets)] or ["layer"]
    figure = Picture(figsize=(WIDTH, 0.5 + 3.4 * len(scopes)), layout="constrained")
    panels = figure.subplots(len(scopes), len(MODELS), sharey=True, squeeze=False)
    for row, scope in zip(panels, scopes, strict=True):
        for axes, model in zip(row, MODELS, strict=True):
            own = [g for g in tickets if (g.settings.model, g.settings.scope) == (model, scope)]
            # Rewinding changes values, and how much goes from each layer only in global pruning.
            plain = groups.first_rung(own, model, "lt")
            way = groups.variant(plain.settings) if plain else None
            own = [group for group in own if groups.variant(group.settings) == way]
            _densities(axes, max(groups.chains(own), key=len, default=[]))
            axes.set_title(f"{_title(tickets)}{model.upper()}, {SCOPE_NAMES[scope]}")
            axes.set_xlabel("Prunable weights remaining (%, log)")
        row[0].set_ylabel("Remaining in the layer (%, log)")
    for axes in panels.flat:
        _name_lines(axes, 0.07)
    return figure


# The report's pictures of a dataset.
PICTURES: dict[str, Callable[[Iterable[Record]], Picture]] = {
    "sparsity": sparsity_curve,
    "differences": difference_curve,
    "epochs": epoch_curve,
    "densities": density_curve,
}


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


def _over_weights(
    records: Iterable[Record], measure: Callable[[Group], Measured], name: str, least: float
) -> Picture:
    """A measure of every arm over weights remaining; its axis spans `least` or more.

    Where tickets were also made in other ways, these have a row of their own, beside plain lt.
    """
    found = groups.groups(groups.main(records))
    plain = [group for group in found if not groups.variant(group.settings)]
    others = [group for group in found if groups.variant(group.settings)]
    models = {group.settings.model for group in others}
    beside = [g for g in plain if g.settings.arm in ("dense", "lt") and g.settings.model in models]
    rows = [part for part in (plain, others and beside + others) if part] or [[]]
    if len(rows) == 2 and all(group.settings.arm == "dense" for group in plain):
        rows = rows[1:]
    figure = Picture(figsize=(WIDTH, 0.3 + 3.6 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(MODELS), sharey=True, squeeze=False)
    for row, part in zip(panels, rows, strict=True):
        for axes, model in zip(row, MODELS, strict=True):
            _curves(axes, [group for group in part if group.settings.model == model], measure)
            end = ", other ways" if part is not plain and len(rows) == 2 else ""
            axes.set_title(_title(found) + model.upper() + end)
            axes.set_xlabel("Prunable weights remaining (%, log)")
        row[0].set_ylabel(name)
    _fit(panels.flat, least)
    for axes in panels.flat:
        _name_lines(axes, 0.075)
    return figure


def _accuracy(group: Group) -> Measured:
    """Test accuracy in percent with its 95 % interval over seeds and test examples."""
    given = evidence.interval(np.array([record.correct for record in group.records]))
    return 100 * given.mean, 100 * given.low, 100 * given.high


def _best_epoch(group: Group) -> Measured:
    """Epoch of lowest validation loss, one standard deviation over the seeds around it."""
    mean, sd = group.mean("best_epoch"), group.sd("best_epoch") or 0.0
    return mean, mean - sd, mean + sd


def _curves(axes: Axes, found: list[Group], measure: Callable[[Group], Measured]) -> None:
    """Draw one model's groups."""
    lines: dict[str, list[Group]] = defaultdict(list)
    for group in found:
        lines[groups.label(group.settings)].append(group)
    remaining = [50.0]  # the axis reaches at least so far
    variants = iter(VARIANTS * len(lines))
    for name, own in lines.items():
        style = LOOK | STYLES.get(own[0].settings.arm, {})
        if own[0].settings.arm == "dense":
            mean, low, high = measure(own[0])
            axes.axhspan(low, high, color="0.88", linewidth=0, zorder=0)
            axes.axhline(mean, label=name, **style)
            continue
        if own[0].settings.arm == "lt":
            style |= {"markerfacecolor": style["color"]}
        if groups.variant(own[0].settings):  # the same arm, made another way
            style |= {"alpha": 0.7, "markerfacecolor": "0.8", "markersize": 8} | next(variants)
        if len(own) > 8:  # a long ladder
            style |= {"markersize": 0.6 * style["markersize"]}
        for number, chain in enumerate(groups.chains(own)):
            x = [100 * (1 - group.mean("sparsity")) for group in chain]
            measured = [measure(group) for group in chain]
            _with_bars(axes, x, measured, style, None if number else name)
            remaining += x
    _percent_axis(axes, min(remaining))
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    if not found:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center")


def _with_bars(
    axes: Axes, x: Sequence[float], measured: Sequence[Measured], style: dict, name: str | None
) -> None:
    """A line of means, each with a thin bar between its ends."""
    means, lows, highs = zip(*measured, strict=True)
    if highs != lows:
        reach = [[m - low for m, low in zip(means, lows, strict=True)]]
        reach += [[high - m for m, high in zip(means, highs, strict=True)]]
        thin = {"ecolor": style["color"], "elinewidth": 0.9, "capsize": 2.5, "zorder": 3}
        axes.errorbar(x, means, reach, fmt="none", **thin)
    axes.plot(x, means, label=name, **style)


def _densities(axes: Axes, chain: list[Group]) -> None:
    """Draw each layer of one ladder, those that keep the same as one line."""
    if not chain:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center")
        _percent_axis(axes, 50.0)
        return
    together: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for layer in chain[0].records[0].layers:
        kept = [[1 - r.layers[layer][0] / r.layers[layer][1] for r in g.records] for g in chain]
        together[tuple(float(f"{100 * sum(k) / len(k):.3g}") for k in kept)].append(layer)
    x = [100.0, *(100 * (1 - group.mean("sparsity")) for group in chain)]
    settings, looks = chain[0].settings, LAYER_LOOKS * len(together)
    for look, (kept, layers) in zip(looks, together.items(), strict=False):
        style = LOOK | look
        if look is STYLES["lt"]:
            style |= {"markerfacecolor": style["color"]}
        name = (
            "all others"
            if len(layers) > 2
            else ", ".join(_layer(layer, settings) for layer in layers)
        )
        axes.plot(x, [100.0, *kept], label=name, **style)
    _percent_axis(axes, min(x))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def _layer(name: str, settings: Settings) -> str:
    """A layer's name in a picture."""
    if name.startswith("convolutions."):
        return f"filters of {settings.widths[int(name.split('.')[1])]}"
    for start, said in LAYERS.items():
        if name.startswith(start):
            return said + (" back" if name.endswith("_reverse") else "")
    return name.removesuffix(".weight")


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
        place = {"transform": axes.transAxes, "va": "center", "fontsize": 9}
        axes.text(1.15, height, name, **place)


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
