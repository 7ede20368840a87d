"""The answer: its sentence, its grid, its bullets, and where it is put."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.synthetic import record, world
from lottery.analysis import verdict
from lottery.analysis.intervals import Interval
from lottery.analysis.verdict import (
    DOWN,
    NO,
    OPEN,
    SAME,
    STRONGEST,
    TICKET,
    UP,
    YES,
    Fact,
    Ladder,
    Rung,
)
from lottery.report import grid
from lottery.report.page import pairs_of
from lottery.report.words import LUCKY, p_value, part, parts, points, power, short

GOOD = {"lt": (0, 0, -2), "random": (0, -2, -2), "random_mask": (None, -2, -2)}
POOR = {"lt": (-2, -2, -2), "random": (-2, -2, -2)}


def both(dataset: str = "imdb") -> list:
    return [*world(GOOD, dataset=dataset), *world(POOR, dataset=dataset, model="lstm")]


def of(records) -> tuple[list[Ladder], list[Ladder]]:
    return verdict.pairs(records), verdict.ladders(records)


# The sentence


def test_the_sentence_says_where_how_sparse_and_how_sure():
    found, _ = of(both())
    assert grid.headline(found) == (
        "**Winning tickets exist in 1 of 2 pairs, the sparsest with 1/4 of the weights "
        "(IMDb CNN); where each is sparsest, its first values are better than new ones in 1 of 1. "
        "12 of 12 questions are decided.**"
    )
    found, _ = of([*both(), *both("agnews")])
    assert "2 of 4 pairs, the sparsest with 1/4 of the weights (IMDb CNN, AG-news CNN)" in (
        grid.headline(found)
    )


def test_no_ticket_and_nothing_run_have_sentences_of_their_own():
    found, _ = of(world({"lt": (-2, -0.5)}))
    assert grid.headline(found) == (
        "**No winning ticket is shown (0 of 1 pairs): it is worse than dense at 1 of 2 rungs, "
        "open at 1; 1 of 4 questions are decided.**"
    )
    for records in ([], [record()]):
        assert grid.headline(verdict.pairs(records)) == grid.NOTHING
        assert grid.bullets(verdict.pairs(records), []) == []


# The grid


@pytest.mark.parametrize(
    ("state", "symbol"),
    [(YES, "✓"), (NO, "✗"), (OPEN, "?"), (UP, "↑"), (DOWN, "↓"), (SAME, "=")],
)
def test_a_cell_is_a_mark_a_difference_and_its_interval(state, symbol):
    fact = Fact(state, Interval(-0.0013, -0.002, 0.0004, 3), 3)
    assert grid.cell(fact) == f"{symbol} −0.13 <sub>−0.20 to +0.04</sub>"
    assert grid.cell(Fact()) == "not run"


def test_a_row_a_pair_and_a_column_a_rung():
    frame = grid.grid(pairs_of(verdict.ladders(both()), ["imdb", "agnews"]))
    assert list(frame.index) == ["IMDb CNN", "IMDb LSTM", "AG-news CNN", "AG-news LSTM"]
    assert list(frame) == [
        *("Dense", "1/2 of the weights", "1/4", "1/8"),
        *("First values less new", "Learned places less random", "Seeds"),
    ]
    cnn, lstm, none, _ = frame.to_dict("records")
    assert cnn["Dense"] == "90.00 %"
    assert [cnn[head][0] for head in list(frame)[1:4]] == ["✓", "✓", "✗"]
    assert cnn["First values less new"].startswith("↑ +2.00 <sub>+1.")
    assert cnn["First values less new"].endswith(
        ", at 1/4, seeds: 5</sub>"
    )  # the sparsest good one
    assert cnn["Learned places less random"].startswith("↑ +2.00")
    assert lstm["First values less new"] == lstm["Learned places less random"] == "–"
    assert (cnn["Seeds"], lstm["Seeds"], none["Seeds"]) == ("5", "5", "0")
    assert none["Dense"] == none["1/4"] == "not run"


def test_sparsities_of_one_name_have_columns_of_their_own():
    finer = world({"lt": (0,)}, model="lstm", ladder=(0.96875,))
    found, _ = of([*world({"lt": (0,)}, ladder=(0.969,)), *finer])
    frame = grid.grid(found)
    assert list(frame.columns[1:3]) == ["3.12 % of the weights", "3.1 %"]
    assert frame.loc["IMDb CNN", "3.1 %"].startswith("✓")
    assert frame.loc["IMDb LSTM", "3.12 % of the weights"].startswith("✓")


def test_a_rung_that_a_pair_lacks_is_not_run():
    records = world({"lt": (0, 0)}) + world({"lt": (0,)}, model="lstm")
    frame = grid.grid(verdict.pairs(records))
    assert frame.loc["IMDb LSTM", "1/4"] == "not run"
    said = "".join(grid.bullets(*of(records)))
    assert "3 of 8 headline decisions are decided (pairs: 2; rungs: 2;" in said


def test_numbers_of_seeds_that_differ_are_both_told():
    records = [r for r in world({"lt": (0, 0)}) if (r.settings.rung, r.settings.seed) != (2, 3)]
    assert list(grid.grid(verdict.pairs(records))["Seeds"]) == ["4 to 5"]


def test_the_seeds_of_the_why_are_its_own():
    few = [r for r in world(GOOD) if r.settings.arm != "random_mask" or r.settings.seed < 3]
    (row,) = grid.grid(verdict.pairs(few)).to_dict("records")
    assert row["Seeds"] == "5"
    assert row["First values less new"].endswith(", seeds: 5</sub>")
    assert row["Learned places less random"].endswith(", seeds: 3</sub>")


def test_a_why_that_was_not_run_there_says_where_it_was():
    elsewhere = [r for r in world(GOOD) if r.settings.arm != "random_mask" or r.settings.rung > 2]
    (row,) = grid.grid(verdict.pairs(elsewhere)).to_dict("records")
    assert row["1/4"].startswith("✓")
    assert row["Learned places less random"] == "not at 1/4; = at 1/8"
    never = [r for r in world(GOOD) if r.settings.arm != "random_mask"]
    (row,) = grid.grid(verdict.pairs(never)).to_dict("records")
    assert row["Learned places less random"] == "not run"


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_nothing_is_as_good_as_a_network_that_learned_nothing(seeds):
    records = world({"lt": (0, 0), "random": (0, 0)}, dense=0.5, seeds=seeds)
    (pair,) = verdict.pairs(records)
    assert not pair.has_learned and pair.sparsest is None
    assert {rung[q].state for rung in pair.rungs for q in verdict.AS_GOOD} <= {OPEN, "not run"}
    said = grid.top([pair])
    assert "IMDb CNN: the dense network (50.00 %) is not shown to do better than always" in said
    assert (
        "commonest class of the test texts (50.00 %)" in said and "✓" not in said.split("\n\n")[2]
    )
    assert grid.headline([pair]).startswith("**No winning ticket is shown")
    (near,) = verdict.pairs(world({"lt": (0, 0)}, dense=0.51, seeds=seeds))
    assert near.dense.mean > near.floor > near.dense.low and not near.has_learned, "not yet shown"
    (better,) = verdict.pairs(world({"lt": (0, 0)}, dense=0.6, seeds=seeds))
    assert better.has_learned and "not shown to do better" not in grid.top([better])


def test_the_commonest_class_is_that_of_the_test_texts():
    labels = {"train": [70, 30], "valid": [7, 3], "test": [4, 96]}
    one = record()
    of_own = replace(one, data=one.data | {"classes": ["ok", "bad"], "labels": labels})
    assert verdict.floor(of_own) == 0.96
    assert verdict.floor(record("agnews")) == 0.25


# The bullets


def test_the_bullets_count_what_the_facts_say():
    found, ladders = of(both())
    said = grid.bullets(found, ladders)
    assert said[0] == (
        "**Found.** A ticket as good as its dense network within 0.5 points: "
        "IMDb CNN down to 1/4 of the weights."
    )
    assert "At 4 of the 6 rungs that were run the ticket is worse" in said[1]
    assert said[1].endswith("0.5 points; 0 more are open.")
    count = grid.counted(found) | {"open": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "counted", lambda _: count)
        assert grid.bullets(found, ladders)[1].endswith("0.5 points; 1 more is open.")
    assert said[2].endswith("better at 1 of 6 rungs, worse at 0, the same within 0.5 points at 5, "
                            "open at 0.")  # fmt: skip
    assert "better at 1 of 2 rungs" in said[3]
    assert said[4].startswith(
        "**How sure.** 12 of 12 headline decisions are decided (pairs: 2; rungs: 3; ticket and "
        "first values at each), seeds: 5."
    )
    assert said[4].endswith("seeds: 5."), "of what is open nothing is said where nothing is"
    assert grid.bullets(*of(world({"lt": (-2,)})))[0] == grid.FOUND_NONE.format(margin="0.5 points")


def test_open_questions_are_told_by_what_would_close_them():
    found, ladders = of(world({"lt": (-0.3, -0.5, 0)}, seeds=(0, 1, 2), swing=0.001))
    said = grid.bullets(found, ladders)[-1]
    facts = [rung[verdict.TICKET] for rung in found[0].rungs]
    soon = sum(f.state == OPEN and f.needed is not None and f.needed <= 20 for f in facts)
    never = sum(f.state == OPEN and f.needed is None for f in facts)
    assert soon + never >= 1
    assert f"Of the open ones {soon} would probably be decided by 20 seeds" in said
    assert f"and {never} by no number while their means stay as they are" in said
    assert said.endswith("0 rest on one seed, which decides nothing, and 3 were not run.")
    one = grid.bullets(*of(world({"lt": (0,)}, seeds=(4,))))[-1]
    assert "0 of 2 headline" in one
    assert one.endswith("1 rest on one seed, which decides nothing, and 1 were not run.")


def test_a_good_ticket_below_one_that_is_not_shown_good_is_at_its_rung():
    """ "Down to" would claim those between."""
    records = world({"lt": (0, -2, 0)}, seeds=(0, 1, 2))
    assert "IMDb CNN at 1/8 of the weights" in grid.bullets(*of(records))[0]
    whole = world({"lt": (0, 0, 0)}, seeds=(0, 1, 2))
    assert "IMDb CNN down to 1/8 of the weights" in grid.bullets(*of(whole))[0]


def test_an_open_question_stands_where_its_seeds_put_it():
    given = Interval(0.0, -0.01, 0.01, 3)
    facts = [Fact(OPEN, given, 3, needed) for needed in (4, 20, 21, None)]
    counts = grid.standing([*facts, Fact(OPEN, given, 1), Fact(YES, given, 3, 3), Fact()])
    known = {"asked": 7, "decided": 1, "soon": 2, "late": 1, "never": 1, "single": 1, "unrun": 1}
    assert counts == known | {"few": 20}


def test_late_rewinding_is_told_where_it_goes_further():
    late = world({"lt": (0, 0)}, rewind_step=438)
    records = list({r.run: r for r in [*world({"lt": (0, -2)}), *late]}.values())
    said = grid.bullets(*of(records))[0]
    assert said.endswith(
        "With late rewinding also: IMDb CNN down to 1/4 (rewind_step 438; seeds: 5)."
    )
    assert list(grid.grid(of(late)[0]).index) == ["IMDb CNN (rewind_step 438)"]
    same = list({r.run: r for r in [*world({"lt": (0, 0)}), *late]}.values())
    assert "rewinding" not in grid.bullets(*of(same))[0]


def test_seeds_that_agree_by_luck_are_marked():
    for of_examples, mark in ((0.008, " †"), (0.003, "")):
        fact = Fact(verdict.UP, Interval(0.01, 0.006, 0.014, 3, of_examples), 3)
        assert grid.cell(fact) == f"↑ +1.00 <sub>+0.60 to +1.40{mark}</sub>"
    said = grid.top(verdict.pairs(both()))
    assert (LUCKY in said) == (" †" in said.replace(LUCKY, ""))


def test_limits_count_the_intervals_and_the_lucky_ones():
    found, ladders = of(both())
    where, *_, said = grid.limits(found, ladders, ["IMDb", "AG-news"])
    assert where.startswith("**Where.** IMDb and AG-news; small models")
    # Ticket, first values and random less dense at 6 rungs; two masks, less ticket and less dense.
    assert "hold 22 intervals of several seeds" in said
    facts = [r[q] for p in found for r in p.rungs for q in verdict.HEADLINE]
    lucky = sum(fact.interval.is_lucky for fact in facts)
    assert f"{lucky} of the 12 decided questions rest on seeds that agree better" in said
    single = of([one for one in both() if one.settings.seed == 0])
    assert "hold 0 intervals of several seeds" in grid.limits(*single, ["IMDb"])[-1]


# Where it is shown


def test_a_notebook_shows_the_answer_as_markdown():
    said = grid.answer(both())
    assert said._repr_markdown_() == str(said)
    assert said.startswith("**Winning tickets exist in 1 of 2 pairs")
    assert "| IMDb CNN " in said
    assert said.count("\n- **") == 5
    assert grid.answer(world({"lt": (0,)}, dataset="demo-news")).startswith(grid.GENERATED)
    assert grid.answer([]) == grid.NOTHING


def test_the_readme_gets_the_answer_between_its_marks():
    found, _ = of(both())
    for text in ("", "nothing", f"{grid.BEGIN} only", f"{grid.END}{grid.BEGIN}"):
        assert grid.into(text, found) == text
    text = f"# Title\n{grid.BEGIN}\nold\n{grid.END}\nend\n"
    for _ in range(2):
        text = grid.into(text, found)
        assert text == f"# Title\n{grid.BEGIN}\n{grid.top(found)}\n{grid.END}\nend\n"


def test_parts_of_the_weights_are_fractions_where_all_are_near_one():
    ladder = (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984)
    assert list(parts(ladder).values()) == ["1/2", "1/4", "1/8", "1/16", "1/32", "1/64"]
    assert parts([0.2, 0.488]) == {0.2: "80 %", 0.488: "51.2 %"}
    assert parts([0.5, 0.51]) == {0.5: "50 %", 0.51: "49 %"}
    assert parts([]) == {}


def test_numbers_in_words():
    steps = (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984, 0.9, 0.8, 0.7, 0.25)
    wanted = "1/2 1/4 1/8 1/16 1/32 1/64 1/10 1/5 30_% 75_%".replace("_", " ")
    assert " ".join(map(part, steps)) == wanted
    assert (points(0.0012), points(-0.0055), points(-0.00001)) == ("+0.12", "−0.55", "0.00")
    assert (power(0.001), power(0.0125), power(1e-6)) == ("1e-3", "1.25e-2", "1e-6")
    assert (short(0.9375), p_value(0.0001), p_value(0.04)) == ("93.75 %", "< 0.001", "0.040")


def test_beside_a_stronger_dense_the_sparsest_good_rung_is_shown(monkeypatch):
    monkeypatch.setattr(verdict, "owns_strongest", lambda pair: False)
    rungs = [Rung(s, {q: Fact(YES, Interval(m, m - 0.001, m + 0.001, 3), 3)
                      for q in (TICKET, STRONGEST)})
             for s, m in ((0.5, 0.01), (0.75, 0.02))]  # fmt: skip
    (said,) = grid._stronger([Ladder("imdb", "cnn", tuple(rungs))])
    assert "+2.00" in said and "+1.00" not in said and "down to 1/4" in said


def test_limits_tell_the_fewest_seeds_of_any_question():
    few = [r for r in world({"lt": (0,), "random": (-2,), "shuffled": (-2,)})
           if r.settings.arm != "shuffled" or r.settings.seed < 2]  # fmt: skip
    said = grid.limits(verdict.pairs(few), verdict.ladders(few), ["IMDb"])
    assert any("(5 for a headline question, 2 or more for another)" in line for line in said)
