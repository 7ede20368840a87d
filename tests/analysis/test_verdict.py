"""Synthetic studies of each kind, and the words that they must get."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.synthetic import record, right, study, world
from lottery.analysis import verdict
from lottery.analysis.intervals import Interval
from lottery.analysis.verdict import NO, NOT_RUN, UNDECIDED, YES, Difference, Ladder, Rung

PAIR = [("imdb", "cnn")]


def answer(records) -> str:
    """The first line, of the CNN on IMDb."""
    return verdict.answers(verdict.ladders(records), PAIR)[0].removeprefix("**IMDb, CNN**: ")


def together(records, pairs=PAIR) -> str:
    return verdict.answers(verdict.ladders(records), pairs)[-1].removeprefix("**Together**: ")


def full(records) -> dict[str, str]:
    lines = verdict.verdict(verdict.ladders(records)[0])
    return dict(line.split(": ", 1) for line in lines)


# Each kind of study


KINDS = {
    "a ticket all the way": (
        {"lt": (0, 0, 0), "random": (-2, -2, -2)},
        "a winning ticket up to 87.5 % sparsity, the highest that was run; "
        "better than random init by more than 0.5 points at 50, 75 and 87.5 %.",
    ),
    "a ticket up to a rung": (
        {"lt": (0, 0, -2), "random": (0, -2, -4)},
        "a winning ticket up to 75 % sparsity (at 87.5 % no); "
        "better than random init by more than 0.5 points from 75 % on (at 50 % no); "
        "at 50 % random init is as good as dense too: the structure is enough there.",
    ),
    "a ticket, then doubt, then none": (
        {"lt": (0, -0.5, -2), "random": (-1, -1, -2.5)},
        "a winning ticket up to 50 % sparsity (at 75 % not decided, at 87.5 % no); "
        "better than random init by more than 0.5 points, but not up to the highest sparsity "
        "(at 50 % yes, at 75 and 87.5 % not decided), and better by some amount at 75 and 87.5 %.",
    ),
    "none": (
        {"lt": (-2, -3, -4), "random": (-2, -3, -4)},
        "no winning ticket at 50, 75 and 87.5 % sparsity; "
        "not better than random init by more than 0.5 points at 50, 75 and 87.5 %.",
    ),
    "undecided": (
        {"lt": (-0.5, -0.5, -0.5), "random": (-1, -1, -1)},
        "not decided whether there is a winning ticket (50, 75 and 87.5 % sparsity); "
        "not decided whether it is better than random init by more than 0.5 points "
        "(50, 75 and 87.5 %), yet better by some amount at 50, 75 and 87.5 %.",
    ),
    "not from below": (
        {"lt": (-2, 0, -0.5), "random": (-2, -2, -2)},
        "a winning ticket, but not from the lowest sparsity on "
        "(at 50 % no, at 75 % yes, at 87.5 % not decided); "
        "better than random init by more than 0.5 points from 75 % on (at 50 % no).",
    ),
    "none shown": (
        {"lt": (-0.5, -2, -2), "random": (-2, -2.5, -2)},
        "no winning ticket is shown (at 50 % not decided, at 75 and 87.5 % no); "
        "better than random init by more than 0.5 points, but not up to the highest sparsity "
        "(at 50 % yes, at 75 % not decided, at 87.5 % no), and better by some amount at 75 %.",
    ),
    "random not shown to be worse": (
        {"lt": (0, 0, 0), "random": (0, 0, -0.5)},
        "a winning ticket up to 87.5 % sparsity, the highest that was run; "
        "not shown to be better than random init by more than 0.5 points "
        "(at 50 and 75 % no, at 87.5 % not decided), yet better by some amount at 87.5 %; "
        "at 50 and 75 % random init is as good as dense too: the structure is enough there.",
    ),
    "random mask as good": (
        {"lt": (0, 0, 0), "random": (0, 0, 0), "random_mask": (None, 0, -2)},
        "a winning ticket up to 87.5 % sparsity, the highest that was run; "
        "not better than random init by more than 0.5 points at 50, 75 and 87.5 %; "
        "at 75 % a random mask is as good as dense: the network is merely too large; "
        "at 50, 75 and 87.5 % random init is as good as dense too: the structure is enough there.",
    ),
    "no random": (
        {"lt": (0, 0, 0)},
        "a winning ticket up to 87.5 % sparsity, the highest that was run; "
        "random init was not run.",
    ),
    "random at one rung": (
        {"lt": (0, 0, 0), "random": (None, -2, None)},
        "a winning ticket up to 87.5 % sparsity, the highest that was run; "
        "better than random init by more than 0.5 points at 75 %, the only one that was run.",
    ),
    "random at one rung as good": (
        {"lt": (-2, -2, -2), "random": (None, -2, None)},
        "no winning ticket at 50, 75 and 87.5 % sparsity; "
        "not better than random init by more than 0.5 points at 75 %, the only one that was run.",
    ),
    "random below the highest rung": (
        {"lt": (0, 0, -2), "random": (-0.5, -2, None)},
        "a winning ticket up to 75 % sparsity (at 87.5 % no); "
        "better than random init by more than 0.5 points at 75 %, the highest that was run "
        "(at 50 % not decided, at 87.5 % not run), and better by some amount at 50 %.",
    ),
    "worse than random": (
        {"lt": (-2, -2, -0.5), "random": (-0.5, -2, -0.5)},
        "no winning ticket is shown (at 50 and 75 % no, at 87.5 % not decided); "
        "not better than random init by more than 0.5 points at 50, 75 and 87.5 %, "
        "and worse by some amount at 50 %.",
    ),
}


@pytest.mark.parametrize(("points", "words"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("seeds", [(0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5, 6)])
def test_a_study_gets_its_words(points, words, seeds):
    assert answer(world(points, seeds=seeds)) == words


def test_neighbours_of_a_long_ladder_are_a_range():
    ladder = (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984)
    heights = {"lt": (0, -2, -2, -2, -2, -0.5), "random": (-2, 0, -2, -2, -2, -2.5)}
    assert answer(world(heights, ladder)) == (
        "a winning ticket up to 50 % sparsity (at 75 to 96.9 % no, at 98.4 % not decided); "
        "better than random init by more than 0.5 points at 98.4 %, the highest that was run "
        "(at 50 % yes, at 75 to 96.9 % no), and worse by some amount at 75 %; "
        "at 75 % random init is as good as dense too: the structure is enough there."
    )


def test_one_rung():
    assert answer(world({"lt": (0,), "random": (-2,)})).startswith(
        "a winning ticket at 50 % sparsity, the only one that was run; better than random init"
    )


def test_one_seed_decides_nothing_however_clear_it_looks():
    for height in (3.0, 0.0, -10.0):
        words = answer(world({"lt": (height,) * 3, "random": (-8.0,) * 3}, seeds=(4,)))
        assert words == (
            "not decided on one seed whether there is a winning ticket (50, 75 and 87.5 % "
            "sparsity); not decided on one seed whether it is better than random init by more "
            "than 0.5 points (50, 75 and 87.5 %); one seed decides nothing about other seeds."
        )
    lines = full(world({"lt": (-10.0,), "random_mask": (-10.0,)}, seeds=(4,)))
    assert "1 seed: test examples only, McNemar p < 0.001" in lines["Ticket"]
    assert lines["Controls"].endswith(
        "random mask at 50 % not decided on one seed. At 50 % not all is decided."
    )
    assert "not decided whether a random mask is as good as dense (one seed)" in lines["Size"]
    assert lines["Seeds"] == "where there is one seed, nothing is decided about other seeds."


def test_a_rung_of_one_seed_among_others_is_said():
    records = world({"lt": (0, 0, 0)})
    records = [r for r in records if r.settings.rung < 3 or r.settings.seed == 1]
    assert answer(records) == (
        "a winning ticket up to 75 % sparsity (at 87.5 % not decided on one seed); "
        "random init was not run; one seed decides nothing about other seeds."
    )


def test_three_seeds_that_differ_much_decide_nothing():
    heights = {"lt": (0, 0, 0)}
    assert answer(world(heights, seeds=(0, 1, 2))).startswith("a winning ticket up to 87.5 %")
    assert answer(world(heights, seeds=(0, 1, 2), swing=0.01)).startswith("not decided whether")


def test_nothing_was_run():
    assert answer([]) == "not run."
    assert answer([record()]) == "not run."
    assert together([]) == "not run: IMDb CNN."
    without = [r for r in world({"lt": (0,), "random": (-2,)}) if r.settings.arm != "dense"]
    assert answer(without) == (
        "dense was not run, so nothing is known of a winning ticket; "
        "better than random init by more than 0.5 points at 50 %."
    )


# The details


def test_numbers_stand_at_the_turning_points():
    lines = full(world({"lt": (0, 0, -2), "random": (0, -2, -4)}))
    assert lines["Ticket"].startswith("a winning ticket up to 75 % sparsity")
    assert lines["Ticket"].count("seeds]") == 2
    assert "; 5 seeds] at 75 %; −2.00 [" in lines["Ticket"]
    assert lines["Ticket"].endswith("; 5 seeds] at 87.5 %.")
    assert "Ticket less random init, in points: 0.00 [" in lines["First values"]
    assert "; 5 seeds] at 50 %; +2.00 [" in lines["First values"]


@pytest.mark.parametrize(
    ("random", "mask", "shuffled", "words"),
    [
        (-2, -2, -2, "random init yes; random mask yes; shuffled mask yes. they agree."),
        (0, 0, 0, "random init no; random mask no; shuffled mask no. they agree."),
        (0, -2, -2, "random init no; random mask yes; shuffled mask yes. they disagree."),
        (0, -2, None, "random init no; random mask yes. they disagree."),
        (-2, 0, -2, "random init yes; random mask no; shuffled mask yes. not all is decided."),
        (-2, -0.5, -2, "random mask not decided; shuffled mask yes. not all is decided."),
        (None, -2, -2, "random mask yes; shuffled mask yes. they agree."),
        (None, -2, None, "random mask yes. no other control to agree with."),
    ],
)
def test_the_controls(random, mask, shuffled, words):
    points = {"lt": (0,), "random": (random,), "random_mask": (mask,), "shuffled": (shuffled,)}
    said = full(world(points))["Controls"]
    assert said.startswith("beaten by more than 0.5 points: ")
    said = said.split(" The ticket is ")[0]
    assert said.replace("at 50 % ", "").replace("At 50 % ", "").endswith(words)


def test_controls_of_several_rungs_are_said_together():
    points = {"lt": (0, 0, 0), "random": (0, -2, -2), "random_mask": (None, -2, -0.5)}
    assert full(world(points))["Controls"] == (
        "beaten by more than 0.5 points: random init at 75 and 87.5 % yes; "
        "random mask at 75 % yes, at 87.5 % not decided. "
        "At 75 % they agree, at 87.5 % not all is decided. "
        "The ticket is better than a random mask by some amount at 87.5 %."
    )


def test_a_ticket_in_worse_places_than_random_ones():
    points = {"lt": (-1, -1), "random": (-1, -1), "random_mask": (-1, -1), "shuffled": (-1, 0)}
    assert full(world(points))["Controls"].endswith(
        "At 50 and 75 % they agree. "
        "The ticket is worse than a shuffled mask by some amount at 75 %."
    )


def test_no_controls():
    lines = full(world({"lt": (0,), "random": (0,)}))
    assert lines["Controls"] == "not run."
    assert lines["Size"] == "not run."


def test_the_structure_enough_or_not():
    said = full(world({"lt": (0, 0, 0), "random": (0, -0.5, -2)}))["Structure"]
    first, second, third = said.split("]). ")
    assert first.startswith(
        "at 50 %, random init is not worse than dense by more than 0.5 points: "
    )
    assert "the structure is enough (" in first
    assert second.startswith("At 75 %, not decided whether random init is as good as dense (−0.5")
    assert third.startswith(
        "At 87.5 %, random init is worse than dense by more than 0.5 points (−2"
    )


def test_size_explains_a_ticket_only_where_there_is_one():
    said = full(world({"lt": (0, -2, -2), "random_mask": (-2, -2, 0)}))["Size"]
    first, second, third = said.split("]). ")
    assert "size alone does not explain the ticket" in first
    assert "does not explain" not in second
    assert "merely too large (" in third


def test_rungs_of_one_outcome_share_a_sentence():
    said = full(world({"lt": (0, 0, 0), "random_mask": (-2, -2, -2)}))["Size"]
    assert said.startswith("at 50, 75 and 87.5 %, a random mask is worse than dense by more")
    assert said.count(" to ") == 3


def test_the_network_too_large_or_not():
    said = full(world({"lt": (0, 0, 0), "random_mask": (0, -0.5, -2)}))["Size"]
    first, second, third = said.split("]). ")
    assert first.startswith("at 50 %, a random mask is not worse than dense by more than 0.5")
    assert "merely too large" in first
    assert second.startswith("At 75 %, not decided whether a random mask is as good as dense (−0.5")
    assert third.startswith("At 87.5 %, a random mask is worse than dense by more than 0.5 points")


def test_together_names_every_pair_once():
    records = world({"lt": (0,), "random": (-2,)})
    records += world({"lt": (-2,), "random": (-2,)}, model="lstm")
    pairs = [("imdb", "cnn"), ("imdb", "lstm"), ("agnews", "cnn")]
    assert together(records, pairs) == (
        "a winning ticket in IMDb CNN; no winning ticket in IMDb LSTM; not run: AG-news CNN; "
        "better than random init by more than 0.5 points, at some sparsity, in IMDb CNN."
    )
    agnews = world({"lt": (0,), "random": (-0.5,)}, dataset="agnews")
    found = verdict.ladders(records) + verdict.ladders(agnews)
    assert verdict.answers(found, pairs)[-1].endswith(
        "better than random init by more than 0.5 points, at some sparsity, in IMDb CNN, "
        "and by some amount in AG-news CNN."
    )
    assert together(world({"lt": (0,), "random": (-0.5,)})) == (
        "a winning ticket in IMDb CNN; nowhere shown to be better than random init by more than "
        "0.5 points, yet by some amount in IMDb CNN."
    )
    assert together(world({"lt": (-0.5,)})) == (
        "not decided in IMDb CNN; "
        "nowhere shown to be better than random init by more than 0.5 points."
    )


def test_generated_texts_are_called_so():
    records = world({"lt": (0,)}, dataset="demo-reviews")
    lines = verdict.answers(verdict.ladders(records), [("demo-reviews", "cnn")])
    assert lines[-1].endswith("These texts are generated, so this says nothing about real ones.")
    assert "generated" not in together(world({"lt": (0,)}))


# Other ways to make tickets


def test_late_rewinding_and_global_pruning_are_ladders_of_their_own():
    points = {"lt": (0, -2), "random": (-1, -3)}
    records = world(points)
    late = world({"lt": (0, 0), "random": (-1, -3)}, rewind_step=438)
    everywhere = world({"lt": (-3, -3), "random": (0, -3)}, scope="global")
    unique = {r.run: r for r in [*late, *everywhere, *records]}
    plain, *others = verdict.ladders(unique.values())
    assert plain.name == ""
    assert verdict.variant_words(others[0]) == (
        "Late rewinding to step 438: a winning ticket up to 75 % sparsity, the highest that was "
        "run; better than random init by more than 0.5 points at 50 and 75 %; "
        "beside plain lt init, better at 75 %."
    )
    assert [ladder.name for ladder in others] == ["rewind_step 438", "scope global"]
    assert verdict.variant_words(others[1]).startswith(
        "Global pruning: no winning ticket at 50 and 75 % sparsity; not better than random init"
    )
    assert verdict.variant_words(others[1]).endswith(
        "; beside plain lt init, worse at 50 and 75 %."
    )
    said = answer(unique.values())
    assert said.startswith("a winning ticket up to 50 % sparsity")
    assert said.endswith("; with late rewinding to step 438 a winning ticket at 75 %.")
    assert "global" not in said
    elsewhere = world({"lt": (0, 0)}, model="lstm", rewind_step=438)
    assert "late" not in answer([*records, *elsewhere])


def test_tickets_of_another_way_are_compared_with_plain_ones_rung_by_rung():
    late = world({"lt": (0, -1, -1)}, rewind_step=438)
    before = world({"lt": (-2, 1)})
    unique = {r.run: r for r in [*before, *late]}
    plain, other = verdict.ladders(unique.values())
    assert {rung.plain for rung in plain.rungs} == {Difference()}
    means = [r.plain.interval and round(100 * r.plain.interval.mean, 1) for r in other.rungs]
    assert means == [2.0, -2.0, None]
    assert verdict.plain_words(other) == "beside plain lt init, better at 50 % and worse at 75 %"
    same = {r.run: r for r in [*late, *world({"lt": (0, -1)})]}
    assert verdict.plain_words(verdict.ladders(same.values())[1]) == (
        "no difference from plain lt init is shown (50 and 75 %)"
    )
    assert verdict.plain_words(verdict.ladders(late)[0]) == ""


def test_a_late_ticket_is_compared_with_random_init_in_the_same_mask():
    """The first mask does not depend on rewinding; the second does."""
    late = world({"lt": (0, 0)}, rewind_step=438)
    plain = world({"lt": (-3, -3), "random": (-2, -4)})
    own = world({"random": (None, -1)}, rewind_step=438)
    unique = {r.run: r for r in [*plain, *late, *own]}
    (ladder,) = [x for x in verdict.ladders(unique.values()) if x.name]
    means = [round(100 * rung.random.interval.mean, 1) for rung in ladder.rungs]
    assert means == [2.0, 1.0]


def test_ladders_that_part_are_told_apart():
    records = world({"lt": (0, 0)}) + [
        r for r in world({"lt": (-3,)}, ladder=(0.8,)) if r.settings.rung
    ]
    long, short = verdict.ladders(records)
    assert (long.name, short.name) == ("", "ladder [0.8]")
    assert [rung.sparsity for rung in long.rungs] == [0.5, 0.75]
    assert verdict.variant_words(short).startswith("Ladder [0.8]: no winning ticket at 80 %")


# Which records are compared


def test_seeds_are_paired_and_counted():
    first = [record(seed=seed, correct=right(0.9, seed, "a")) for seed in (0, 1, 2, 5)]
    second = [record(seed=seed, correct=right(0.88, seed, "b")) for seed in (2, 1, 7)]
    found = verdict.difference(first, second)
    assert found.interval.seeds == 2
    assert found.interval.mean == pytest.approx(0.02)
    assert found.p is None
    swapped = verdict.difference(second[::-1], first)
    assert swapped.interval.mean == pytest.approx(-found.interval.mean)
    assert swapped.interval.high == pytest.approx(-found.interval.low)
    assert verdict.difference(first, second[-1:]) == Difference()
    assert verdict.difference([], second) == Difference()


def test_missing_seeds_of_one_arm_leave_the_common_ones():
    records = world({"lt": (0, 0), "random": (-2, -2)})
    records = [r for r in records if not (r.settings.arm == "random" and r.settings.seed in (1, 4))]
    (ladder,) = verdict.ladders(records)
    assert [rung.random.interval.seeds for rung in ladder.rungs] == [3, 3]
    assert [rung.dense.interval.seeds for rung in ladder.rungs] == [5, 5]


def test_failed_runs_and_other_protocols_do_not_count():
    records = world({"lt": (0, 0), "random": (-2, -2)})
    failed = replace(
        record(arm="lt", ladder=(0.5,), seed=9),
        failed="in epoch 2 the loss is nan",
        test_loss=None,
        test_accuracy=None,
        test_correct="",
        best_epoch=0,
    )
    others = world({"lt": (-9, -9)}, seeds=(0, 1), max_tokens=50)
    assert answer([*records, failed, *others]) == answer(records)


def test_the_order_of_records_does_not_matter():
    records = [*study(ladder=(0.5, 0.75), seeds=(0, 1, 2)), *study(arms=("lt",), scope="global")]
    found = verdict.ladders(records)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(records))
        assert verdict.ladders([records[i] for i in order]) == found


# The rules by themselves


def found(low: float, high: float, seeds: int = 3) -> Difference:
    return Difference(Interval((low + high) / 2, low, high, seeds), 0.5 if seeds == 1 else None)


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(-1, 1))
def test_a_difference_is_decided_when_its_interval_lies_on_one_side(low, width, bound):
    state = found(low, low + width).above(bound)
    assert state == (YES if low > bound else NO if low + width < bound else UNDECIDED)
    assert found(low, low + width, 1).above(bound) == UNDECIDED
    assert Difference().above(bound) == NOT_RUN


def test_seeds_that_agree_by_luck_decide_nothing_that_the_examples_leave_open():
    lucky = Interval(0.01, 0.006, 0.014, 3, of_examples=0.008)
    assert Difference(lucky).above(0.005) == UNDECIDED
    assert Difference(lucky).above(0.015) == UNDECIDED
    assert Difference(lucky).above(0.0) == YES
    assert Difference(lucky).above(0.02) == NO


def test_the_margins_are_half_a_point():
    good = Rung(0.75, found(-0.0049, 0.0), found(0.0051, 0.01), size=found(-0.0049, 0.01))
    assert (good.ticket, good.beats("random"), good.too_large) == (YES, YES, YES)
    open_ = Rung(0.75, found(-0.0051, 0.0), found(0.0049, 0.01), size=found(-0.0051, 0.01))
    assert (open_.ticket, open_.beats("random"), open_.too_large) == (UNDECIDED,) * 3
    bad = Rung(0.75, found(-0.01, -0.0051), found(0.0, 0.0049), size=found(-0.01, -0.0051))
    assert (bad.ticket, bad.beats("random"), bad.too_large) == (NO, NO, NO)


OPEN = "not decided (not run)"
WINS = {"dense": found(-0.001, 0.001), "random": found(0.01, 0.02), "small": found(0.01, 0.02)}


@pytest.mark.parametrize(
    ("changes", "states", "prize"),
    [
        ({}, (YES, YES, YES, YES, OPEN), "secondary prize or more"),
        ({"sparsity": 0.5}, (NO, YES, YES, YES, OPEN), "no prize"),
        ({"epochs_enough": False}, (NO, YES, YES, YES, OPEN), "no prize"),
        ({"epochs_enough": None}, (UNDECIDED, YES, YES, YES, OPEN), UNDECIDED),
        ({"small": Difference()}, (YES, OPEN, YES, YES, OPEN), UNDECIDED),
        ({"small": found(0.0, 0.001)}, (YES, NO, YES, YES, OPEN), "no prize"),
        ({"random": found(0.0, 0.02)}, (YES, YES, UNDECIDED, YES, OPEN), UNDECIDED),
        ({"dense": found(-0.02, -0.01)}, (YES, YES, YES, NO, NO), "no prize"),
        ({"dense": found(-0.01, 0.01, 1)}, (YES, YES, YES, UNDECIDED, OPEN), UNDECIDED),
    ],
)
def test_the_strict_conditions(changes, states, prize):
    rung = replace(Rung(0.75, **WINS, epochs_enough=True), **changes)
    assert rung.conditions == states
    assert rung.prize == prize


def test_the_prize_in_words():
    rung = Rung(0.75, **WINS, epochs_enough=True)
    small = replace(rung, small=Difference())
    poor = replace(rung, sparsity=0.5)
    poorer = replace(poor, sparsity=0.4, dense=found(-0.02, -0.01))

    def words(*rungs):
        return verdict.prize_words(Ladder("imdb", "cnn", rungs))

    assert words(poor, rung) == (
        "a secondary prize or more at 75 %, at learning rate 1e-3; "
        "no prize at 50 % for condition 1."
    )
    assert words(poor, small) == (
        "not decided at 75 % for want of condition 2; no prize at 50 % for condition 1."
    )
    open_ = replace(small, random=found(0.0, 0.02))
    assert words(open_) == "not decided at 75 % for want of conditions 2 and 3."
    assert words(poorer, poor) == (
        "no prize at any sparsity: at 40 % for conditions 1 and 4, at 50 % for condition 1."
    )
    assert words(replace(rung, epochs_enough=False)) == (
        "no prize at any sparsity: at 75 % for condition 1. "
        "The dense network's best epoch is the last in a seed: more might be better."
    )


def test_epochs_are_enough_if_the_best_comes_before_the_last():
    records = world({"lt": (0,)})
    assert verdict.ladders(records)[0].rungs[0].epochs_enough
    late = [
        replace(r, best_epoch=3) if (r.settings.arm, r.settings.seed) == ("dense", 2) else r
        for r in records
    ]
    assert verdict.ladders(late)[0].rungs[0].epochs_enough is False


def test_a_control_that_would_have_learnt_on_is_named():
    records = world({"lt": (0, 0), "random_mask": (-2, -2), "shuffled": (-2, -2)})
    assert "more might be better" not in full(records)["Controls"]
    late = [
        replace(r, best_epoch=3) if (r.settings.arm, r.settings.rung) == ("shuffled", 2) else r
        for r in records
    ]
    assert full(late)["Controls"].endswith(
        "they agree. The best epoch of a shuffled mask is the last in a seed at 75 %: "
        "more might be better."
    )
    assert "more might be better" not in full(late)["Strict conditions"]


SMALL = {"embedding.weight": 2400, "convolutions.0.weight": 100, "output.weight": 50}


def test_a_small_dense_network_is_found_and_compared():
    records = world({"lt": (0, 0)}, ladder=(0.5, 0.75))
    small = [
        record(seed=seed, correct=right(0.88, seed, "small"), layers=SMALL, embedding_size=25)
        for seed in (0, 1, 2)
    ]
    other = [
        record(seed=seed, correct=right(0.5, seed, "small"), layers=SMALL, **options)
        for seed in (0, 1, 2)
        for options in ({"embedding_size": 25, "max_tokens": 99}, {"dropout": 0.1})
    ]
    larger = [
        record(seed=0, layers={"embedding.weight": 2700}, embedding_size=30),
        record(seed=0, layers={"embedding.weight": 2800}, embedding_size=31),
    ]
    half, quarter = verdict.ladders([*records, *small, *other, *larger])[0].rungs
    assert half.small == Difference()  # none has about 5,000 weights
    assert quarter.small.interval.seeds == 3
    assert quarter.small.interval.mean == pytest.approx(0.02, abs=0.0006)
    assert quarter.conditions[1] == YES
    elsewhere = [replace(r, data=r.data | {"fingerprint": "f"}) for r in small]
    assert verdict.ladders([*records, *elsewhere])[0].rungs[1].small == Difference()


def test_numbers_in_words():
    assert verdict.points(0.00124) == "+0.12"
    assert verdict.points(-0.00126) == "−0.13"
    assert verdict.points(-0.00001) == verdict.points(0.0) == "0.00"
    assert verdict.percent(0.9375) == "93.75"
    assert verdict.percent(0.5) == "50"
    assert verdict.percent(0.984375) == "98.44"
    assert verdict.p_value(0.0004) == "< 0.001"
    assert verdict.p_value(0.0312) == "0.031"


# Whatever the facts, the words agree with them


OUTCOMES = {
    YES: found(0.006, 0.02),  # above both margins
    NO: found(-0.02, -0.006),
    UNDECIDED: found(-0.02, 0.02),
    "one seed": found(0.006, 0.02, 1),
    NOT_RUN: Difference(),
}
STEPS = (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984)
outcomes = st.lists(st.tuples(*[st.sampled_from(sorted(OUTCOMES))] * 7), min_size=1, max_size=6)


def ladder_of(states) -> Ladder:
    fields = ("dense", "random", "random_mask", "shuffled", "size", "fresh", "plain")
    rungs = [
        Rung(step, **{name: OUTCOMES[state] for name, state in zip(fields, row, strict=True)})
        for step, row in zip(STEPS, states, strict=False)
    ]
    return Ladder("imdb", "cnn", tuple(rungs))


@given(outcomes)
def test_words_of_the_ticket_agree_with_the_rungs(states):
    ladder = ladder_of(states)
    tickets = [rung.ticket for rung in ladder.rungs]
    words = verdict.ticket_words(ladder)
    claimed = words.startswith("a winning ticket")
    assert claimed == (YES in tickets)
    assert (ladder.standing == YES) == claimed
    if words.startswith("a winning ticket up to "):
        top = words.removeprefix("a winning ticket up to ").split(" %")[0]
        height = [verdict.percent(step) for step in STEPS].index(top)
        assert set(tickets[: height + 1]) == {YES}
        assert tickets[height + 1 : height + 2] != [YES]
    if words.startswith("no winning ticket at"):
        assert set(tickets) == {NO}
    if "one seed" in {row[0] for row in states} and len(set(tickets)) > 1:
        assert "not decided on one seed" in words


@given(outcomes)
def test_words_of_random_init_agree_with_the_rungs(states):
    ladder = ladder_of(states)
    beats = [rung.beats("random") for rung in ladder.rungs]
    words = verdict.random_words(ladder)
    assert words.startswith("better than random init") == (YES in beats)
    if " from " in words:
        start = words.split(" from ")[1].split(" %")[0]
        place = [verdict.percent(step) for step in STEPS].index(start)
        assert set(beats[place:]) - {NOT_RUN} == {YES}
        assert beats[place - 1] != YES
    if words.startswith("not better"):
        assert set(beats) - {NOT_RUN} == {NO}
    above = [rung.random.above(0) for rung in ladder.rungs]
    less = [b != YES and a == YES for a, b in zip(above, beats, strict=True)]
    assert ("better by some amount" in words) == any(less)
    assert ("worse by some amount" in words) == (NO in above)


@given(outcomes)
def test_words_of_the_plain_ticket_agree_with_the_rungs(states):
    ladder = ladder_of(states)
    words, told = verdict.plain_words(ladder), [rung.plain.above(0) for rung in ladder.rungs]
    assert (words == "") == (set(told) == {NOT_RUN})
    assert ("better at" in words) == (YES in told)
    assert ("worse at" in words) == (NO in told)
    assert ("no difference" in words) == (set(told) <= {UNDECIDED, NOT_RUN} and UNDECIDED in told)
    assert ("one seed" in words) == ({row[6] for row in states} - {NOT_RUN} == {"one seed"})


@given(outcomes)
def test_controls_and_size_speak_of_every_rung_that_ran_them(states):
    ladder = ladder_of(states)
    said = verdict.control_words(ladder)
    masked = [r for r in ladder.rungs if {r.beats("random_mask"), r.beats("shuffled")} != {NOT_RUN}]
    assert (said == "not run.") == (not masked)
    if len(ladder.rungs) == 1 and "they agree" in said:
        every = {ladder.rungs[0].beats(name) for name in verdict.CONTROLS} - {NOT_RUN}
        assert every in ({YES}, {NO})
    for name, label in (("random_mask", "random mask"), ("shuffled", "shuffled mask")):
        above = [getattr(rung, name).above(0) for rung in ladder.rungs]
        less = [a == YES != r.beats(name) for a, r in zip(above, ladder.rungs, strict=True)]
        assert (f"better than a {label} by some amount" in said) == any(less)
        assert (f"worse than a {label} by some amount" in said) == (NO in above)
    size = verdict.size_words(ladder)
    large = [rung for rung in ladder.rungs if rung.too_large == YES]
    assert ("merely too large" in size) == bool(large)
    assert ("merely too large" in verdict.headline(ladder)) == bool(large)
    assert size.count(" to +") + size.count(" to −") == sum(
        rung.too_large != NOT_RUN for rung in ladder.rungs
    )
    fresh = [rung for rung in ladder.rungs if rung.structure == YES]
    for words in (verdict.structure_words(ladder), verdict.headline(ladder)):
        assert ("the structure is enough" in words) == bool(fresh)


@given(outcomes)
def test_every_line_is_a_whole_sentence(states):
    ladder = ladder_of(states)
    lines = [verdict.headline(ladder), *verdict.verdict(ladder)]
    lines += [verdict.variant_words(replace(ladder, name="scope global"))]
    lines += verdict.answers([ladder], [("imdb", "cnn"), ("agnews", "lstm")])
    for line in lines:
        assert line.endswith(".")
        assert "  " not in line
        assert "()" not in line
        assert not {"None", "nan"} & set(line.split())
    one = any(row[0] == "one seed" or row[1] == "one seed" for row in states)
    assert ("one seed decides nothing" in lines[0]) == one
