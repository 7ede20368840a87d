"""A run from its name, and the command that would train it again."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import synthetic
from lottery import cli
from lottery.experiment.plan import planned
from lottery.files import UserError, root
from lottery.report.words import percent
from lottery.runs.store import Store
from lottery.settings import settable
from lottery.upkeep.show import again, find, show

FOLDERS = ("", "trials", "trials-gpu", "trials-gpu-2", "screen-gpu")


def runs(command: str) -> set[str]:
    """The names of all that a command trains."""
    program, *words = shlex.split(command)
    parsed: argparse.Namespace = cli._parser().parse_args(words)
    given = {f.name for f in settable()}
    chosen = {name: value for name, value in vars(parsed).items() if name in given}
    dataset, model = parsed.what
    asked = planned(
        dataset, [model], parsed.sparsity, parsed.arm, parsed.seed, parsed.at, chosen
    )  # as `lottery run` asks
    assert program == "lottery"
    return {settings.run for settings in asked.runs()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_command_names_the_run_of_every_record(folder):
    records, unread = Store(root() / "results" / folder).records()
    assert records and not unread
    wrong = [r.run for r in records if r.run not in runs(again(r.settings))]
    assert wrong == []


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "results")
    for record in synthetic.study(ladder=(0.5, 0.75), seeds=(0,), epochs=3):
        store.put(record)
    return store


def test_it_says_what_came_out_and_what_the_run_stands_on(store, capsys):
    under, ticket = (
        r
        for sparsity in (0.5, 0.75)
        for r in store.records()[0]
        if (r.settings.model, r.settings.arm, r.settings.sparsity) == ("cnn", "lt", sparsity)
    )
    assert cli.main(["show", ticket.run[:6], "--results", str(store.root)]) == 0
    out = capsys.readouterr().out
    lines = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in out.splitlines()}
    assert out.splitlines()[0] == "imdb cnn lt 0.75 seed 0"
    assert Path(lines["record"]) == store.record_path(ticket.settings)
    assert lines["test"].startswith(f"{ticket.test_accuracy:.2%}".replace("%", " %"))
    assert lines["validation"].startswith(f"{ticket.best.valid_accuracy:.2%}".replace("%", " %"))
    assert lines["stands on"] == f"{under.run} (imdb cnn lt 0.5 seed 0)"
    assert lines["again"].endswith(f" --results {store.root}")
    assert f"{sum(ticket.kept.values()):,} of " in lines["weights"]
    for epoch in ticket.history:
        assert f"{epoch.valid_loss:.4f}" in out


def test_a_failed_run_says_why(store):
    failed = replace(store.records()[0][0], failed="the loss is nan", history=())
    lines = show(store, failed)
    assert [line.split()[1:] for line in lines if line.startswith("failed")] == [
        "the loss is nan".split()
    ]
    assert not any(line.startswith(("test", "validation")) for line in lines)


def test_what_is_not_the_packages_own_stands_in_the_command():
    settings = synthetic.record().settings
    theirs = replace(settings, dataset="reviews", score="mine", code=("score mine 1 2",))
    assert again(theirs).startswith(
        "lottery run --csv FILE --text COLUMN --label COLUMN --name reviews cnn --sparsity"
    )
    assert again(theirs).endswith("--score mine --plugin FILE")


def test_a_name_of_none_or_of_several_is_refused(store, capsys):
    with pytest.raises(UserError, match="name that begins with 'zz'; a run is named as its file"):
        find(store, "zz")
    with pytest.raises(UserError, match=r"'' begins the names of \d+ runs .*: write more"):
        find(store, "")
    assert cli.main(["show", "zz", "--results", str(store.root)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_figure_of_a_run_stands_under_its_own_name(tmp_path):
    store = Store(tmp_path / "results")
    one = synthetic.record(arm="lt", ladder=(0.75,), kept_dense=("embedding.weight",), epochs=3)
    sizes = one.layers | {"embedding.weight": (0, 8000)}
    one = replace(one, layers=sizes)
    assert one.sparsity != one.sparsity_without_embedding
    lines = show(store, one)
    said = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in lines}
    assert said["test"].endswith("of 1,000 texts")
    assert "after epoch 2 of 3" in said["validation"]
    assert said["weights"].endswith(f", {percent(one.sparsity)} removed")
    cells = [line.split() for line in lines]
    assert "convolutions.1.weight 500 125 75.00 %".split() in cells
    for e in one.history:
        loss = f"{e.train_loss:.4f}", f"{e.valid_loss:.4f}"
        right = percent(e.train_accuracy).split(), percent(e.valid_accuracy).split()
        assert [str(e.epoch), loss[0], *right[0], loss[1], *right[1], "0:00:30"] in cells
