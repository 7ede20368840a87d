"""What is in a ticket, drawn: matrices, masks, words and layers; readable in grey."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from lottery.files import UserError
from lottery.report.figures.axes import grid
from lottery.report.figures.picture import Picture
from lottery.report.figures.styles import layer_name, panel_name
from lottery.report.words import part
from lottery.tickets import inside
from lottery.tickets.ticket import Ticket

INK = {"cmap": "Greys", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
BAR = {"color": "0.45", "edgecolor": "black", "linewidth": 0.8}
NAMED = 8  # words named in a picture, of those that keep most and of the common that keep least
RUNGS = 3


def matrices(named: Mapping[str, Tensor]) -> Picture:
    """Small matrices side by side, each number in its cell; the darker the further from zero.

    What is zero or False is an empty cell.
    """
    figure = Picture(3.5)
    panels = figure.subplots(1, len(named), squeeze=False)[0]
    for axes, (name, matrix) in zip(panels, named.items(), strict=True):
        values = matrix.numpy().astype(float)
        shades = np.abs(values) / max(np.abs(values).max(), 1e-9)
        axes.imshow(0.65 * shades, **INK)
        for (row, column), value in np.ndenumerate(values):
            said = f"{value:.2f}".replace("-", "−") if matrix.is_floating_point() else "1"
            if value:
                axes.text(column, row, said, ha="center", va="center", fontsize=8)
        axes.set_title(name, fontsize=10)
        axes.set(xticks=[], yticks=[])
    return figure


def mask(ticket: Ticket, number: int = 0) -> Picture:
    """What three rungs keep of one filter (`number`), or of an LSTM's input gate; black is kept."""
    rungs = inside.at_rungs(ticket)
    steps = list(rungs)
    chosen = sorted({round(i * (len(steps) - 1) / (RUNGS - 1)) for i in range(RUNGS)})
    is_cnn = ticket.settings.model == "cnn"
    filters = range(len(rungs[steps[0]]))
    if is_cnn and number not in filters:
        raise UserError(f"number {number!r} is no filter shown here: there are 0 to {filters[-1]}")
    figure = Picture(4.8 if is_cnn else 3.7)
    shape = (len(chosen), 1) if is_cnn else (1, len(chosen))
    panels = figure.subplots(*shape, squeeze=False).ravel()
    for axes, place in zip(panels, chosen, strict=True):
        kept = rungs[steps[place]]
        shown = kept[number].T if is_cnn else kept
        axes.imshow(shown.numpy(), aspect="auto" if is_cnn else "equal", **INK)
        share = f"{100 * shown.float().mean():.3g} %"
        axes.set_title(f"at {part(steps[place])} of all weights: {share} kept", fontsize=10)
        if is_cnn:
            names = [f"word {n + 1}" for n in range(len(shown))]
            axes.set_yticks(range(len(shown)), names, fontsize=8)
        else:
            axes.set(xlabel="from unit", ylabel="to unit" if place == 0 else "")
    if is_cnn:
        panels[-1].set_xlabel("feature of the word")
    what = f"filter {number} of {layer_name(inside.shown(ticket.settings), ticket.settings)}"
    what = what if is_cnn else "recurrent input gate"
    figure.suptitle(f"{panel_name(*ticket.settings.pair)}: {what}")
    return figure


def words(frame: pd.DataFrame) -> Picture:
    """Share of each word's row that is kept, of `inside.words`: a dot a word, some with names.

    Over how often a word occurs, or over its rank where that is not known.
    """
    figure = Picture(4.6)
    axes = figure.subplots()
    x = "occurs" if "occurs" in frame else "rank"
    frame = frame[frame[x] > 0]
    axes.plot(frame[x], frame["kept"], ".", color="0.55", markersize=3, markeredgewidth=0)
    most = frame.sort_values(["kept", "rank"], ascending=[False, True])
    least = frame.sort_values(["kept", "rank"])
    _names(axes, _apart(most, x, 0.5, 4.0), x, (5, 0))
    _names(axes, _apart(least, x, 0.06, 4.0), x, (0, 6), rotation=90)
    axes.set_xscale("log")
    if x == "rank":
        axes.invert_xaxis()
    axes.set_ylim(-4, 1.12 * max(frame["kept"].max(), 20))
    axes.set_xlabel("Occurrences in the training texts (log)" if x == "occurs"
                    else "Rank of the word (log; to the right commoner)")  # fmt: skip
    axes.set_ylabel("Kept of the word's row (%)")
    grid(axes)
    return figure


def layers(frame: pd.DataFrame, title: str = "") -> Picture:
    """What each layer keeps, of `inside.layers`: a bar a layer, with its share and count."""
    figure = Picture(0.9 + 0.45 * len(frame))
    axes = figure.subplots()
    axes.barh(frame.index, frame["percent"], **BAR)
    for place, row in enumerate(frame.itertuples()):
        said = f"{row.percent:.3g} %, {row.kept:,} of {row.weights:,}"
        inner = row.percent > 70
        axes.annotate(said, (row.percent, place), (-6 if inner else 6, 0), fontsize=9, va="center",
                      textcoords="offset points", ha="right" if inner else "left",
                      color="white" if inner else "black")  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("Kept of the layer's weights (%)")
    axes.set_title(title)
    grid(axes, "x")
    return figure


def moved(found: inside.Moved, most: int = 10) -> Picture:
    """What the windows of `inside.moved` add to the answer, the `most` that add or take most."""
    windows = found.windows[:most]
    figure = Picture(1.0 + 0.3 * len(windows))
    axes = figure.subplots()
    names = [f"{row.words} ({row.filters})" for row in windows.itertuples()]
    shades = ["0.35" if value >= 0 else "white" for value in windows["moves"]]
    axes.barh(range(len(windows)), windows["moves"], **BAR | {"color": shades})
    axes.set_yticks(range(len(windows)), [name.replace("$", r"\$") for name in names], fontsize=9)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("Added to the logit (white: taken away); in brackets the filters that it won")
    axes.set_title(f"What speaks for “{found.name}”", fontsize=10)
    grid(axes, "x")
    return figure


def _apart(some: pd.DataFrame, x: str, wide: float, high: float) -> pd.DataFrame:
    """The first words whose names do not meet: `wide` is in powers of ten, `high` in percent."""
    chosen: list[int] = []
    at, kept = np.log10(some[x].to_numpy()), some["kept"].to_numpy()
    for i in range(len(some)):
        far = (abs(at[i] - at[j]) > wide or abs(kept[i] - kept[j]) > high for j in chosen)
        if all(far):
            chosen.append(i)
        if len(chosen) == NAMED:
            break
    return some.iloc[chosen]


def _names(axes: Axes, some: pd.DataFrame, x: str, offset: tuple[float, float], **how) -> None:
    """Name some words beside their dots, which are circled."""
    axes.plot(some[x], some["kept"], "o", color="black", markersize=4, fillstyle="none")
    for row in some.itertuples():
        axes.annotate(
            row.word.replace("$", r"\$"),
            (getattr(row, x), row.kept),
            offset,
            textcoords="offset points",
            fontsize=8,
            va="center" if not how else "bottom",
            ha="left" if not how else "center",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            **how,
        )
