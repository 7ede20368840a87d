"""The table of scores by hand; the rest of the report knows nothing of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.synthetic import record, right, world
from lottery import recipes
from lottery.analysis import selection, verdict
from lottery.analysis.frame import frame
from lottery.analysis.intervals import interval
from lottery.report import page as report
from lottery.report import scores
from lottery.report.evidence import differences
from lottery.report.figures.accuracy import sparsity_curve
from lottery.report.tables import other_settings, rungs
from lottery.runs.store import Store

SHOT = (0.875,)
HEIGHTS = {"magnitude": -0.2, "snip": -1.5, "movement": 0.1}


def shots(seeds=(0, 1, 2), ladder=SHOT, names=HEIGHTS, **options):
    """One-shot tickets by several scores, so many points above dense."""
    return [
        record(
            "imdb",
            "cnn",
            "lt",
            ladder,
            seed,
            correct=right(0.9 + HEIGHTS.get(name, 0) / 100, seed, f"lt{name}", ladder),
            score=name,
            **options,
        )
        for name in names
        for seed in seeds
    ]


@pytest.fixture
def usual():
    return world({"lt": (0.1, -0.1, -0.3), "random": (0, -0.4, -0.6)}, seeds=(0, 1, 2))


def test_a_row_a_score_by_hand(usual):
    made = scores([*usual, *shots()])
    assert made.columns.name == "Pair" and list(made.index) == ["IMDb CNN"] * 3
    assert list(made["Score"]) == ["magnitude", "movement", "snip"]
    assert list(made["Of"]) == ["trained", "trained", "first values"]
    assert set(made["Ladder"]) == {"87.5 %"} and set(made["Seeds"]) == {"3"}
    dense = np.array([right(0.9, seed, "dense") for seed in range(3)])
    for row, name in zip(made.itertuples(index=False), made["Score"], strict=True):
        own = np.array([right(0.9 + HEIGHTS[name] / 100, s, f"lt{name}", SHOT) for s in range(3)])
        given = interval(own.astype(np.int8) - dense)
        assert row[3] == f"{100 * own.mean():.2f} %"
        low, mean, high = (
            f"{100 * v:+.2f}".replace("-", "−") for v in (given.low, given.mean, given.high)
        )
        assert row[4].removesuffix(" †") == f"{mean} ({low} to {high}; 3)"
    assert made["less magnitude"].iloc[0] == "–"
    assert made["less magnitude"].iloc[2].startswith("−1.30")


def test_what_the_ladders_count_is_not_counted_again(usual):
    """One-shot ladders are apart; one on the main ladder has its difference from dense there."""
    for more, intervals in ((shots(), 3 + 2), (shots(ladder=(0.5, 0.75), names=["snip"]), 1 + 1)):
        text = report.page([*usual, *more], ["imdb"], {})
        assert f"These are {intervals} more intervals." in text, more[0].settings


def test_without_a_comparison_there_is_no_table(usual):
    assert len(scores([])) == 0 and len(scores(usual)) == 0
    assert len(scores([*usual, *shots(names=["magnitude"])])) == 0, "one score alone"
    assert "## Scores" not in report.page(usual, ["imdb"], {})
    text = report.page([*usual, *shots()], ["imdb"], {})
    assert text.count("## Scores") == 1
    assert "of 2 rows: better 1, worse 1, the same within 0.5 points 0, open 0." in text


def test_what_has_no_second_score_beside_it_is_among_the_other_settings(usual):
    """An arm by another score, and a ladder that was run by one score alone."""
    more = [
        record("imdb", "cnn", "random", SHOT, score="snip"),
        record("imdb", "cnn", "lt", (0.9,), score="snip"),
    ]
    assert not len(other_settings(usual))
    frame = other_settings([*usual, *more])
    assert list(frame["Arm"]) == ["random init, score snip", "lt init, score snip"]
    assert list(frame["Differs in"]) == ["–", "–"]


def test_the_rest_of_the_report_is_the_same_to_the_byte(usual, tmp_path):
    """One-shot ladders, other scores, by any arm and on the main ladder itself: nothing moves."""
    more = [
        *shots(),
        *shots(ladder=(0.5, 0.75), names=["snip"]),
        *shots(names=["snip"], score_texts=9),
    ]
    plain, mixed = Store(tmp_path / "a" / "results"), Store(tmp_path / "b" / "results")
    for store, records in ((plain, usual), (mixed, [*usual, *more])):
        for one in records:
            store.put(one)
        report.write(store, say=[].append)
    one, other = (report.path_of(store).read_text() for store in (plain, mixed))
    start, end = other.index("\n## Scores\n"), other.index("\n## Beside the earlier report")
    rest = other[:start] + other[end:]
    ran = [line for line in rest.splitlines() if " hours in all, on " not in line]
    assert ran == [line for line in one.splitlines() if " hours in all, on " not in line]
    pictures = sorted(path.name for path in (plain.root / "figures").iterdir())
    assert pictures == sorted(path.name for path in (mixed.root / "figures").iterdir())
    for name in pictures:
        if name.endswith(".png"):
            a, b = ((s.root / "figures" / name).read_bytes() for s in (plain, mixed))
            assert a == b, name


def test_neither_grid_nor_curve_nor_tables_know_of_them(usual):
    both = [*usual, *shots()]
    assert selection.in_report(both) == selection.in_report(usual)
    assert verdict.ladders(both) == verdict.ladders(usual)
    assert differences(both).equals(differences(usual))
    assert rungs(both).equals(rungs(usual)) and len(other_settings(both)) == 0
    labels = {line.get_label() for axes in sparsity_curve(both).axes for line in axes.lines}
    assert not any("score" in label for label in labels)
    assert frame(both).groupby("score").in_report.sum().to_dict() == {
        "magnitude": len(usual),
        "movement": 0,
        "snip": 0,
    }


def test_where_only_one_score_was_run_it_stands_in_the_main_tables(usual):
    dense = [r for r in usual if r.settings.arm == "dense"]
    own = [*dense, *shots(names=["snip"])]
    assert selection.in_report(own) == own and len(scores(own)) == 0
    (pair,) = verdict.pairs(own)
    assert pair.way == "score snip" and len(pair.rungs) == 1
    short = [*dense, *shots(names=["magnitude", "snip"])]
    assert {r.settings.score for r in selection.in_report(short) if r.settings.rung} == {
        "magnitude"
    }
    assert list(scores(short)["Score"]) == ["magnitude", "snip"]


def test_a_ladder_that_parts_without_another_score_stays(usual):
    parted = shots(names=["magnitude"])
    assert selection.in_report([*usual, *parted]) == [*usual, *parted]


def test_a_rung_of_one_of_two_long_ladders_stays_though_another_score_was_run_there(usual):
    parted = world({"lt": (0, -0.2, -0.4)}, ladder=(0.4, 0.75, 0.875), seeds=(0, 1, 2))
    both = [*usual, *(r for r in parted if r.settings.rung)]
    assert selection.in_report([*both, *shots(ladder=(0.5, 0.75), names=["snip"])]) == both


def test_the_other_score_is_the_one_that_the_recipe_does_not_have(usual, monkeypatch):
    recipe = recipes.RECIPES["imdb", "cnn"] | {"score": "snip"}
    monkeypatch.setitem(recipes.RECIPES, ("imdb", "cnn"), recipe)
    own = [r for r in usual if r.settings.arm == "dense"] + shots(names=["snip"])
    assert selection.in_report([*own, *shots(names=["magnitude"])]) == own


def test_a_single_seed_decides_nothing(usual):
    records = [*(r for r in usual if r.settings.seed == 0), *shots(seeds=(0,))]
    assert all(", p " in cell for cell in scores(records)["less dense"])
    assert "These are 0 more intervals." in report.page(records, ["imdb"], {})


def test_a_row_knows_its_own_pair_alone_and_no_failed_run(usual):
    made = scores([*usual, *shots()])
    lstm = world({"lt": (0,)}, model="lstm", dense=0.8, seeds=(0, 1, 2))
    nothing = {"test_loss": None, "test_accuracy": None, "test_correct": "", "best_epoch": 0}
    (bad,) = shots(seeds=(9,), names=["snip"])
    bad = replace(bad, failed="the loss is nan", history=(), **nothing)
    assert scores([*usual, *shots(), *lstm, bad]).equals(made)


def test_rows_stand_ladder_by_ladder_and_then_by_score_and_its_texts(usual):
    more = [
        *shots(),
        *shots(names=["snip"], score_texts=9),
        *shots(ladder=(0.5, 0.75), names=["snip"]),
    ]
    made = scores([*usual, *more])
    assert list(zip(made["Ladder"], made["Score"], strict=True)) == [
        ("50 %, 75 %", "magnitude"),
        ("50 %, 75 %", "snip"),
        ("87.5 %", "magnitude"),
        ("87.5 %", "movement"),
        ("87.5 %", "snip, score_texts 9"),
        ("87.5 %", "snip"),
    ]
