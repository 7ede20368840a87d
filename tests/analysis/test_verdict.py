"""Synthetic studies of each kind, and the facts that they must give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.synthetic import record, right, study, world
from lottery import recipes
from lottery.analysis import prizes, selection, verdict
from lottery.analysis.intervals import Interval, MeanSquares, expected, interval, seeds_needed
from lottery.analysis.verdict import (
    AS_GOOD,
    DOWN,
    EXCHANGED,
    FINETUNE,
    FIRST_VALUES,
    LATE,
    NO,
    NOT_RUN,
    OPEN,
    PLACES,
    PLAIN,
    RANDOM,
    RANDOM_MASK,
    SAME,
    SHUFFLED,
    SMALL,
    STRONGEST,
    TICKET,
    UP,
    YES,
    Fact,
    Rung,
)


def states(records, question: str) -> list[str]:
    (pair,) = verdict.pairs(records)
    return [rung[question].state for rung in pair.rungs]


def together(*studies) -> list:
    """The records of several studies, each run once."""
    return list({one.run: one for some in studies for one in some}.values())


# The states


@pytest.mark.parametrize(
    ("question", "points", "wanted"),
    [
        (TICKET, {"lt": (0, -0.5, -2)}, [YES, OPEN, NO]),
        (STRONGEST, {"lt": (0, -0.5, -2)}, [YES, OPEN, NO]),
        (RANDOM, {"lt": (0, 0, 0), "random": (0, -0.5, -2)}, [YES, OPEN, NO]),
        (RANDOM_MASK, {"lt": (0, 0, 0), "random_mask": (0, -0.5, -2)}, [YES, OPEN, NO]),
        (FIRST_VALUES, {"lt": (0, -1, 0), "random": (-1, 0, 0)}, [UP, DOWN, SAME]),
        (FIRST_VALUES, {"lt": (0, 0, 0), "random": (None, -1, None)}, [NOT_RUN, UP, NOT_RUN]),
        (PLACES, {"lt": (0, -1, 0), "random_mask": (-1, 0, 0)}, [UP, DOWN, SAME]),
        (SHUFFLED, {"lt": (0, -1, 0), "shuffled": (-1, 0, 0)}, [UP, DOWN, SAME]),
        (EXCHANGED, {"lt": (0, -1, 0), "exchanged": (-1, 0, 0)}, [UP, DOWN, SAME]),
        (FINETUNE, {"lt": (-1, 0, 0), "finetune": (0, -1, 0)}, [UP, DOWN, SAME]),
        (SMALL, {"lt": (0, 0, 0)}, [NOT_RUN] * 3),
        (LATE, {"lt": (0, 0, 0)}, [NOT_RUN] * 3),
    ],
)
def test_a_study_gets_its_states(question, points, wanted):
    assert states(world(points), question) == wanted


@pytest.mark.parametrize("question", [TICKET, FIRST_VALUES])
def test_one_seed_decides_nothing_however_clear_it_looks(question):
    for height in (3.0, 0.0, -10.0):
        records = world({"lt": (height,), "random": (-30.0,)}, seeds=(4,))
        (pair,) = verdict.pairs(records)
        fact = pair.rungs[0][question]
        assert (fact.state, fact.seeds, fact.needed) == (OPEN, 1, None)
        assert 0 <= fact.p <= 1
        assert not fact.is_decided


def test_seeds_that_differ_much_decide_nothing():
    assert states(world({"lt": (0,)}, seeds=(0, 1, 2)), TICKET) == [YES]
    assert states(world({"lt": (0,)}, seeds=(0, 1, 2), swing=0.01), TICKET) == [OPEN]


@given(st.floats(-0.03, 0.03), st.floats(0.0001, 0.03))
def test_states_follow_from_the_interval_alone(low, width):
    high = low + width
    good, better = verdict.judged(TICKET, low, high), verdict.judged(FIRST_VALUES, low, high)
    assert good == (YES if low > -0.005 else NO if high < -0.005 else OPEN)
    within = low >= -0.005 and high <= 0.005
    assert better == (UP if low > 0 else DOWN if high < 0 else SAME if within else OPEN)
    assert {verdict.judged(q, low, high) for q in AS_GOOD} == {good}


def test_nothing_was_run():
    assert verdict.pairs([]) == []
    (pair,) = verdict.pairs([record()])
    assert (pair.rungs, pair.sparsest, pair.dense.seeds) == ((), None, 1)
    assert pair.dense.mean == pytest.approx(0.9)
    without = [r for r in world({"lt": (0,), "random": (-2,)}) if r.settings.arm != "dense"]
    (pair,) = verdict.pairs(without)
    assert pair.dense is None
    assert (pair.rungs[0][TICKET], pair.rungs[0][STRONGEST]) == (Fact(), Fact())
    assert pair.rungs[0][FIRST_VALUES].state == UP
    assert pair.rungs[0].epochs_enough is None


def test_the_sparsest_good_ticket_need_not_follow_good_ones():
    (pair,) = verdict.pairs(world({"lt": (-2, 0, -2)}))
    assert pair.sparsest.sparsity == 0.75
    assert [rung.sparsity for rung in pair.where(TICKET, NO)] == [0.5, 0.875]


# How many seeds would tell


def imagined(random, seeds, mean, of_seed, of_example, rest, examples=400):
    """Differences (seeds, examples) with these components of variance."""
    values = mean + np.sqrt(of_seed) * random.standard_normal((seeds, 1))
    values = values + np.sqrt(of_example) * random.standard_normal((1, examples))
    return values + np.sqrt(rest) * random.standard_normal((seeds, examples))


def exact(seeds, mean, of_seed, of_example, rest, examples=400):
    """The same with exactly the mean squares that are to be expected."""
    random = np.random.default_rng(0)

    def scaled(values, axes, wanted):
        for axis in axes:
            values = values - values.mean(axis, keepdims=True)
        freedom = np.prod([values.shape[axis] - 1 for axis in axes])
        return values * np.sqrt(wanted * freedom / np.square(values).sum())

    a = scaled(random.standard_normal((seeds, 1)), (0,), of_seed + rest / examples)
    b = scaled(random.standard_normal((1, examples)), (1,), of_example + rest / seeds)
    return mean + a + b + scaled(random.standard_normal((seeds, examples)), (0, 1), rest)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("world_", [(0.01, 1e-4, 0.008, 0.06), (0.008, 5e-5, 0.004, 0.12)])
def test_seeds_needed_are_those_of_which_half_the_studies_decide(seeds, world_):
    def decides(low, high):
        return low > -0.005

    needed = seeds_needed(exact(seeds, *world_), decides)
    random = np.random.default_rng(seeds)

    def share(number):
        found = [interval(imagined(random, number, *world_)) for _ in range(200)]
        return np.mean([decides(one.low, one.high) for one in found])

    assert 5 < needed < 30
    assert 0.35 < share(needed) < 0.7
    assert share(max(needed // 2, 2)) < 0.3
    assert share(2 * needed) > 0.65


def test_examples_alone_may_never_decide():
    few = exact(3, 0.01, 1e-4, 0.04, 0.06)  # half a width of 1.96 sqrt(0.04 / 400), 2 points
    assert seeds_needed(few, lambda low, high: low > -0.005) is None
    assert seeds_needed(few, lambda low, high: low > -0.02) is not None
    assert seeds_needed(few[:1], lambda low, high: True) is None


def test_seeds_that_never_differ_may_never_decide_on_few_examples():
    def decides(low, high):
        return verdict.judged(TICKET, low, high) != OPEN

    def decided(seeds):
        found = interval(np.zeros((seeds, 200)))
        return decides(found.low, found.high)

    assert not decided(3) and not decided(50)  # a floor of 1.97 / 200, whatever the seeds
    assert seeds_needed(np.zeros((3, 200)), decides) is None
    assert seeds_needed(np.zeros((3, 2000)), decides) is not None


def test_a_decided_fact_needs_the_seeds_it_has():
    (pair,) = verdict.pairs(world({"lt": (0, -0.3)}, seeds=(0, 1, 2), swing=0.001))
    sure, open_ = (rung[TICKET] for rung in pair.rungs)
    assert (sure.state, sure.needed) == (YES, 3)
    assert open_.state == OPEN
    assert open_.needed > 3


# Which records are compared


def test_seeds_are_paired_and_counted():
    first = [record(seed=seed, correct=right(0.9, seed, "a")) for seed in (0, 1, 2, 5)]
    second = [record(seed=seed, correct=right(0.88, seed, "b")) for seed in (2, 1, 7)]
    found = verdict.fact(TICKET, first, second)
    assert (found.seeds, found.interval.mean) == (2, pytest.approx(0.02))
    assert found.p is None
    swapped = verdict.fact(TICKET, second[::-1], first)
    assert swapped.interval.high == pytest.approx(-found.interval.low)
    assert verdict.fact(TICKET, first, second[-1:]) == Fact()


@pytest.mark.parametrize(("question", "seeds"), [(FIRST_VALUES, 2), (FINETUNE, 3), (TICKET, 3)])
def test_a_seed_whose_masks_are_known_to_differ_is_left_out_where_they_must_not(question, seeds):
    first = [
        replace(record(seed=seed, correct=right(0.9, seed, "a")), mask="m") for seed in range(3)
    ]
    second = [
        replace(record(seed=seed, correct=right(0.9, seed, "b")), mask=mask)
        for seed, mask in enumerate(("m", "", "another"))
    ]
    assert verdict.fact(question, first, second).seeds == seeds
    elsewhere = [replace(one, device="cuda (H)") for one in second]
    assert verdict.fact(question, first, elsewhere).seeds == (1 if question == FIRST_VALUES else 3)
    layers = {name: (gone + 1, there) for name, (gone, there) in second[1].layers.items()}
    other = [replace(one, layers=layers) for one in second]
    assert verdict.fact(question, first, other).seeds == (1 if question == FIRST_VALUES else 3)


def test_seeds_that_agree_by_luck_are_not_expected_to_go_on():
    assert expected(MeanSquares(0.125, 0.5, 0.25), 2, 8) == MeanSquares(0.25, 1.25, 0.25)
    assert expected(MeanSquares(0.5, 0.125, 0.25), 2, 8) == MeanSquares(0.5, 0.25, 0.25)


def test_failed_runs_and_other_protocols_do_not_count():
    records = world({"lt": (0, 0), "random": (-2, -2)})
    none = {"test_loss": None, "test_accuracy": None, "test_correct": "", "best_epoch": 0}
    failed = replace(record(arm="lt", ladder=(0.5,), seed=9), failed="the loss is nan", **none)
    others = world({"lt": (-9, -9)}, seeds=(0, 1), max_tokens=50)
    half = np.arange(len(records[0].correct)) < 500
    records.append(record(arm="dense", ladder=(), seed=9, correct=half))  # beside the failed one
    assert verdict.pairs([*records, failed, *others]) == verdict.pairs(records)


def test_the_order_of_records_does_not_matter():
    records = [*study(ladder=(0.5, 0.75), seeds=(0, 1, 2)), *study(arms=("lt",), scope="global")]
    found = verdict.ladders(records)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(records))
        assert verdict.ladders([records[i] for i in order]) == found


def test_other_ways_are_ladders_of_their_own_beside_the_plain_one():
    plain = world({"lt": (0, -2), "random": (-1, -3)})
    late = world({"lt": (0, 0), "random": (None, -3)}, rewind_step=438)
    everywhere = world({"lt": (-3, -3)}, scope="global")
    records = together(plain, late, everywhere)
    first, *others = verdict.ladders(records)
    assert [ladder.way for ladder in others] == ["rewind_step 438", "scope global"]
    assert verdict.pairs(records) == [first]
    assert [rung[LATE].state for rung in first.rungs] == [SAME, UP]
    assert [rung[PLAIN].state for rung in first.rungs] == [NOT_RUN] * 2
    assert [rung[PLAIN].state for rung in others[0].rungs] == [SAME, UP]
    assert [rung[PLAIN].state for rung in others[1].rungs] == [DOWN, DOWN]
    # The first mask does not depend on rewinding, the second does.
    means = [round(100 * rung[FIRST_VALUES].interval.mean) for rung in others[0].rungs]
    assert means == [1, 3]
    (alone,) = verdict.pairs(late)
    assert (len(alone.rungs), alone.way) == (2, "rewind_step 438")


def test_late_rewinding_is_that_of_the_step_that_most_rungs_have():
    plain, late = world({"lt": (0, 0)}), world({"lt": (0, 0)}, rewind_step=9)
    (pair,) = verdict.pairs(together(plain, late, world({"lt": (0,)}, rewind_step=438)))
    assert [rung[LATE].state for rung in pair.rungs] == [SAME, SAME]


def test_ladders_that_part_are_told_apart():
    records = together(world({"lt": (0, 0)}), world({"lt": (-3,)}, ladder=(0.8,)))
    long, short = verdict.ladders(records)
    assert (long.way, short.way) == ("", "ladder [0.8]")
    assert [rung.sparsity for rung in long.rungs] == [0.5, 0.75]


def test_a_small_dense_network_has_as_many_weights_and_the_same_texts():
    def small(size, **options):
        return [record(seed=seed, layers={"embedding.weight": size}, **options) for seed in (0, 1)]

    tickets = [r for r in world({"lt": (0,)}, seeds=(0, 1)) if r.settings.arm == "lt"]
    near, nearer = small(4700, embedding_size=50), small(5050, embedding_size=55)
    assert verdict.small_dense(tickets, [*near, *nearer]) == nearer
    assert verdict.small_dense(tickets, near) == near
    assert verdict.small_dense(tickets, small(5600, embedding_size=60)) == []
    assert verdict.small_dense(tickets, small(5000, embedding_size=50, dropout=0.1)) == []
    assert verdict.small_dense(tickets, small(5000, embedding_size=50, fingerprint="f")) == []
    assert verdict.small_dense(tickets, small(5000)) == []


# Recipes

TODAY, FORMER = {"weight_decay": 1e-5}, {"word_dropout": 0.4}


@pytest.fixture
def two_recipes(monkeypatch):
    """Today's recipe has weight decay and scores the best epoch; a third dense is the strongest."""
    pair = "imdb", "cnn"
    monkeypatch.setitem(recipes.RECIPES, pair, TODAY | {"scored_at": "best"})
    monkeypatch.setitem(recipes.WITHOUT_DECAY, pair, FORMER)
    monkeypatch.setitem(recipes.STRONGEST_DENSE, pair, {"dropout": 0.2})
    return pair


