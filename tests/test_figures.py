from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib import image

from lottery import figures, groups
from synthetic import record, study

LADDER = (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984)
ARMS = ("lt", "random", "random_mask", "shuffled", "finetune")


def named(axes):
    """Each line of the panel by its name."""
    return {line.get_label(): line for line in axes.get_lines() if line.get_label()[0] != "_"}


def test_the_curve_shows_the_means_over_weights_remaining():
    records = study(ladder=LADDER, seeds=(0, 1, 2))
    figure = figures.sparsity_curve(records)
    for axes, model in zip(figure.axes, ("cnn", "lstm"), strict=True):
        assert axes.get_xscale() == "log"
        assert axes.get_title() == f"IMDb, {model.upper()}"
        for arm in ("lt", "random"):
            own = [r for r in records if (r.settings.model, r.settings.arm) == (model, arm)]
            line = named(axes)[groups.ARM_LABELS[arm]]
            for rung, (x, y) in enumerate(zip(*line.get_data(), strict=True), 1):
                same = [r for r in own if r.settings.rung == rung]
                assert x == pytest.approx(100 * (1 - same[0].sparsity))
                assert y == pytest.approx(100 * np.mean([r.test_accuracy for r in same]))
        dense = [r.test_accuracy for r in records if r.settings.run and _dense(r, model)]
        assert named(axes)["dense"].get_ydata()[0] == pytest.approx(100 * np.mean(dense))
        left, right = axes.get_xlim()
        assert left > 100 > 1.6 > right  # all weights on the left, none cut off on the right


def _dense(one, model):
    return (one.settings.model, one.settings.arm) == (model, "dense")


def test_arms_differ_without_colour():
    lines = named(figures.sparsity_curve(study(ladder=LADDER, arms=ARMS)).axes[0])
    assert len(lines) == 6
    looks = {
        (line.get_linestyle(), line.get_marker(), str(line.get_markerfacecolor()) == "white")
        for line in lines.values()
    }
    assert len(looks) == 6
    assert len({line.get_marker() for line in lines.values()}) == 6


def test_ladders_that_part_are_not_joined():
    records = [*study(ladder=(0.5, 0.75), models=("cnn",)), record(arm="lt", ladder=(0.8,))]
    drawn = [
        [round(x) for x in line.get_xdata()]
        for line in figures.sparsity_curve(records).axes[0].get_lines()
        if line.get_marker() == "o" and line.get_transform() != line.axes.transAxes
    ]
    assert sorted(drawn) == [[20], [50, 25]]


def test_another_protocol_is_not_drawn():
    records = study(models=("cnn",))
    other = record(seed=1, accuracy=0.1, max_tokens=9)
    dense = named(figures.sparsity_curve([*records, other]).axes[0])["dense"]
    assert dense.get_ydata()[0] == pytest.approx(100 * records[0].test_accuracy)


def test_learning_curves_show_the_history():
    records = [record(seed=0, loss=0.2), record(seed=1, loss=0.4)]
    figure = figures.learning_curves(records)
    loss = named(figure.axes[0])
    assert list(loss["validation"].get_ydata()) == pytest.approx([0.4, 0.32, 0.35])
    assert list(loss["training"].get_ydata()) == pytest.approx([0.3, 0.12, 0.05])
    crosses = [line for line in figure.axes[0].get_lines() if line.get_marker() == "X"]
    assert [cross.get_data()[0][0] for cross in crosses] == [2, 2]
    late = [replace(one, best_epoch=3) for one in records]
    crosses = [
        x for x in figures.learning_curves(late).axes[0].get_lines() if x.get_marker() == "X"
    ]
    assert [cross.get_data()[0][0] for cross in crosses] == [3, 3]


def words(figure):
    """All text that is seen."""
    for axes in figure.axes:
        yield from (text for text in (axes.title, *axes.texts) if text.get_text())
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            if axis.label.get_text():
                yield axis.label
            for tick in axis.get_major_ticks():
                if tick.label1.get_visible() and low <= tick.get_loc() <= high:
                    yield tick.label1


@pytest.mark.parametrize(
    "records",
    [
        study(),
        study(ladder=LADDER, seeds=(0, 1, 2)),
        study(ladder=LADDER, arms=ARMS, seeds=(0, 1)),
        study(ladder=tuple(1 - 0.8**k for k in range(1, 21))),
        [record(arm=arm, ladder=() if arm == "dense" else (0.5,)) for arm in ("dense", *ARMS)],
        [*study(arms=("lt",)), *study(arms=("lt",), rewind_step=438)],
        [record()],
        [],
    ],
    ids=["one rung", "ladder", "all arms", "twenty", "equal", "variants", "dense", "none"],
)
@pytest.mark.parametrize("draw", [figures.sparsity_curve, figures.learning_curves])
def test_no_words_overlap_or_are_cut(records, draw):
    figure = draw(records)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in words(figure)]
    assert boxes
    width, height = figure.bbox.size
    for box in boxes:
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= height
    for i, box in enumerate(boxes):
        for other in boxes[i + 1 :]:
            assert not box.overlaps(other)


def test_a_picture_is_saved_whole_and_the_same_twice(tmp_path):
    for name in ("a.png", "b.png"):
        figures.save(figures.sparsity_curve(study()), tmp_path / "new" / name)
    one, two = ((tmp_path / "new" / name).read_bytes() for name in ("a.png", "b.png"))
    assert one == two
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]
    assert image.imread(tmp_path / "new" / "a.png").shape[1] == 1350


def test_a_notebook_gets_a_picture_of_900_pixels():
    content, size = figures.sparsity_curve(study())._repr_png_()
    assert content.startswith(b"\x89PNG")
    assert size["width"] == 900


def test_names_are_moved_apart_as_little_as_it_takes():
    assert figures._apart([0.1, 0.5], 0.1) == [0.1, 0.5]
    for heights in ([0.5, 0.5, 0.5], [0.95, 0.99, 1.0], [0.0, 0.0, 0.01, 1.0]):
        moved = figures._apart(heights, 0.1)
        assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(moved))
        assert moved[-1] <= 1
