"""Names of runs, streams of a seed, and what is out of bounds."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from lottery.files import UserError
from lottery.settings import Settings, check_ladder

BASE = Settings("imdb", "cnn", "lt", (0.5, 0.75), seed=1)


def test_a_name_depends_on_every_number():
    other = {
        "dataset": "agnews",
        "model": "lstm",
        "arm": "random",
        "ladder": (0.5,),
        "widths": (3,),
        "pooling": "mean",
        "scope": "global",
        "score": "other",
        "scored_at": "best",
        "schedule": "linear",
        "kept_dense": ("embedding.weight",),
        "source": "agnews",
        "code": ("score other 0123456789ab",),
    }
    names = {BASE.run}
    for field in fields(Settings):
        value = other.get(field.name, getattr(BASE, field.name))
        if field.name not in other:
            value = value + (1 if isinstance(value, int) else 0.25)
        names.add(replace(BASE, **{field.name: value}).run)
    assert len(names) == len(fields(Settings)) + 1


def test_defaults_are_left_out_so_that_old_names_live_on():
    assert Settings("imdb", "cnn").spoken() == {"dataset": "imdb", "model": "cnn"}
    # A name once given is a record's file name; if this changes, every old record is orphaned.
    assert Settings("imdb", "cnn").run == "45229051eeca"
    assert BASE.run == "25939b341cfd"


def test_options_that_cannot_matter_do_not_rename_a_run():
    plain = Settings("imdb", "cnn").checked()
    for change in (
        {"ladder": (0.5,)},
        {"rewind_step": 5},
        {"scope": "global"},
        {"hidden": 7},
        {"output_rate": 1.0},
        {"scored_at": "best"},
        {"kept_dense": ("embedding.weight",)},
        {"dropout": 0.5},
    ):
        assert replace(plain, **change).checked() == plain
    assert replace(plain, dropout=0).checked().run == replace(plain, dropout=0.0).checked().run
    first = replace(plain, arm="random", ladder=(0.5,))
    assert replace(first, rewind_step=5).checked() == first
    second = replace(plain, arm="random", ladder=(0.5, 0.75))
    assert replace(second, rewind_step=5).checked() != second


def test_a_number_written_otherwise_does_not_rename_a_run():
    """What was made normal before is remembered; equal is not the same."""
    whole, real = (Settings("imdb", "cnn", "lt", (0.5,), 0, output_rate=rate) for rate in (1, 1.0))
    before = real.checked().run
    assert whole.normal().output_rate is whole.output_rate  # remembered as it was written
    assert whole.checked().run == real.checked().run == before


def test_minus_nothing_is_nothing():
    for name in ("dropout", "weight_decay"):
        nothing, minus = (
            Settings("imdb", "cnn", "dense", (), 0, **{name: value}).checked()
            for value in (0.0, -0.0)
        )
        assert str(getattr(minus, name)) == "0.0" and minus.run == nothing.run


def test_arms_that_may_look_at_rewound_weights_keep_the_step():
    for arm, step in (("lt", 20), ("mine", 20), ("random", 0), ("finetune", 0)):
        one = Settings("imdb", "cnn", arm, (0.5,), 0, rewind_step=20)
        assert one.normal().rewind_step == step
        assert replace(one, ladder=(0.5, 0.75)).normal().rewind_step == 20


def test_json_and_back():
    assert Settings.from_json(BASE.to_json()) == BASE
    with pytest.raises(UserError, match="unknown field 'colour'"):
        Settings.from_json(BASE.to_json() | {"colour": 1})


def test_streams_are_apart_and_shared_by_all_arms():
    streams = {BASE.stream(n) for n in ("first weights", "order", "dropout")}
    streams |= {BASE.stream("order", 1), replace(BASE, seed=2).stream("order")}
    assert len(streams) == 5
    assert replace(BASE, arm="random", ladder=(0.5,)).stream("order", 1) == BASE.stream("order", 1)


def test_whole_numbers_of_numpy_are_numbers():
    own = replace(BASE, seed=np.int64(3), epochs=np.uint8(2), dropout=np.int32(0)).checked()
    assert own.run == replace(BASE, seed=3, epochs=2, dropout=0.0).checked().run


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed -1 is not a whole number from 0"),
        ({"seed": 2**40}, "seed"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"epochs": 0}, "epochs 0 is not a whole number from 1"),
        ({"epochs": 10**6}, "epochs"),
        ({"batch_size": -64}, "batch_size -64"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"learning_rate": 0.0}, "learning_rate 0.0 must be greater than 0"),
        ({"learning_rate": -1e-3}, "learning_rate -0.001"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"learning_rate": 1e6}, "learning_rate"),
        ({"learning_rate": 10**400}, "is not a number from 0 to 10"),
        ({"learning_rate": np.float32(1e-3)}, "is no number of Python: write float"),
        ({"seed": np.float64(1)}, "is not a whole number from 0"),
        ({"dropout": 1.0}, "dropout"),
        ({"word_dropout": 1.5}, "word_dropout"),
        ({"pooling": "sum"}, "unknown pooling 'sum': there are max, mean, last"),
        ({"scope": "row"}, "unknown scope 'row'"),
        ({"weight_decay": -1e-5}, "weight_decay -1e-05 is not a number from 0 to 1"),
        ({"weight_decay": 2}, "weight_decay"),
        ({"schedule": "cosine"}, "unknown schedule 'cosine': there are constant, linear"),
        ({"scored_at": "first"}, "unknown scored_at 'first': there are last, best"),
        ({"kept_dense": (3,)}, "kept_dense 3 is not the name of a tensor"),
        ({"widths": ()}, "widths is empty"),
        ({"ladder": ()}, "needs a sparsity"),
        ({"ladder": (0.5, 0.5)}, "must rise"),
    ],
)
def test_out_of_bounds_is_one_clear_line(change, words):
    with pytest.raises(UserError, match=words.replace("(", r"\(")) as caught:
        replace(BASE, **change).checked()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ladder", [[0], [1], [1.2], [-0.1], [float("nan")]])
def test_a_sparsity_outside_zero_to_one(ladder):
    with pytest.raises(UserError, match=r"outside \(0, 1\)"):
        check_ladder(ladder)


@pytest.mark.parametrize("ladder", [["a"], [True], [None]])
def test_a_sparsity_that_is_no_number(ladder):
    with pytest.raises(UserError, match=f"sparsity {ladder[0]!r} is not a number"):
        check_ladder(ladder)


def test_a_ladder_rises():
    assert check_ladder([0.5, 0.75]) == (0.5, 0.75)
    with pytest.raises(UserError, match=r"0\.5 follows 0\.75: write \[0\.5, 0\.75\]"):
        check_ladder([0.75, 0.5])
