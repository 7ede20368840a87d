"""What a drawn figure holds, and records made by recipes, for tests of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.synthetic import study
from lottery.pruning.masks import EMBEDDING
from lottery.pruning.tally import Words
from lottery.runs.record import Record

LADDER = (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984)
ARMS = ("lt", "random", "random_mask", "shuffled", "finetune")
WIDTH = 100  # weights of a word's row
BINS = {1: 4000, 2: 2000, 4: 1000, 8: 500}  # words that occur so often, to twice as often


def named(axes: Axes) -> dict:
    """Each line of the panel by its name."""
    return {line.get_label(): line for line in axes.get_lines() if line.get_label()[0] != "_"}


def full_study() -> list[Record]:
    """Every arm and way at once, controls at two rungs only."""
    made = study(ladder=LADDER, arms=("lt", "random"), seeds=(0, 1, 2))
    made += [
        one
        for one in study(ladder=LADDER, arms=("random_mask", "shuffled", "finetune"), seeds=(0, 1))
        if one.settings.rung in (2, 4)
    ]
    made += study(ladder=LADDER, arms=("lt",), seeds=(0, 1), rewind_step=438)
    made += study(ladder=LADDER, arms=("lt", "random"), seeds=(0, 1), scope="global")
    return once(made)


def once(records: list[Record]) -> list[Record]:
    """Each run once; the study's parts share their dense ones."""
    return list(
        {one.run + one.settings.dataset + one.settings.model: one for one in records}.values()
    )


def worded(record: Record) -> Record:
    """The same record with words counted: of each bin a half more is kept than of the one below."""
    total = WIDTH * sum(BINS.values())
    weight = sum(words * 1.5**n for n, words in enumerate(BINS.values()))
    kept = [
        round(WIDTH * words * min(1.0, (1 - record.settings.sparsity) * 1.5**n * 8000 / weight))
        for n, words in enumerate(BINS.values())
    ]
    if not record.settings.rung:
        kept = [WIDTH * words for words in BINS.values()]
    gone = [k // 2 if record.settings.weight_decay else 0 for k in kept]
    counted = tuple(
        Words(least, words, k, v)
        for (least, words), k, v in zip(BINS.items(), kept, gone, strict=True)
    )
    return replace(
        record, words=counted, layers=record.layers | {EMBEDDING: (total - sum(kept), total)}
    )


def seen(figure: Figure) -> Iterator:
    """All text that is seen."""
    for legend in figure.legends:
        yield from legend.get_texts()
    for axes in [one for panel in figure.axes for one in (panel, *panel.child_axes)]:
        titles = (axes.title, axes._left_title, axes._right_title)
        yield from (text for text in (*titles, *axes.texts) if text.get_text())
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            if axis.label.get_text() and axis.label.get_visible():
                yield axis.label
            for tick in axis.get_major_ticks():
                for label, shown in (
                    (tick.label1, tick.label1.get_visible()),
                    (tick.label2, tick.label2.get_visible()),
                ):
                    if shown and label.get_text() and low <= tick.get_loc() <= high:
                        yield label


def bars(axes: Axes) -> np.ndarray:
    """(bars, 4): where each upright bar stands, its lower and upper end in pixels, its width."""
    found = []
    for one in axes.collections:
        for segment in getattr(one, "get_segments", list)():
            (x, low), (_, high) = axes.transData.transform(segment)
            found.append((x, low, high, one.get_linewidth()[0] * axes.figure.dpi / 72))
    return np.array(found).reshape(-1, 4)