def with_decay(points, **options):
    return together(
        [r for r in world(points, **options, **TODAY) if not r.settings.rung],
        [r for r in world(points, **options, **TODAY, scored_at="best") if r.settings.rung],
    )


def test_the_former_recipe_stands_until_a_ladder_of_todays_has_begun(two_recipes):
    former = world({"lt": (-2, -2)}, **FORMER)
    today = with_decay({"lt": (0,)}, seeds=(0, 1, 2))
    dense = [r for r in today if not r.settings.rung]
    for records in (former, [*former, *dense]):
        (pair,) = verdict.pairs(records)
        assert (pair.is_former, len(pair.rungs)) == (True, 2)
    (pair,) = verdict.pairs([*former, *today])
    assert (pair.is_former, pair.way, len(pair.rungs)) == (False, "", 1)
    (pair,) = verdict.pairs([*former, *today], recipes.WITHOUT_DECAY)
    assert len(pair.rungs) == 2
    assert verdict.pairs(former, recipes.RECIPES) == []


def test_a_mask_made_otherwise_than_the_recipe_says_is_another_way(two_recipes):
    other = [r for r in world({"lt": (-1,)}, **TODAY) if r.settings.rung]
    plain, way = verdict.ladders([*with_decay({"lt": (0,)}), *other])
    assert (plain.way, way.way) == ("", "scored_at last")


