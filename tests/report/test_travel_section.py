"""The section of tickets that travel, by hand; the rest of the report knows nothing of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.pictures import named
from helpers.synthetic import record, world
from lottery.analysis import selection, travel, verdict
from lottery.analysis.frame import frame
from lottery.analysis.intervals import Interval, interval
from lottery.analysis.verdict import OPEN, YES, Fact, Rung
from lottery.report import grid, travelled
from lottery.report import page as report
from lottery.report.evidence import differences
from lottery.report.figures import ACROSS, styles
from lottery.report.figures.accuracy import sparsity_curve
from lottery.report.tables import other_settings, rungs
from lottery.report.travel import HEADS, bullets, limits, origins, sentence, travel_answer
from lottery.runs.store import Store
from lottery.upkeep.verify import verify

LADDER = (0.5, 0.75, 0.875)
# Points above dense at 75 and 87.5 %; at 50 % nothing travelled.
FOREIGN = {
    "transferred": (None, -0.1, -2.0),
    "transferred_shuffled": (None, -1.5, -2.0),
    "transferred_random": (None, -2.0, -4.0),
    "transferred_weights": (None, 0.4, -2.0),
    "transferred_inner": (None, -0.1, None),
}
LT = (0.1, -0.1, -0.3)


@pytest.fixture(scope="module")
def usual():
    return world({"lt": LT, "random": (0, -0.4, -0.6)})


@pytest.fixture(scope="module")
def foreign():
    made = world(FOREIGN, source="agnews")
    return [one for one in made if one.settings.rung]


def test_a_row_a_comparison_by_hand(usual, foreign):
    made = travelled([*usual, *foreign])
    assert made.columns.name == "From → to" and set(made.index) == {"AG-news → IMDb CNN"}
    assert list(made["Difference"]) == list(HEADS.values())
    assert list(made.columns) == ["Difference", "1/4", "1/8", "Seeds", "Seeds to decide"]
    firsts = {"less own mask": "lt", "less its rows shuffled": "transferred_shuffled",
              "less random places": "transferred_random"}  # fmt: skip
    heights = FOREIGN | {"lt": LT}
    found = {(r.settings.arm, r.settings.rung, r.settings.seed): r for r in [*usual, *foreign]}
    for row in made.itertuples(index=False):
        arm = next((arm for end, arm in firsts.items() if row[0].endswith(end)), None)
        if not arm or row[0].startswith("foreign but"):
            continue
        for cell, rung in ((row[1], 2), (row[2], 3)):
            both = [np.array([found[one, rung, seed].correct for seed in range(5)])
                    for one in ("transferred", arm)]  # fmt: skip
            given = interval(both[0].astype(np.int8) - both[1])
            assert cell.split()[1] == f"{100 * given.mean:+.2f}".replace("-", "−").replace(
                "+0.00", "0.00"
            ).replace("−0.00", "0.00")
            assert abs(100 * given.mean - heights["transferred"][rung - 1]
                       + heights[arm][rung - 1]) < 0.2  # fmt: skip
    marks = {row[0]: (row[1][0], row[2][0]) for row in made.itertuples(index=False)}
    assert marks[HEADS[travel.SHUFFLED]] == ("↑", "=")
    assert marks[HEADS[travel.DENSE]] == ("✓", "✗")
    assert marks[HEADS[travel.RANDOM]] == ("↑", "↑")
    assert marks[HEADS[travel.OWN_MASK]][1] == "↓"
    assert made["1/8"].iloc[-1] == verdict.NOT_RUN
    assert set(made["Seeds"]) == {"5"}


def test_sentences_count_what_the_grid_holds(usual, foreign):
    found = travel.journeys([*usual, *foreign])
    own, controls, dense, inner, sure = bullets(found)
    assert "better at 0 of 2 rungs, worse at 1, the same within 0.5 points at 1, open at 0" in own
    assert "than its rows shuffled at 1 of 2 rungs and worse at 0" in controls
    assert "random places at 2 of 2 and worse at 0" in controls
    assert "as good within 0.5 points at 1 of 2 rungs, worse at 1" in dense
    assert "its own mask at 0 of 1 rungs, worse at 0, the same within 0.5 points at 1" in inner
    assert "of 12 comparisons are decided, with 5 seeds" in sure and "1 were not run" in sure
    said = limits(found)
    assert said.startswith("IMDb and AG-news are 2 datasets") and "50.00 %" in said
    assert "outside the word vectors it keeps 100.00 % of what" in said
    small = {s: [replace(t, inner=t.inner // 2) for t in f] for s, f in found[0].transfers.items()}
    assert "it keeps 49.80 % to 50.00 % of" in limits([replace(found[0], transfers=small)])
    (name, *_), table = (found[0].name,), origins(found)
    assert set(table.index) == {name} and list(table["Words in both"]) == ["40 of 80"] * 2
    sizes = {"Kept": ["2,500", "1,249"], "Own ticket": ["4,500", "2,249"]}
    sizes |= {"Outside word vectors": ["500", "249"], "Own ticket there": ["500", "249"]}
    assert {name: list(table[name]) for name in sizes} == sizes


def test_limits_count_the_lucky_among_the_decided(usual, foreign):
    (found,) = travel.journeys([*usual, *foreign])
    lucky = Interval(0.01, 0.006, 0.014, 3, of_examples=0.008)
    facts = {travel.OWN_MASK: Fact(OPEN, lucky, 3), travel.DENSE: Fact(YES, lucky, 3)}
    said = limits([replace(found, rungs=(Rung(0.75, facts),))])
    assert "2 more intervals, each 95 % by itself; 1 of the 1 decided comparisons rest" in said


def test_masks_of_tickets_made_again_elsewhere_are_not_compared(usual, foreign):
    """One seed's controls stand on other tickets than its foreign mask; others' own differ."""
    controls = ("transferred_shuffled", "transferred_random")

    def changed(one):
        s, transfer = one.settings, one.transfer
        if s.arm in controls and (s.seed, s.rung) == (1, 2):
            return replace(one, transfer=replace(transfer, as_found=(7, transfer.as_found[1])))
        if s.arm == "transferred_inner" and s.seed == 2:
            return replace(one, device="cuda (another)")
        if s.arm == "transferred_inner" and s.seed == 3:
            return replace(one, transfer=replace(transfer, own_inner=transfer.own_inner + 1))
        return one

    found = travel.journeys([*usual, *map(changed, foreign)])
    seeds = {asked: fact.seeds for asked, fact in found[0].rungs[0].facts.items()}
    assert seeds == {
        travel.OWN_MASK: 5, travel.DENSE: 5, travel.VALUES: 5,
        travel.SHUFFLED: 4, travel.RANDOM: 4, travel.INNER: 3,
    }  # fmt: skip
    assert found[0].apart == 4 and "4 pairs of runs of one seed" in bullets(found)[-1]


def test_masks_that_records_tell_apart_are_not_compared_and_equal_ones_are(usual, foreign):
    """Where records hold their masks' digests, these decide, and no device."""
    others = {
        (0, "transferred_shuffled"): {"own_mask": "d"},
        (1, "transferred_random"): {"mask": "c"},
        (2, "transferred_inner"): {"own_mask": "d"},
    }

    def told(one):
        s = one.settings
        if s.arm == "lt":
            return replace(one, mask="b", device="cuda (another)" if s.seed == 3 else one.device)
        if one.transfer is None:
            return one
        masks = {"mask": "a", "own_mask": "b"} | others.get((s.seed, s.arm), {})
        return replace(one, mask="m", transfer=replace(one.transfer, **masks))

    found = travel.journeys(map(told, [*usual, *foreign]))
    seeds = {asked: fact.seeds for asked, fact in found[0].rungs[0].facts.items()}
    assert seeds == {
        travel.OWN_MASK: 5, travel.DENSE: 5, travel.VALUES: 5,
        travel.SHUFFLED: 4, travel.RANDOM: 4, travel.INNER: 4,
    }  # fmt: skip


