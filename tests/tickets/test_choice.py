"""Which run `lottery export` takes, and what it says of that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers import synthetic
from lottery import cli
from lottery.files import UserError
from lottery.runs.store import Store
from lottery.tickets.export import export


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