def test_the_strongest_dense_is_the_one_named(two_recipes):
    today = with_decay({"lt": (0,)})
    assert states(today, STRONGEST) == [NOT_RUN]
    best = world({}, dense=0.92, dropout=0.2)
    assert states([*today, *best], STRONGEST) == [NO]
    other = world({}, dense=0.92, dropout=0.2, fingerprint="f")
    assert states([*today, *other], STRONGEST) == [NOT_RUN]
    apart = with_decay({"lt": (0,)}, split_seed=1)  # its test texts are others
    assert states([*apart, *best], STRONGEST) == [NOT_RUN]


def test_without_a_name_the_strongest_is_todays_own(two_recipes, monkeypatch):
    monkeypatch.delitem(recipes.STRONGEST_DENSE, two_recipes)
    assert states(with_decay({"lt": (0,)}), STRONGEST) == [YES]
    former = world({"lt": (0,)}, **FORMER)
    assert states(former, STRONGEST) == [NOT_RUN]
    dense = world({}, dense=0.92, **TODAY)
    assert states([*former, *dense], STRONGEST) == [NO]


# The strict conditions


def fact(state: str, low: float, high: float, seeds: int = 3) -> Fact:
    return Fact(state, Interval((low + high) / 2, low, high, seeds), seeds)


