"""What the curves draw is what the records say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from helpers.pictures import ARMS, BINS, LADDER, WIDTH, named, once, worded
from helpers.synthetic import record, study, world
from lottery import recipes
from lottery.analysis import intervals
from lottery.pruning import arms
from lottery.report import figures


def draw(kind, records):
    return figures.PICTURES[kind](records)


@pytest.fixture
def decay(monkeypatch):
    """One pair has a recipe with weight decay, and no other has."""
    monkeypatch.setitem(recipes.RECIPES, ("imdb", "cnn"), {"weight_decay": 1e-5})
    monkeypatch.setitem(recipes.WITHOUT_DECAY, ("imdb", "cnn"), {})


def both(**options):
    """The two recipes' records; those without decay are worse by a point."""
    return [
        one
        for weight_decay, dense in ((1e-5, 0.9), (0.0, 0.89))
        for one in world({"lt": (0, -1, -2)}, weight_decay=weight_decay, dense=dense, **options)
    ]


def test_bars_end_where_accuracy_does():
    """Two seeds far apart have an interval of hundreds of points, which would flatten the curve."""
    records = [
        record(arm=arm, ladder=ladder, seed=seed, correct=np.arange(40) < right)
        for seed, right in ((0, 4), (1, 36))
        for arm, ladder in (("dense", ()), ("lt", (0.5,)))
    ]
    (axes,) = draw("sparsity", records).axes
    assert axes.get_ylim()[0] > -10 and axes.get_ylim()[1] < 110


def test_random_places_far_below_do_not_flatten_the_tickets():
    records = world({"lt": (0, -2), "random_mask": (-5, -20)}, seeds=(0, 1))
    (axes,) = draw("sparsity", records).axes
    low, high = axes.get_ylim()
    tickets = [100 * r.test_accuracy for r in records if r.settings.arm in ("dense", "lt")]
    assert low < min(tickets) and max(tickets) < high and high - low < 10
    assert min(named(axes)["random mask"].get_ydata()) < low
    alone = [r for r in records if r.settings.arm != "lt"]
    (axes,) = draw("sparsity", alone).axes
    assert axes.get_ylim()[0] < min(named(axes)["random mask"].get_ydata())


def test_the_curve_shows_the_means_over_weights_remaining():
    records = study(ladder=LADDER, seeds=(0, 1, 2))
    figure = draw("sparsity", records)
    for axes, model in zip(figure.axes, ("cnn", "lstm"), strict=True):
        assert axes.get_xscale() == "log"
        assert axes.get_title() == f"IMDb, {model.upper()}"
        for arm in ("lt", "random"):
            own = [r for r in records if (r.settings.model, r.settings.arm) == (model, arm)]
            line = named(axes)[arms.label(arm)]
            for rung, (x, y) in enumerate(zip(*line.get_data(), strict=True), 1):
                same = [r for r in own if r.settings.rung == rung]
                assert abs(math.log2(x / (100 * (1 - same[0].sparsity)))) < 0.3  # moved aside
                assert y == pytest.approx(100 * np.mean([r.test_accuracy for r in same]))
        dense = [r for r in records if (r.settings.model, r.settings.rung) == (model, 0)]
        mean = 100 * np.mean([r.test_accuracy for r in dense])
        assert named(axes)["dense"].get_data()[0] == pytest.approx([100])
        assert named(axes)["dense"].get_data()[1] == pytest.approx([mean])
        band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
        assert (band.y0, band.y1) == pytest.approx((mean - 0.5, mean + 0.5))
        left, right = axes.get_xlim()
        assert left > 100 > 1.6 > right  # all weights on the left, none cut off on the right


def test_bars_are_the_intervals_of_the_arm_itself_and_dots_its_seeds():
    records = world({"lt": (0, -2)}, seeds=(0, 1, 2))
    axes = draw("sparsity", records).axes[0]
    own = [r for r in records if (r.settings.arm, r.settings.rung) == ("lt", 2)]
    given = intervals.interval(np.array([r.correct for r in own]))
    segments = [s for one in axes.collections for s in one.get_segments()]
    (ends,) = [s[:, 1] for s in segments if s[0, 0] == pytest.approx(25)]
    assert list(ends) == pytest.approx([100 * given.low, 100 * given.high])
    dots = [line for line in axes.get_lines() if line.get_marker() == "."]
    near = [line for line in dots if abs(line.get_xdata()[0] - 25) < 2]
    assert sorted(near[0].get_ydata()) == pytest.approx(sorted(100 * r.test_accuracy for r in own))
    assert len(dots) == 3


def test_one_seed_has_no_dot_beside_its_mean():
    axes = draw("sparsity", study(models=("cnn",))).axes[0]
    assert not [line for line in axes.get_lines() if line.get_marker() == "."]


def test_the_axis_above_tells_the_compression():
    figure = draw("sparsity", study(ladder=LADDER))
    figure.draw_without_rendering()
    (above,) = figure.axes[0].child_axes
    said = {tick.get_loc(): tick.label2.get_text() for tick in above.xaxis.get_major_ticks()}
    assert said == {100 / 2**k: f"×{2**k}" for k in range(7)}


def test_arms_differ_without_colour():
    lines = named(draw("sparsity", study(ladder=LADDER, arms=ARMS)).axes[0])
    assert len(lines) == 6
    assert len({line.get_marker() for line in lines.values()}) == 6


def test_ladders_that_part_are_not_joined():
    records = [*study(ladder=(0.5, 0.75), models=("cnn",)), record(arm="lt", ladder=(0.8,))]
    lines = draw("sparsity", records).axes[0].get_lines()
    assert sorted(len(line.get_xdata()) for line in lines if line.get_marker() == "o") == [1, 2]


