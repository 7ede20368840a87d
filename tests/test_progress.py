"""The bar of runs trained elsewhere: a log is written seldom, and its last line is true."""

from __future__ import annotations

import re

from lottery import progress


def test_a_log_shows_how_the_runs_stand_twice_a_minute_at_most(monkeypatch, capsys):
    clock = iter(range(0, 1_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Tally("IMDb") as bar:
        for done in range(8):  # one every ten seconds
            bar.show(8, done, 2 if done else 0, 0)
    said = capsys.readouterr().err
    assert re.findall(r"\d/8", said) == ["0/8", "3/8", "6/8", "7/8"]
    assert re.findall(r"2 running, \d waiting", said)[0] == "2 running, 3 waiting"


def test_what_changed_soon_after_the_first_line_is_shown_later(monkeypatch, capsys):
    clock = iter(range(0, 1_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Tally("IMDb") as bar:
        bar.show(8, 0, 0, 0)
        for _ in range(4):
            bar.show(8, 0, 2, 0)
        assert capsys.readouterr().err.count("2 running") == 1
