"""Test accuracy over the weights that remain: every arm, and one recipe beside another."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lottery.analysis import groups, intervals, protocols, selection
from lottery.analysis.groups import Group
from lottery.pruning import arms
from lottery.report.figures import chosen
from lottery.report.figures.axes import fit, grid, legend, remaining_axis
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import MARGIN, Look, arm_look, arm_name, order, panel_name
from lottery.runs.record import Record
from lottery.settings import Settings

Span = tuple[float, float, float]  # low end, mean and high end in percent
LEAST = 2.0  # points that the axis spans or more, lest noise look like much
HELD = ("dense", "lt", "random")  # the axis shows them whole; random places fall far below
ASIDE = 0.1  # octaves between two arms of one rung, where there is room
BAND = {"color": "0.9", "linewidth": 0}
DOTS = {"marker": ".", "markersize": 4, "linestyle": "", "markeredgewidth": 0, "zorder": 5}
# Beside the recipe with weight decay, the one without.
FORMER = {
    "dense": {"color": "0.55", "linestyle": (0, (2, 2)), "markersize": 9},
    "lt": {"color": "#e07b00", "linestyle": "--", "marker": "s", "markerfacecolor": "white"},
}


@dataclass(frozen=True)
class Series:
    """Groups that a picture shows as one line in each panel."""

    name: str
    look: Look
    groups: Sequence[Group]

    @property
    def is_dense(self) -> bool:
        return self.groups[0].settings.arm == "dense"

    def of(self, model: str) -> list[Group]:
        return [group for group in self.groups if group.settings.model == model]


def sparsity_curve(records: Iterable[Record]) -> Picture | None:
    """Test accuracy of every arm over weights remaining, one panel a model, for one dataset.

    Bars are 95 % intervals over seeds and test examples, dots single seeds. The band holds what is
    no further from the dense network than the margin.
    """
    found = groups.groups(selection.in_report(chosen.finished(records)))
    together: dict[str, list[Group]] = defaultdict(list)
    for group in sorted(found, key=lambda group: order(group.settings)):
        together[arm_name(group.settings)].append(group)
    plain = [name for name, same in together.items() if not protocols.variant(same[0].settings)]
    ways = [name for name in together if name not in plain]
    series = [
        Series(
            name,
            arm_look(same[0].settings.arm, ways.index(name) if name in ways else None),
            same,
        )
        for name, same in together.items()
    ]
    return _over_weights(series, band=True)


def decay_curve(records: Iterable[Record]) -> Picture | None:
    """Tickets and dense of the recipe with weight decay beside those of the one without.

    Models whose tickets were made in one of the two ways alone are left out.
    """
    found = {
        way: [group for group in groups.groups(own) if group.settings.arm in FORMER]
        for way, own in chosen.by_decay(chosen.finished(records)).items()
    }
    pruned = [{g.settings.model for g in own if g.settings.rung} for own in found.values()]
    both = pruned[0] & pruned[1] if len(pruned) == 2 else set()
    series = []
    for way, own in found.items():
        for arm, former in FORMER.items():
            look = arm_look(arm) | (former if way == selection.WITHOUT else {})
            same = [g for g in own if g.settings.arm == arm and g.settings.model in both]
            if same:
                series.append(Series(f"{arms.label(arm)}, {way} weight decay", look, same))
    return _over_weights(series, band=False)


def _over_weights(series: Sequence[Series], band: bool) -> Picture | None:
    """One panel for each model with a pruned network; None if there is none."""
    names = chosen.models(g for one in series if not one.is_dense for g in one.groups)
    if not names:
        return None
    figure = Picture(4.4)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    handles: dict[str, object] = {}
    spans = {group.settings: _span(group) for one in series for group in one.groups}
    for axes, model in zip(panels, names, strict=True):
        found = [group for one in series for group in one.of(model)]
        places = _places(series, model)
        for one in series:
            if own := one.of(model):
                _draw(axes, one, own, places, spans, handles, band)
        remaining_axis(axes, min(50.0, *map(chosen.remaining, found)))
        grid(axes, "both")
        axes.set_title(panel_name(*found[0].settings.pair))
    panels[0].set_ylabel("Test accuracy (%)")
    fit(panels, LEAST, _held([group for one in series for group in one.groups], spans))
    legend(figure, handles)
    return figure


def _draw(
    axes: Axes,
    one: Series,
    own: list[Group],
    places: dict[Settings, float],
    spans: dict[Settings, Span],
    handles: dict[str, object],
    band: bool,
) -> None:
    """Draw one line of one panel, and add to `handles` what is to be named."""
    handles.setdefault(one.name, Line2D([], [], **one.look))
    for number, chain in enumerate(groups.chains(own)):
        x = [places[group.settings] for group in chain]
        lows, means, highs = zip(*(spans[group.settings] for group in chain), strict=True)
        axes.vlines(x, lows, highs, colors=one.look["color"], linewidth=1.0, zorder=3)
        for at, group in zip(x, chain, strict=True):
            seeds = _seeds(group)
            if len(seeds) > 1:
                axes.plot([at / 2**0.03] * len(seeds), seeds, color=one.look["color"], **DOTS)
        axes.plot(x, means, label=f"_{one.name}" if number else one.name, **one.look)
        if one.is_dense:
            axes.axhline(means[0], **one.look | {"marker": "", "linewidth": 1.0, "zorder": 1})
        if one.is_dense and band:
            axes.axhspan(means[0] - MARGIN, means[0] + MARGIN, zorder=0, **BAND)
            handles.setdefault(f"dense ± {MARGIN:g} points", Patch(**BAND))


def _span(group: Group) -> Span:
    given = intervals.interval(np.array([record.correct for record in group.records]))
    low, high = max(given.low, 0.0), min(given.high, 1.0)  # of few texts they may reach beyond
    return 100 * low, 100 * given.mean, 100 * high


def _seeds(group: Group) -> list[float]:
    return [100 * record.test_accuracy for record in group.records]


def _held(found: Sequence[Group], spans: dict[Settings, Span]) -> list[float]:
    """What the axis must hold, in percent: all of HELD; where no ticket is among them, of all."""
    held = [group for group in found if group.settings.arm in HELD]
    held = held if any(group.settings.rung for group in held) else found
    return [end for group in held for end in (*spans[group.settings], *_seeds(group))]


def _places(series: Sequence[Series], model: str) -> dict[Settings, float]:
    """Where each group of a panel stands, in percent, moved aside so that no two bars meet."""
    every = [group for one in series for group in one.of(model)]
    rungs: dict[float, list[Group]] = defaultdict(list)
    for group in every:
        rungs[group.settings.sparsity].append(group)
    steps = [math.log2((1 - low) / (1 - high)) for low, high in pairwise(sorted(rungs))]
    apart = min([ASIDE, *(0.6 * step / max(map(len, rungs.values())) for step in steps)])
    return {
        group.settings: chosen.remaining(group) / 2 ** (apart * (number - (len(same) - 1) / 2))
        for same in rungs.values()
        for number, group in enumerate(same)
    }