def test_one_sentence_answers_in_the_section_the_readme_and_a_notebook(usual, foreign, tmp_path):
    shown, said = travel_answer([*usual, *foreign]), sentence([*usual, *foreign])
    assert shown._repr_markdown_().startswith(f"{said}\n\n| From → to ")
    assert said.startswith(
        "**Do tickets travel?** At 1 of 2 rungs (of AG-news → IMDb CNN) a network"
    )
    assert "rows shuffled, and at 0 worse; at 1 of 2 it does worse than with its own" in said
    assert said.endswith(" of 12 comparisons are decided.")
    readme = tmp_path / "README.md"
    readme.write_text(f"{grid.BEGIN}\n{grid.END}\n")
    store = Store(tmp_path / "results")
    for one in [*usual, *foreign]:
        store.put(one)
    report.write(store, say=[].append)
    assert f"\n\n{said}\n{grid.END}" in readme.read_text(encoding="utf-8")
    assert f"## Do tickets travel?\n\n{shown}\n\n" in report.path_of(store).read_text()
    assert not any("README" in line for line in verify(store)[1])


def test_without_a_foreign_mask_there_is_nothing(usual):
    assert travel_answer(usual) == sentence(usual) == ""
    assert len(travelled([])) == 0 and len(travelled(usual)) == 0
    assert ACROSS["travel"](usual) is None
    assert "Do tickets travel" not in report.page(usual, ["imdb", "agnews"], {})


