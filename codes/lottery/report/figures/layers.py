"""What each layer keeps of its weights, where pruning looks at all layers together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lottery.analysis import groups, protocols, selection
from lottery.analysis.groups import Group
from lottery.report.figures import chosen
from lottery.report.figures.axes import grid, name_lines, remaining_axis
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import layer_name, panel_name, rung_look
from lottery.runs.record import Record


def density_curve(records: Iterable[Record]) -> Picture | None:
    """What each layer keeps over what the network keeps, both in log, one panel a model.

    Global pruning alone: layer by layer all layers but the output's keep the same. Layers that
    keep the same all along are one line.
    """
    found = groups.groups(selection.in_report(chosen.finished(records)))
    # Rewinding changes values, and how much goes from each layer hardly: one ladder is enough.
    tickets = [g for g in found if g.settings.arm == "lt" and g.settings.scope == "global"]
    ladders = []
    for model in chosen.models(tickets):
        own = [group for group in tickets if group.settings.model == model]
        way = protocols.variant(groups.first_rung(own, model, "lt").settings)
        own = [group for group in own if protocols.variant(group.settings) == way]
        ladders.append(max(groups.chains(own), key=len))
    if not ladders:
        return None
    figure = Picture(4.0)
    panels = figure.subplots(1, len(ladders), sharey=True, squeeze=False)[0]
    for axes, ladder in zip(panels, ladders, strict=True):
        _densities(axes, ladder)
        axes.set_title(f"{panel_name(*ladder[0].settings.pair)}, all layers together")
    panels[0].set_ylabel("Remaining in the layer (%, log)")
    for axes in panels:
        name_lines(axes, 0.07)
    return figure


def _densities(axes: Axes, chain: list[Group]) -> None:
    """Draw each layer of one ladder, those that keep the same as one line."""
    together: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for layer in chain[0].records[0].layers:
        kept = [[1 - r.layers[layer][0] / r.layers[layer][1] for r in g.records] for g in chain]
        together[tuple(float(f"{100 * sum(k) / len(k):.3g}") for k in kept)].append(layer)
    x = [100.0, *map(chosen.remaining, chain)]
    for number, (kept, layers) in enumerate(together.items()):
        names = [layer_name(layer, chain[0].settings) for layer in layers]
        name = "all others" if len(names) > 2 and len(together) > 1 else ", ".join(names)
        # A layer that has lost everything has no place on a log axis.
        shown = [(at, share) for at, share in zip(x, [100.0, *kept], strict=True) if share > 0]
        axes.plot(*zip(*shown, strict=True), label=name, **rung_look(number))
    remaining_axis(axes, min(x))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    grid(axes)
