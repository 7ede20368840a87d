"""Loss and accuracy over the epochs."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lottery.analysis import groups, selection
from lottery.analysis.groups import Group
from lottery.report.figures import chosen
from lottery.report.figures.axes import grid, name_lines
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import arm_look, panel_name
from lottery.runs.record import Record

PARTS = {"train": ("training", "random"), "valid": ("validation", "lt")}  # name, and whose look
CROSS = {"marker": "X", "markersize": 10, "color": "black", "markeredgecolor": "white", "zorder": 6}


def learning_curves(records: Iterable[Record], arm: str = "dense") -> Picture | None:
    """Loss and accuracy over the epochs on training and validation data, one column a model.

    Means over the seeds, each seed a thin line from two on. The cross is the epoch of lowest
    validation loss. Of a pruned arm the first rung is shown. None if the arm was not run.
    """
    found = groups.groups(selection.in_report(chosen.finished(records)))
    shown = [groups.first_rung(found, model, arm) for model in chosen.models(found)]
    shown = [group for group in shown if group]
    if not shown:
        return None
    figure = Picture(5.6)
    panels = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    for column, group in zip(panels.T, shown, strict=True):
        for axes, (quantity, scale) in zip(column, (("loss", 1), ("accuracy", 100)), strict=True):
            _history(axes, group, quantity, scale)
        column[0].set_title(panel_name(*group.settings.pair))
        column[1].set_xlabel("Epoch (cross: lowest validation loss)")
    panels[0, 0].set_ylabel("Loss")
    panels[1, 0].set_ylabel("Accuracy (%)")
    for axes in panels.flat:
        name_lines(axes, 0.12)
    return figure


def _history(axes: Axes, group: Group, quantity: str, scale: float) -> None:
    """Draw one model's training and validation figures over the epochs."""
    grid(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for part, (name, arm) in PARTS.items():
        look = arm_look(arm) | {"markersize": 4}
        each = [
            [scale * getattr(epoch, f"{part}_{quantity}") for epoch in record.history]
            for record in group.records
        ]
        mean = [sum(values) / len(each) for values in zip(*each, strict=True)]
        if group.seeds > 1:
            thin = {"color": look["color"], "linestyle": look["linestyle"], "alpha": 0.4}
            for values in each:
                axes.plot(range(1, len(values) + 1), values, linewidth=0.7, zorder=2, **thin)
        axes.plot(range(1, len(mean) + 1), mean, label=name, **look)
        if part == "valid":
            for record, values in zip(group.records, each, strict=True):
                axes.plot(record.best_epoch, values[record.best_epoch - 1], **CROSS)