def test_the_figure_shows_the_facts(usual, foreign):
    records = [*usual, *foreign]
    (axes,) = ACROSS["travel"](records).axes
    (journey,) = travel.journeys(records)
    asked = (travel.OWN_MASK, travel.SHUFFLED, travel.RANDOM, travel.DENSE)
    facts = [rung[question] for rung in journey.rungs for question in asked]
    looks = styles.STATES | styles.BETTER
    assert len({look["marker"] for look in looks.values()}) == len(looks), "apart in grey"
    for y, (line, fact) in enumerate(zip(named(axes).values(), facts, strict=True)):
        assert line.get_xydata()[0] == pytest.approx([100 * fact.interval.mean, y])
        assert line.get_marker() == looks[fact.state]["marker"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    beside = ("own mask", "rows shuffled", "random places", "dense")
    assert names[:4] == [f"1/4: less {words}" for words in beside]


def test_the_rest_of_the_report_is_the_same_to_the_byte(usual, foreign, tmp_path):
    plain, mixed = Store(tmp_path / "a" / "results"), Store(tmp_path / "b" / "results")
    more = [*foreign, record("imdb", "cnn", "transferred", (0.5,), 0, source="agnews", epochs=3)]
    for store, records in ((plain, usual), (mixed, [*usual, *more])):
        for one in records:
            store.put(one)
        report.write(store, say=[].append)
    one, other = (report.path_of(store).read_text() for store in (plain, mixed))
    start, end = other.index("\n## Do tickets travel?\n"), other.index("\n## Beside the earlier")
    assert other[:start] + other[end:] == one
    assert "![foreign masks less own mask" in other[start:end] and "26 runs" not in other[:start]
    pictures = {path.name for path in (mixed.root / "figures").iterdir()}
    assert pictures - {path.name for path in (plain.root / "figures").iterdir()} == {
        "travel.png", "travel.svg"
    }  # fmt: skip
    for path in (plain.root / "figures").glob("*.png"):
        assert path.read_bytes() == (mixed.root / "figures" / path.name).read_bytes(), path.name


def test_neither_grid_nor_curve_nor_tables_know_of_them(usual, foreign):
    both = [*usual, *foreign]
    assert selection.in_report(both) == selection.in_report(usual)
    assert verdict.ladders(both) == verdict.ladders(usual)
    assert differences(both).equals(differences(usual))
    assert rungs(both).equals(rungs(usual)) and len(other_settings(both)) == 0
    assert len(other_settings([*both, *map(replace_epochs, foreign)])) == 0, "nor of a trial"
    labels = {line.get_label() for axes in sparsity_curve(both).axes for line in axes.lines}
    assert not any("transferred" in label for label in labels)
    seen = frame(both)
    assert not seen[seen.source == "agnews"].in_report.any()
    assert seen[seen.source != "agnews"].in_report.all() and len(seen) == len(both)


def test_other_protocols_seeds_and_directions_stand_apart(usual, foreign):
    other = world({"lt": LT, "transferred": FOREIGN["transferred"]}, dataset="agnews",
                  source="imdb", seeds=(0,))  # fmt: skip
    loose = [replace_epochs(one) for one in foreign]
    found = travel.journeys([*usual, *foreign, *other, *loose])
    assert [one.name for one in found] == ["AG-news → IMDb CNN", "IMDb → AG-news CNN"]
    assert found[0] == travel.journeys([*usual, *foreign])[0]
    single = found[1].rungs[0][travel.OWN_MASK]
    assert (single.state, single.seeds) == (verdict.OPEN, 1)


def replace_epochs(one):
    return replace(one, settings=replace(one.settings, batch_size=32))


def test_one_arm_alone_is_enough_for_a_section(usual, foreign):
    inner = [one for one in foreign if one.settings.arm == "transferred_inner"]
    text = report.page([*usual, *inner], ["imdb", "agnews"], {})
    assert HEADS[travel.INNER] in text and "40 of 80" in text
    assert HEADS[travel.OWN_MASK] not in text


def test_ladders_that_part_are_two_journeys(usual, foreign):
    parted = world({"transferred": (0.0, -1.0)}, ladder=(0.4, 0.75), source="agnews")
    found = travel.journeys([*usual, *foreign, *(one for one in parted if one.settings.rung)])
    assert [[rung.sparsity for rung in one.rungs] for one in found] == [[0.75, 0.875], [0.4, 0.75]]
    ladders = "ladder 0.5 0.75 0.875", "ladder 0.4 0.75"
    assert [one.name for one in found] == [f"AG-news → IMDb CNN ({words})" for words in ladders]


def test_runs_that_no_journey_compares_are_not_counted(usual, foreign):
    loose = [replace_epochs(one) for one in foreign]
    home = [replace(one, settings=replace(one.settings, source="imdb")) for one in foreign]
    pages = [
        report.page(records, ["imdb", "agnews"], {})
        for records in ([*usual, *foreign], [*usual, *foreign, *loose, *home])
    ]
    one, other = (page.split("## Do tickets travel?")[1].split("## Beside")[0] for page in pages)
    assert one == other and f"{len(foreign)} runs" in one
    assert travel.journeys([*usual, *home]) == []


def test_masks_of_as_many_weights_may_be_of_other_tickets():
    LT = (0.0, 0.0, 0.0)
    usual = world({"lt": LT})
    foreign = [r for r in world({"transferred": LT, "transferred_random": LT}, source="agnews")
               if r.settings.rung]  # fmt: skip

    def moved(one):  # one weight of a shared word is another's: as many in all
        if (one.settings.arm, one.settings.seed) != ("transferred_random", 1):
            return one
        t = one.transfer
        less, more = (t.by_word[0] - 1, t.by_word[1]), (t.at_random[0] + 1, t.at_random[1])
        return replace(one, transfer=replace(t, by_word=less, at_random=more))

    (found,) = travel.journeys([*usual, *map(moved, foreign)])
    assert found.rungs[0][travel.RANDOM].seeds == 4
