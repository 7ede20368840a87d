"""What a command would train, told before it is trained."""

from __future__ import annotations

from collections import Counter

import pytest

from helpers.children import study, travel
from lottery import cli
from lottery.cluster.graph import Work
from lottery.experiment.run import failed
from lottery.files import UserError
from lottery.study import outlook
from lottery.upkeep.forecast import Outlook, forecast, outlooks


def told(made) -> dict:
    return outlooks([Work(made.shelf, made.plan(), made.corpora)])


def test_it_names_what_is_then_trained(tmp_path):
    half = study(tmp_path)
    half.run()
    made = study(tmp_path, (0.5, 0.75))
    (found,) = told(made).values()
    assert (found.asked, found.again) == (5, [])
    assert found.missing == [f"demo-reviews cnn {arm} 0.75 seed 0" for arm in ("lt", "random")]
    before = {record.run: record for record in half.records()}
    usual = sorted(record.seconds for record in before.values())[1]
    assert found.known and found.seconds == pytest.approx(2 * usual)
    after = {record.run for record in made.run()}
    assert len(after - before.keys()) == len(found.missing)
    assert told(made) == {("demo-reviews", "cnn"): Outlook(asked=5)}


def test_weights_that_are_gone_are_trained_again(tmp_path):
    made = study(tmp_path, (0.5, 0.75))
    made.run()
    store = made.store
    for settings in made.plan():
        store.weights_path(settings).unlink(missing_ok=True)
    assert not told(made)["demo-reviews", "cnn"].again  # nothing stands on them
    longer = study(tmp_path, (0.5, 0.75, 0.875), ("lt",))
    found = told(longer)["demo-reviews", "cnn"]
    assert found.missing == ["demo-reviews cnn lt 0.875 seed 0"]
    assert sorted(found.again) == [
        "demo-reviews cnn dense seed 0",
        "demo-reviews cnn lt 0.5 seed 0",
        "demo-reviews cnn lt 0.75 seed 0",
    ]


def test_another_datasets_ladder_is_among_it(tmp_path):
    made = travel(tmp_path, ("transferred",))
    found = told(made)
    made.run()
    trained = Counter(r.settings.pair for r in made.store.records()[0])
    # With 0.5's own ticket, whose trained network the words without a twin are scored by.
    assert trained == {("demo-reviews", "cnn"): 4, ("demo-news", "cnn"): 3}
    assert {pair: len(one.missing) for pair, one in found.items()} == trained


def test_without_a_record_nobody_knows_how_long(tmp_path):
    made = study(tmp_path)
    lines = forecast([Work(made.shelf, made.plan(), made.corpora)])
    assert lines[1].split() == ["demo-reviews", "cnn", "3", "3", "0", "?"]
    made.run()
    lines = forecast([Work(made.shelf, made.plan(), made.corpora)])
    assert lines[1].split() == ["demo-reviews", "cnn", "3", "0", "0"]
    assert len(lines) == 2
    other = study(tmp_path, models=("lstm",), hidden=4)  # another model's records do not tell it
    lines = forecast([Work(other.shelf, other.plan(), other.corpora)])
    assert lines[1].split() == ["demo-reviews", "lstm", "3", "3", "0", "?"]


def test_a_share_has_its_own(tmp_path):
    from lottery.experiment.shard import Shard

    made = study(tmp_path, seeds=(0, 1))
    lines = outlook([made], Shard.read("1/2"))
    assert lines[1].split()[:3] == ["demo-reviews", "cnn", "3"]


def test_the_command_trains_nothing(tmp_path, capsys):
    words = ["run", "demo-reviews", "cnn", "--dry-run", "--results", str(tmp_path / "results")]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "to train: demo-reviews cnn dense seed 0" in printed
    assert not list(tmp_path.rglob("*.json"))


def test_what_stands_on_a_failed_run_cannot_be(tmp_path):
    made = study(tmp_path, (0.5, 0.75), ("lt",))
    made.run()
    half, quarter = made.plan()[1:]
    for settings in (half, quarter):
        made.store.record_path(settings).unlink()
    made.store.put(failed(half, made.corpus, "by hand"))
    (found,) = told(made).values()
    assert found.missing == [] and len(found.never) == 1
    assert found.never[0].startswith("demo-reviews cnn lt 0.75 seed 0, it stands on ")
    lines = forecast([Work(made.shelf, made.plan(), made.corpora)])
    assert lines[-1] == f"cannot be: {found.never[0]}"


def test_what_stands_on_a_run_that_cannot_be_cannot_be_either(tmp_path):
    made = study(tmp_path, (0.5, 0.75), ("lt",))
    dense = made.plan()[0]
    made.store.put(failed(dense, made.corpus, "by hand"))
    (found,) = told(made).values()
    assert found.missing == []
    assert sorted(found.never) == [
        f"demo-reviews cnn lt {step} seed 0, it stands on cnn dense seed 0: by hand"
        for step in (0.5, 0.75)
    ]


def test_runs_of_two_studies_count_once(tmp_path):
    made, other = study(tmp_path), study(tmp_path, arms=("lt",))
    found = outlooks([Work(one.shelf, one.plan(), one.corpora) for one in (made, other)])
    assert found["demo-reviews", "cnn"].asked == 3


def test_what_would_be_refused_is_refused(tmp_path):
    with pytest.raises(UserError, match="rewind_step 9999 is beyond the"):
        outlook([study(tmp_path, arms=("lt",), rewind_step=9999)])


def test_where_all_is_done_no_text_is_read(tmp_path):
    study(tmp_path, arms=("lt",), rewind_step=3).run()
    made = study(tmp_path, arms=("lt",), rewind_step=3)
    made.corpora = pytest.fail
    assert outlook([made])[1].split() == ["demo-reviews", "cnn", "2", "0", "0"]