def test_other_ways_have_a_line_of_their_own_beside_the_plain_one():
    records = study(ladder=LADDER) + study(ladder=LADDER, models=("cnn",), scope="global")
    records += study(ladder=LADDER, models=("cnn",), rewind_step=438)
    cnn, lstm = (named(axes) for axes in draw("sparsity", once(records)).axes)
    assert cnn.keys() - lstm.keys() == {
        "lt init, global pruning",
        "lt init, rewound to step 438",
        "random init, global pruning",
        "random init, rewound to step 438",
    }


def test_another_protocol_is_not_drawn():
    records = study(models=("cnn",))
    other = record(seed=1, accuracy=0.1, max_tokens=9)
    dense = named(draw("sparsity", [*records, other]).axes[0])["dense"]
    assert dense.get_ydata()[0] == pytest.approx(100 * records[0].test_accuracy)


def test_what_is_kept_dense_is_not_among_the_prunable_weights():
    kept = {"kept_dense": ("embedding.weight",)}
    dense, ticket = record(), record(arm="lt", ladder=(0.75,), **kept)
    whole = ticket.layers | {"embedding.weight": (0, 8000)}
    (axes,) = draw("sparsity", [dense, replace(ticket, layers=whole)]).axes
    (line,) = [line for name, line in named(axes).items() if name.startswith("lt init")]
    assert line.get_xdata() == pytest.approx([25])


def test_decay_is_drawn_where_both_recipes_are(decay):
    records = both()
    (axes,) = draw("decay", [*records, *study(models=("lstm",))]).axes
    lines = named(axes)
    for way, height in (("with", 90), ("without", 89)):
        assert lines[f"dense, {way} weight decay"].get_ydata() == pytest.approx([height])
        drop = lines[f"lt init, {way} weight decay"].get_ydata()
        assert list(drop) == pytest.approx([height, height - 1, height - 2], abs=0.01)
    assert draw("decay", [r for r in records if not r.settings.weight_decay]) is None
    assert draw("decay", [r for r in records if r.settings.weight_decay]) is None


def test_no_decay_is_drawn_while_the_recipes_are_the_same():
    assert draw("decay", study(ladder=LADDER)) is None


def test_words_are_shares_of_their_rows(decay):
    records = [worded(one) for one in both(seeds=(0, 1))]
    figure = draw("words", records)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "IMDb, CNN\ntickets with weight decay",
        "IMDb, CNN\ntickets without weight decay",
        "IMDb, CNN\ndense: vanished weights",
    ]
    for axes in figure.axes[:2]:
        assert list(named(axes)) == [f"1/{2**n} of the weights" for n in (1, 2, 3)]
        for n, line in enumerate(named(axes).values(), 1):
            (own,) = {one.words for one in records if one.settings.rung == n and decayed(one, axes)}
            shares = [100 * some.kept / (some.words * WIDTH) for some in own]
            assert list(line.get_xdata()) == list(BINS)
            assert list(line.get_ydata()) == pytest.approx(shares)
    dense = named(figure.axes[2])
    assert list(dense["dense, with weight decay"].get_ydata()) == pytest.approx([50] * 4)
    assert list(dense["dense, without weight decay"].get_ydata()) == [0] * 4


def decayed(one, axes):
    return bool(one.settings.weight_decay) != ("without" in axes.get_title())


def test_words_are_drawn_where_records_hold_them():
    records = study(ladder=LADDER, seeds=(0, 1))
    assert draw("words", records) is None
    some = [worded(one) if one.settings.model == "lstm" else one for one in records]
    titles = [axes.get_title() for axes in draw("words", some).axes]
    assert titles == [
        "IMDb, LSTM\ntickets without weight decay",
        "IMDb, LSTM\ndense: vanished weights",
    ]


def test_layers_that_keep_the_same_are_one_line():
    records = [record(), record(arm="lt", ladder=(0.5,), scope="global")]
    rung = record(arm="lt", ladder=(0.5, 0.75), scope="global")
    less = rung.layers | {"output.weight": (250, 500)}
    (axes,) = draw("densities", [*records, replace(rung, layers=less)]).axes
    lines = named(axes)
    assert list(lines["all others"].get_ydata()) == [100, 50, 25]
    assert list(lines["output"].get_ydata()) == [100, 50, 50]


def test_layers_are_drawn_for_global_pruning_alone():
    layered = study(ladder=LADDER, arms=("lt",))
    assert draw("densities", layered) is None
    overall = study(ladder=LADDER, arms=("lt",), scope="global", models=("lstm",))
    (axes,) = draw("densities", [*layered, *overall]).axes
    assert axes.get_title() == "IMDb, LSTM, all layers together"


def test_learning_curves_show_the_history():
    records = [record(seed=0, loss=0.2), record(seed=1, loss=0.4)]
    figure = figures.learning_curves(records)
    assert len(figure.axes) == 2  # one model: no panel for the other
    loss = named(figure.axes[0])
    assert list(loss["validation"].get_ydata()) == pytest.approx([0.4, 0.32, 0.35])
    assert list(loss["training"].get_ydata()) == pytest.approx([0.3, 0.12, 0.05])
    for epoch in (2, 3):
        chosen = [replace(one, best_epoch=epoch) for one in records]
        lines = figures.learning_curves(chosen).axes[0].get_lines()
        crosses = [line for line in lines if line.get_marker() == "X"]
        assert [cross.get_data()[0][0] for cross in crosses] == [epoch, epoch]


def test_learning_curves_of_an_arm_that_was_not_run():
    assert figures.learning_curves(study(), "finetune") is None
