"""Which records stand in which table, and that each stands in one."""

from __future__ import annotations

from functools import partial

import pytest

from helpers.plugins import MODEL, nothing_left
from helpers.synthetic import record, world
from lottery.analysis import groups, protocols, selection
from lottery.plugins.load import load
from lottery.plugins.register import named
from lottery.recipes import WITHOUT_DECAY
from lottery.settings import Settings

SHOT = (0.9,)
SCORES = ("magnitude", "snip")


@pytest.fixture
def usual():
    return world({"lt": (0, 0, 0), "random": (0, 0, 0)}, seeds=(0, 1, 2))


def test_what_stands_in_no_table_is_known(usual):
    alone = record(arm="lt", ladder=SHOT, score="snip")
    control = record(arm="random", ladder=(0.5,), score="snip")
    late = record(arm="lt", ladder=(0.5,), score="snip", rewind_step=9)
    beside = record(arm="lt", ladder=(0.5,), score="snip")
    records = [*usual, alone, control, late, beside]
    assert selection.left_out(records) == [alone, control, late]
    assert beside in selection.scored(records)[1]
    assert selection.left_out(usual) == []


def test_every_record_of_the_protocol_is_shown_once_at_least(usual):
    shots = [record(arm=arm, ladder=SHOT, score=s) for arm in ("lt", "random") for s in SCORES]
    records = [*usual, *shots, record(max_tokens=50)]
    tables = selection.in_report(records), selection.scored(records)[1], selection.left_out(records)
    runs = [{one.run for one in table} for table in tables]
    assert set.union(*runs) == {one.run for one in [*usual, *shots]}
    assert not runs[2] & (runs[0] | runs[1])
    assert runs[2] == {one.run for one in shots if one.settings.arm == "random"}


@pytest.fixture
def bag(tmp_path):
    """Records of a model from outside."""
    with nothing_left():
        (tmp_path / "own.py").write_text(MODEL)
        load(tmp_path / "own.py")
        (code,) = named(Settings("imdb", "bag")).code
        yield partial(record, "imdb", "bag", code=(code,))


def test_a_model_from_outside_has_todays_protocol(bag):
    recipe = [bag(), bag("lt", (0.5,))]
    trial = [bag(seed=seed, dropout=0.1) for seed in range(5)]
    assert selection.in_report(trial + recipe) == recipe
    assert selection.of_recipe(trial + recipe, WITHOUT_DECAY) == recipe
    assert not protocols.is_former(recipe[0].settings)


def test_runs_on_other_texts_are_no_seeds_of_one_group():
    found = groups.groups([record(), record(seed=1, fingerprint="f"), record(seed=2)])
    assert sorted([r.settings.seed for r in g.records] for g in found) == [[0, 2], [1]]