WINS = {
    TICKET: fact(YES, -0.001, 0.001),
    FIRST_VALUES: fact(UP, 0.01, 0.02),
    SMALL: fact(UP, 0.01, 0.02),
}


@pytest.mark.parametrize(
    ("changes", "facts", "wanted", "prize"),
    [
        ({}, {}, (YES, YES, YES, YES), prizes.SECONDARY),
        ({"sparsity": 0.6}, {}, (YES, YES, YES, YES), prizes.SECONDARY),
        ({"sparsity": 0.5}, {}, (NO, YES, YES, YES), prizes.NO_PRIZE),
        ({"epochs_enough": False}, {}, (NO, YES, YES, YES), prizes.NO_PRIZE),
        ({"epochs_enough": None}, {}, (prizes.NOTHING, YES, YES, YES), OPEN),
        ({}, {SMALL: Fact()}, (YES, prizes.NOTHING, YES, YES), OPEN),
        ({}, {SMALL: fact(SAME, 0.0, 0.001)}, (YES, NO, YES, YES), prizes.NO_PRIZE),
        ({}, {FIRST_VALUES: fact(UP, 0.001, 0.02)}, (YES, YES, OPEN, YES), OPEN),
        ({}, {FIRST_VALUES: fact(OPEN, 0.01, 0.02, 1)}, (YES, YES, OPEN, YES), OPEN),
        ({}, {TICKET: fact(NO, -0.02, -0.01)}, (YES, YES, YES, NO), prizes.NO_PRIZE),
    ],
)
def test_the_strict_conditions(changes, facts, wanted, prize):
    rung = replace(Rung(0.75, WINS | facts, epochs_enough=True), **changes)
    assert prizes.conditions(rung)[:4] == wanted
    assert prizes.conditions(rung)[4] == (NO if wanted[3] == NO else prizes.NOTHING)
    assert prizes.prize(rung) == prize


