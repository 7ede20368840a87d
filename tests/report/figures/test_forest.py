"""The forest shows the facts: where, how sure, in which state, with how many seeds."""

from __future__ import annotations

import pytest

from helpers.pictures import LADDER, named
from helpers.synthetic import study, world
from lottery.analysis import verdict
from lottery.report.figures import ACROSS, styles


def worlds():
    return [
        *world({"lt": (0.2, -0.45, -3), "random": (-1, -1, -4)}),
        *world({"lt": (-2, -2, -3)}, dataset="agnews", model="lstm", seeds=(0, 1, 2)),
        *study("agnews", ladder=LADDER, models=("cnn",)),
    ]


def test_every_rung_is_a_row_with_its_state():
    records = worlds()
    figure = ACROSS["forest"](records)
    found = verdict.pairs(records)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["IMDb, CNN", "AG-news, CNN", "AG-news, LSTM"]
    states = set()
    for axes, pair in zip(figure.axes, found, strict=True):
        lines = list(named(axes).values())
        bars = [s for one in axes.collections for s in one.get_segments()]
        for y, (line, bar, rung) in enumerate(zip(lines, bars, pair.rungs, strict=True)):
            fact = rung[verdict.TICKET]
            given = fact.interval
            assert line.get_xydata()[0] == pytest.approx([100 * given.mean, y])
            assert bar[:, 0] == pytest.approx([100 * given.low, 100 * given.high])
            assert line.get_marker() == styles.STATES[fact.state]["marker"]
            assert line.get_color() == styles.STATES[fact.state]["color"]
            states.add(fact.state)
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == [f"1/{2 ** (n + 1)} of the weights" for n in range(len(names))]
        band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
        assert (band.x0, band.x1) == pytest.approx((-0.5, 0.5))
    assert states == set(styles.STATES)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said[-2:] == ["points [95 % interval]", "seeds"]
    assert said[1:6:2] == ["5", "5", "5"]
    assert [text.get_text() for text in figure.axes[1].texts][1::2] == ["1"] * 6


def test_states_differ_without_colour():
    looks = styles.STATES.values()
    assert len({look["marker"] for look in looks}) == len(looks)


def test_a_legend_names_the_states_that_there_are():
    figure = ACROSS["forest"](study(ladder=LADDER))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["open", "± 0.5 points"]


def test_pairs_without_rungs_and_failed_runs_have_no_panel():
    records = [one for one in worlds() if one.settings.dataset == "imdb" or not one.settings.rung]
    assert len(ACROSS["forest"](records).axes) == 1
    assert ACROSS["forest"]([one for one in records if not one.settings.rung]) is None


def test_what_lies_far_beyond_is_an_arrow_with_its_number():
    axes = ACROSS["forest"](world({"lt": (0, -30)}, seeds=(0, 1, 2))).axes[0]
    left, _ = axes.get_xlim()
    assert left > -12  # the margin stays wide enough to be seen
    (arrow,) = [line for line in axes.get_lines() if line.get_marker() == "<"]
    assert arrow.get_xydata()[0] == pytest.approx([left, 1])
    assert axes.texts[2].get_text().startswith("−30.0")
