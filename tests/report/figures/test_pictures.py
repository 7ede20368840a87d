"""What holds for every picture: its words are apart and whole, no panel is empty, bytes repeat."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from itertools import combinations, pairwise

import pytest
from matplotlib import image

from helpers.pictures import ARMS, LADDER, bars, full_study, named, once, seen, worded
from helpers.synthetic import record, study, world
from lottery import recipes
from lottery.report import figures
from lottery.report.figures import axes as shared
from lottery.report.figures import picture, styles

FAILED = {"test_loss": None, "test_accuracy": None, "test_correct": "", "best_epoch": 0}
TRAVELLING = ("transferred", "transferred_shuffled")
CASES = {
    "one rung": study(),
    "ladder": study(ladder=LADDER, seeds=(0, 1, 2)),
    "all arms": study(ladder=LADDER, arms=ARMS, seeds=(0, 1)),
    "twenty": study(ladder=tuple(1 - 0.8**k for k in range(1, 21))),
    "equal": [record(arm=arm, ladder=() if arm == "dense" else (0.5,)) for arm in ("dense", *ARMS)],
    "variants": once([*study(arms=("lt",)), *study(arms=("lt",), rewind_step=438)]),
    "full": full_study(),
    "recipes": [
        worded(one)
        for decay in (1e-5, 0.0)
        for one in study(ladder=LADDER, seeds=(0, 1), weight_decay=decay)
    ],
    "one model": study(ladder=LADDER, models=("lstm",), seeds=(0, 1)),
    "fallen": world({"lt": (0.2, -0.4, -30), "random": (-1, -2, -39)}, seeds=(0, 1, 2)),
    "three pairs": [*study(ladder=LADDER), *study("agnews", models=("cnn",), seeds=(0, 1))],
    "failed": [*study(), replace(record(arm="lt", ladder=(0.5,), seed=9), failed="nan", **FAILED)],
    "travel": [
        *world({"lt": (-0.1, -0.4)}, seeds=(0, 1)),
        *world(dict.fromkeys(TRAVELLING, (-0.2, -2)), seeds=(0, 1), source="agnews")[2:],
    ],
    "dense": [record()],
    "none": [],
}
DRAW = figures.PICTURES | figures.ACROSS | {"learning": figures.learning_curves}
DRAWN = {  # beside the sparsity curve and the forest, which all but two have
    "recipes": {"decay", "words"},
    "full": {"densities"},
    "travel": {"travel"},
}


@pytest.fixture(autouse=True)
def decay(monkeypatch):
    """Recipes with weight decay and without, whatever today's are."""
    for model in ("cnn", "lstm"):
        monkeypatch.setitem(recipes.RECIPES, ("imdb", model), {"weight_decay": 1e-5})
        monkeypatch.setitem(recipes.WITHOUT_DECAY, ("imdb", model), {})


def drawn(kind, name):
    """A picture of the case, None if it has none."""
    own = CASES[name]
    if kind not in figures.ACROSS:
        own = [one for one in own if one.settings.dataset == "imdb"]
    return DRAW[kind](own)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", DRAW)
def test_pictures_are_whole_and_apart(kind, name):
    figure = drawn(kind, name)
    wanted = set() if name in ("dense", "none") else {"sparsity", "forest"} | DRAWN.get(name, set())
    wanted |= {"learning"} if name != "none" else set()
    assert (figure is not None) == (kind in wanted)
    if figure is None:
        return
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in seen(figure)]
    width, height = figure.bbox.size
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
    assert not [both for both in combinations(boxes, 2) if both[0].overlaps(both[1])]
    for panel in figure.axes:
        assert named(panel), "an empty panel"
        assert "not run" not in {text.get_text() for text in panel.texts}


@pytest.mark.parametrize("name", sorted(set(CASES) - {"dense", "none", "equal"}))
def test_no_bars_lie_on_each_other(name):
    figure = drawn("sparsity", name)
    figure.draw_without_rendering()
    for panel in figure.axes:
        found = bars(panel)
        assert len(found)
        for (x, low, high, width), (other, lower, higher, _) in combinations(found, 2):
            assert abs(x - other) > width or high < lower or low > higher


@pytest.mark.parametrize("kind", ["sparsity", "decay", "words"])
def test_a_legend_names_what_is_drawn_and_nothing_else(kind):
    figure = drawn(kind, "recipes")
    (legend,) = figure.legends
    said = {text.get_text() for text in legend.get_texts()}
    band = {"dense ± 0.5 points"} if kind == "sparsity" else set()
    assert said == {name for panel in figure.axes for name in named(panel)} | band


@pytest.mark.parametrize(("kind", "name"), [("sparsity", "full"), ("words", "recipes")])
def test_every_line_has_its_own_look_without_colour(kind, name):
    for panel in drawn(kind, name).axes:
        lines = named(panel).values()
        assert len({(one.get_marker(), one._unscaled_dash_pattern) for one in lines}) == len(lines)


def test_an_unknown_arm_has_a_look_of_its_own_and_keeps_it():
    assert styles.arm_look("of_tomorrow") == styles.arm_look("of_tomorrow")
    known = {styles.arm_look(arm)["marker"] for arm in ARMS}
    assert styles.arm_look("of_tomorrow")["marker"] not in known


def test_an_unknown_layer_has_its_tensors_name():
    settings = record().settings
    assert styles.layer_name("attention.query.weight", settings) == "attention.query"
    assert styles.layer_name("convolutions.1.weight", settings) == "filters of 4"
    assert styles.layer_name("convolutions.9.weight", settings) == "convolutions.9"
    settings = record(model="lstm").settings
    assert styles.layer_name("lstm.weight_hh_l0_reverse", settings) == "recurrent back"


@pytest.mark.parametrize("kind", DRAW)
def test_a_picture_is_whole_and_the_same_twice(kind):
    name = {"densities": "full", "travel": "travel"}.get(kind, "recipes")
    shown, lines = figures.both(drawn(kind, name))
    assert figures.both(drawn(kind, name)) == (shown, lines)
    assert image.imread(BytesIO(shown)).shape[1] == 1350
    assert shown.count(b"tEXt") == 1 and b"dc:date" not in lines  # no date is named
    assert b"matplotlib" not in shown
    assert picture.is_of(shown, lines)
    assert picture.is_same(lines, lines)
    for file, content in (("a.png", shown), ("a.svg", lines)):
        assert picture.is_whole(file, content)
        assert not picture.is_whole(file, content[:-100])


def test_a_notebook_gets_a_picture_of_900_pixels():
    content, size = drawn("sparsity", "one rung")._repr_png_()
    assert content.startswith(b"\x89PNG")
    assert size["width"] == 900


def test_names_are_moved_apart_as_little_as_it_takes():
    assert shared._apart([0.1, 0.5], [0.1]) == [0.1, 0.5]
    for heights in ([0.5, 0.5, 0.5], [0.95, 0.99, 1.0], [0.0, 0.0, 0.01, 1.0]):
        moved = shared._apart(heights, [0.1] * (len(heights) - 1))
        assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(moved))
        assert moved[-1] <= 1