def test_a_ticket_below_the_strongest_dense_fails_the_fifth_condition():
    rung = Rung(0.75, WINS | {STRONGEST: fact(NO, -0.02, -0.01)}, epochs_enough=True)
    assert prizes.conditions(rung)[3:] == (YES, NO)


def test_epochs_are_enough_if_the_best_comes_before_the_last():
    records = world({"lt": (0,)})
    assert verdict.pairs(records)[0].rungs[0].epochs_enough
    late = [
        replace(r, best_epoch=3) if (r.settings.arm, r.settings.seed) == ("dense", 2) else r
        for r in records
    ]
    assert verdict.pairs(late)[0].rungs[0].epochs_enough is False


def test_one_seed_fails_no_strict_condition():
    alone = Fact(OPEN, Interval(-0.015, -0.02, -0.01, 1), 1)
    assert prizes.better(alone) == OPEN
    assert prizes.better(Fact(OPEN, Interval(-0.015, -0.02, -0.01, 2), 2)) == verdict.NO


def test_without_a_ladder_todays_dense_stands_before_the_formers(monkeypatch):
    pair = "imdb", "cnn"
    monkeypatch.setitem(recipes.RECIPES, pair, {"weight_decay": 1e-5})
    monkeypatch.setitem(recipes.WITHOUT_DECAY, pair, {"word_dropout": 0.4})
    former = world({}, word_dropout=0.4)
    today = world({}, seeds=(0, 1, 2), weight_decay=1e-5)
    assert selection.in_report([*former, *today]) == today
