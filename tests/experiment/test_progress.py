"""The bar of runs trained elsewhere: a log is written seldom, and its last line is true."""

from __future__ import annotations

import re

import pytest

from lottery.experiment import bars as progress
from lottery.files import say
from lottery.settings import Settings


@pytest.fixture
def clock(monkeypatch):
    """tqdm's clock, in seconds, that stands until it is set."""
    seconds = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: seconds[0])
    return seconds


def test_a_log_shows_how_the_runs_stand_twice_a_minute_at_most(clock, capsys):
    with progress.Tally("IMDb") as bar:
        for done in range(8):  # one every ten seconds
            bar.show(8, done, 2 if done else 0, 0)
            clock[0] += 10
    said = capsys.readouterr().err
    assert re.findall(r"\d/8", said) == ["0/8", "3/8", "6/8", "7/8"]
    assert re.findall(r"2 running, \d waiting", said)[0] == "2 running, 3 waiting"


def test_what_changed_soon_after_the_first_line_is_shown_later(clock, capsys):
    with progress.Tally("IMDb") as bar:
        bar.show(8, 0, 0, 0)
        for _ in range(4):
            clock[0] += 10
            bar.show(8, 0, 2, 0)
        assert capsys.readouterr().err.count("2 running") == 1


def test_the_time_left_counts_all_runs_so_far(clock, capsys):
    with progress.Tally("IMDb") as bar:
        for second in range(601):  # two runs that end together after five minutes, and so on
            clock[0] = second
            bar.show(8, 2 * (second // 300), 2, 0)
        assert "4/8 [10:00<10:00, 150.00s/run" in capsys.readouterr().err


def test_without_a_run_no_bar_is_shown(clock, capsys):
    settings = Settings("imdb", "cnn").checked()
    with progress.Bars(0, "IMDb") as bar:
        clock[0] += 60
        say("a line")
    assert capsys.readouterr().err == "a line\n"
    with progress.Bars(0, "IMDb") as bar:
        for _ in range(3):  # another process is at it meanwhile
            bar.more(settings)  # what it stands on is gone
        with bar.run(settings):
            pass
    assert "1/1" in capsys.readouterr().err
