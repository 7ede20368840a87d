from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib import image

from helpers.synthetic import record, study, world
from lottery.analysis import groups
from lottery.analysis import intervals as evidence
from lottery.report import figures

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


def test_a_model_that_was_pruned_one_way_only_is_drawn_once():
    records = study(ladder=LADDER) + study(ladder=LADDER, models=("cnn",), scope="global")
    *_, cnn, lstm = figures.sparsity_curve(records).axes
    assert {"dense", "lt init"} < named(cnn).keys()
    assert not named(lstm)
    assert [text.get_text() for text in lstm.texts] == ["not run"]


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


def full_study():
    """Every arm and way at once, controls at two rungs only."""
    made = study(ladder=LADDER, arms=("lt", "random"), seeds=(0, 1, 2))
    made += [
        one
        for one in study(ladder=LADDER, arms=("random_mask", "shuffled", "finetune"), seeds=(0, 1))
        if one.settings.rung in (2, 4)
    ]
    made += study(ladder=LADDER, arms=("lt",), seeds=(0, 1), rewind_step=438)
    made += study(ladder=LADDER, arms=("lt", "random"), seeds=(0, 1), scope="global")
    return list({one.run + one.settings.model: one for one in made}.values())


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
        full_study(),
        [record()],
        [],
    ],
    ids=["one rung", "ladder", "all arms", "twenty", "equal", "variants", "full", "dense", "none"],
)
@pytest.mark.parametrize("draw", [*figures.PICTURES.values(), figures.learning_curves])
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
    assert figures._apart([0.1, 0.5], [0.1]) == [0.1, 0.5]
    for heights in ([0.5, 0.5, 0.5], [0.95, 0.99, 1.0], [0.0, 0.0, 0.01, 1.0]):
        moved = figures._apart(heights, [0.1] * (len(heights) - 1))
        assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(moved))
        assert moved[-1] <= 1


# The evidence


def test_bars_are_the_intervals_of_the_arm_itself():
    records = world({"lt": (0, -2)}, seeds=(0, 1, 2))
    axes = figures.sparsity_curve(records).axes[0]
    (bars,) = (one for one in axes.collections if one.get_segments())
    own = [r.correct for r in records if (r.settings.arm, r.settings.rung) == ("lt", 2)]
    given = evidence.interval(np.array(own))
    (x, low), (_, high) = bars.get_segments()[1]
    assert x == pytest.approx(25)
    assert (low, high) == pytest.approx((100 * given.low, 100 * given.high))
    dense = evidence.interval(np.array([r.correct for r in records if not r.settings.rung]))
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((100 * dense.low, 100 * dense.high))


def test_epochs_are_those_of_lowest_validation_loss():
    records = study(ladder=(0.5, 0.75), seeds=(0, 1))
    late = [
        replace(one, best_epoch=3) if (one.settings.arm, one.settings.seed) == ("lt", 1) else one
        for one in records
    ]
    axes = figures.epoch_curve(late).axes[0]
    assert list(named(axes)["lt init"].get_ydata()) == [2.5, 2.5]
    assert list(named(axes)["random init"].get_ydata()) == [2, 2]
    assert named(axes)["dense"].get_ydata()[0] == 2


def test_differences_are_drawn_beside_the_margins():
    records = world({"lt": (0, -1), "random": (-2, -2)})
    axes = figures.difference_curve(records).axes[0]
    lines = named(axes)
    assert list(lines["less dense"].get_ydata()) == pytest.approx([0, -1], abs=1e-6)
    assert list(lines["less random init"].get_ydata()) == pytest.approx([2, 1], abs=1e-6)
    across = {line.get_ydata()[0] for line in axes.get_lines() if len(set(line.get_ydata())) == 1}
    assert {-0.5, 0.0, 0.5} <= across


def test_layers_that_keep_the_same_are_one_line():
    records = [record(), record(arm="lt", ladder=(0.5,))]
    rung = record(arm="lt", ladder=(0.5, 0.75))
    less = rung.layers | {"output.weight": (250, 500)}
    lines = named(figures.density_curve([*records, replace(rung, layers=less)]).axes[0])
    assert list(lines["all others"].get_ydata()) == [100, 50, 25]
    assert list(lines["output"].get_ydata()) == [100, 50, 50]


def test_global_pruning_has_a_row_of_its_own():
    layered = study(ladder=(0.5,), arms=("lt",))
    overall = [r for r in study(ladder=(0.5,), arms=("lt",), scope="global") if r.settings.rung]
    figure = figures.density_curve([*layered, *overall])
    assert [axes.get_title() for axes in figure.axes] == [
        "IMDb, CNN, layer by layer",
        "IMDb, LSTM, layer by layer",
        "IMDb, CNN, all layers together",
        "IMDb, LSTM, all layers together",
    ]
    plain, other = (figures.sparsity_curve([*layered, *overall]).axes[i] for i in (0, 2))
    assert set(named(plain)) == {"dense", "lt init"}
    assert set(named(other)) == {"dense", "lt init", "lt init, scope global"}
    alone = figures.sparsity_curve([*(r for r in layered if not r.settings.rung), *overall])
    assert len(alone.axes) == 2


def test_every_line_of_a_full_study_has_its_own_look():
    axes = figures.sparsity_curve(full_study()).axes
    assert len(axes) == 4
    for panel in axes:
        lines = named(panel).values()
        assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == len(lines)
