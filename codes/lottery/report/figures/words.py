"""Why weight decay matters: what is left of a word's row, by how often training meets the word."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lottery.analysis import groups, selection
from lottery.analysis.groups import Group
from lottery.pruning.masks import EMBEDDING
from lottery.pruning.tally import VANISHED, Words
from lottery.report.figures import chosen
from lottery.report.figures.axes import grid, legend
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import Look, arm_look, panel_name, rung_look
from lottery.report.words import parts
from lottery.runs.record import Record

NEVER = 0.5  # where the log axis shows the words that the training texts lack
DENSE = {
    selection.WITH: arm_look("dense") | {"marker": "o", "markersize": 4},
    selection.WITHOUT: arm_look("finetune") | {"markersize": 5},
}
SHOWN = {
    "kept": "Kept of the words' weights (%)",
    "vanished": f"Below {VANISHED:g} after training (%)".replace("e-0", "e-"),
}

Line = tuple[str, Look, Group, str]  # name, look, whose rows, and which field of `Words`
Panel = tuple[str, list[Line]]  # with its title


def word_curve(records: Iterable[Record]) -> Picture | None:
    """Share of a word's row that is kept over how often the word occurs, a line for each rung.

    One row a model: tickets with weight decay, those without, and the share of the dense network's
    weights that training has brought to nothing. None where no record has counted words.
    """
    own = [record for record in chosen.finished(records) if record.words]
    ways = {way: groups.groups(some) for way, some in chosen.by_decay(own).items()}
    models = chosen.models(group for found in ways.values() for group in found)
    rows = [panels for model in models if (panels := _panels(ways, model))]
    if not rows:
        return None
    figure = Picture(0.9 + 2.7 * len(rows))
    places = figure.add_gridspec(len(rows), max(map(len, rows)))
    handles: dict[str, object] = {}
    for i, panels in enumerate(rows):
        for j, (title, lines) in enumerate(panels):
            axes = figure.add_subplot(places[i, j])
            for name, look, group, field in lines:
                axes.plot(*_shares(group, field), label=name, **look)
                handles.setdefault(name, Line2D([], [], **look))
            _word_axis(axes)
            if len(rows) == i + 1 or len(rows[i + 1]) <= j:
                axes.set_xlabel("Occurrences in the training texts", fontsize=9)
            axes.set_title(title, fontsize=10)
            axes.set_ylim(-4, 104)
            axes.set_ylabel(SHOWN[field], fontsize=9)
    legend(figure, handles)
    return figure


def _panels(ways: dict[str, list[Group]], model: str) -> list[Panel]:
    """What there is to draw of one model."""
    panels: list[Panel] = []
    dense: list[Line] = []
    for way, found in ways.items():
        own = [group for group in found if group.settings.model == model]
        tickets = [group for group in own if group.settings.arm == "lt"]
        ladder = max(groups.chains(tickets), key=len, default=[])
        names = list(parts(group.settings.sparsity for group in ladder).values())
        lines = [
            (f"{name} of the weights", rung_look(n), group, "kept")
            for n, (name, group) in enumerate(zip(names, ladder, strict=True))
        ]
        if lines:
            name = panel_name(*ladder[0].settings.pair)
            panels.append((f"{name}\ntickets {way} weight decay", lines))
        dense += [
            (f"dense, {way} weight decay", DENSE[way], group, "vanished")
            for group in own
            if group.settings.arm == "dense"
        ]
    if dense:
        panels.append((f"{panel_name(*dense[0][2].settings.pair)}\ndense: vanished weights", dense))
    return panels


def _shares(group: Group, field: str) -> tuple[list[float], list[float]]:
    """Least occurrences of each bin, and the mean over the seeds of its share in percent."""
    shares: dict[int, list[float]] = {}
    for record in group.records:
        width = record.layers[EMBEDDING][1] / sum(some.words for some in record.words)
        for some in record.words:
            shares.setdefault(some.least, []).append(_share(some, field, width))
    bins = sorted(shares)
    means = [sum(shares[least]) / len(shares[least]) for least in bins]
    return [float(least or NEVER) for least in bins], means


def _share(some: Words, field: str, width: float) -> float:
    """Percent of the rows' weights; `width` is the size of a row."""
    return 100 * getattr(some, field) / (some.words * width)


def _word_axis(axes: Axes) -> None:
    """A log axis of occurrences, each point the words from there to twice as many."""
    axes.set_xscale("log", base=2)
    low, high = axes.dataLim.intervalx
    ticks = [4.0**k for k in range(20) if 4.0**k <= high]
    ticks = ticks[:: -(-len(ticks) // 6)]
    axes.xaxis.set_major_locator(FixedLocator([NEVER, *ticks] if low < 1 else ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_count))
    axes.set_xlim(low / 1.5, high * 1.5)
    grid(axes)


def _count(value: float, _: int | None = None) -> str:
    """16384 as "16k"; what never occurs as "0"."""
    if value < 1:
        return "0"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.0f}{unit}"
    return f"{value:.0f}"
