"""Which run `lottery export` takes, and what it says of that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers import synthetic
from lottery import cli
from lottery.files import UserError
from lottery.recipes import RECIPES
from lottery.runs.store import Store
from lottery.tickets.export import choice, export, find


@pytest.mark.parametrize(
    ("model", "arm", "code"),
    [("bag", "lt", "model bag 0f"), ("cnn", "signs", "arm signs 0f"), ("cnn", "lt", "score s 0f")],
)
def test_what_has_code_of_ones_own_cannot_be_exported(tmp_path, capsys, model, arm, code):
    store = Store(tmp_path / "results")
    own = synthetic.record("demo-reviews", "cnn", "lt", (0.5,))
    own = replace(own, settings=replace(own.settings, model=model, arm=arm, code=(code,)))
    for record in (own, synthetic.record("demo-reviews", "cnn")):
        store.put(record)
    command = ["export", "demo-reviews", model, str(tmp_path / "out"), "--arm", arm]
    assert cli.main([*command, "--results", str(store.root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lottery: {code.removesuffix(' 0f')}: what is made with a score, arm")
    assert "must load without its code" in line
    with pytest.raises(UserError, match="must load without its code"):
        export(store, own, tmp_path / "out", say=[].append)


def test_it_says_what_it_took_and_what_else_there_is():
    def made(dataset="demo-reviews", ladder=(0.5, 0.75), **options):
        return synthetic.record(dataset, "cnn", "lt", ladder, **options)

    usual, other = made(), made(epochs=3, rewind_step=9)
    assert choice(usual, [usual, made(seed=1), made(ladder=(0.5,))]) == ""
    recipe = made("imdb", **RECIPES["imdb", "cnn"])
    assert choice(recipe, [recipe]) == ""
    assert choice(other, [other]) == (
        "cnn lt 0.75 seed 0: the one taken has epochs 3, rewind_step 9"
    )
    short = made(ladder=(0.75,), epochs=3)
    records = [short, other, usual]
    assert choice(find(records, "cnn", "lt", 0.75, 0), records) == (
        "cnn lt 0.75 seed 0: the one taken has the default settings; 2 others are there "
        "(ladder [0.75], epochs 3; epochs 3, rewind_step 9)"
    )
    plain = made("imdb")
    assert choice(recipe, [recipe, plain]).startswith(
        "cnn lt 0.75 seed 0: the one taken has the recipe's settings; 1 other is there (max_tokens"
    )
    many = [made(epochs=number) for number in range(1, 6)]
    assert choice(usual, [usual, *many]).endswith("(epochs 1; epochs 2; epochs 3; and 2 more)")


def test_a_run_is_taken_by_its_name_whatever_its_settings(tmp_path, capsys, monkeypatch):
    store, taken = Store(tmp_path / "results"), []
    usual = synthetic.record("demo-reviews", "cnn", "lt", (0.5,))
    other = synthetic.record("demo-reviews", "cnn", "lt", (0.5,), epochs=3)
    for record in (usual, other):
        store.put(record)

    def noted(store, record, *_, **__):
        taken.append(record.run)
        raise UserError("enough")

    monkeypatch.setattr("lottery.tickets.export.export", noted)

    def said(model: str, name: str) -> str:
        words = ["export", "demo-reviews", model, str(tmp_path / "out"), "--run", name]
        assert cli.main([*words, "--results", str(store.root)]) == 2
        return capsys.readouterr().err

    assert f"{other.run[:8]}: cnn lt 0.5 seed 0" in said("cnn", other.run[:8])
    assert taken == [other.run]
    assert "is of demo-reviews cnn: name these" in said("lstm", other.run)
    assert "no record in" in said("cnn", "nosuch") and taken == [other.run]
    store.record_path(other.settings).unlink()
    store.put(
        replace(
            synthetic.record("demo-reviews", "cnn", "lt", (0.5,), epochs=3),
            failed="the loss is nan",
            best_epoch=0,
            test_loss=None,
            test_accuracy=None,
            test_correct="",
            history=(),
        )
    )
    assert "cnn lt 0.5 seed 0: the loss is nan" in said("cnn", other.run)
