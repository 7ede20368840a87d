"""Results folders that were filled apart come to one; nothing is lost, mixed or overwritten."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import synthetic
from helpers.children import study
from lottery import cli, files
from lottery.files import UserError
from lottery.runs.compare import is_near, tolerances
from lottery.runs.record import Record, pack
from lottery.runs.store import Store
from lottery.upkeep import merge as merging
from lottery.upkeep.merge import merge
from lottery.upkeep.places import is_held


def put(folder: Path, *records: Record) -> Store:
    store = Store(folder)
    for record in records:
        store.put(record)
    return store


def content(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.paths()}


RECORDS = synthetic.study(seeds=(0, 1))


def own(fingerprint: str = "f" * 64, name: str = "mine", **about) -> Record:
    record = synthetic.record(name, fingerprint=fingerprint, **about)
    return record


def test_records_are_copied_byte_for_byte_and_twice_is_once(tmp_path):
    one, two = put(tmp_path / "1", *RECORDS[:6]), put(tmp_path / "2", *RECORDS[4:])
    into = Store(tmp_path / "into")
    said: list[str] = []
    counts, problems = merge(into, [one.root, two.root], said.append)
    assert (counts, problems) == ({"new": len(RECORDS), "the same": 2}, [])
    assert said[0] == f"{len(RECORDS)} records new"
    assert content(into) == content(one) | content(two)
    again, problems = merge(into, [two.root, one.root], said.append)
    assert (again, problems) == ({"the same": len(RECORDS) + 2}, [])
    assert content(into) == content(one) | content(two)


def test_a_run_is_held_while_it_is_copied_and_its_lock_is_not_left(tmp_path, monkeypatch):
    record = RECORDS[0]
    one, into, watched = put(tmp_path / "1", record), Store(tmp_path / "into"), []
    lock, write = into.lock_path(record.settings), merging.write_whole

    def written(*about, **more):
        watched.append(is_held(lock))
        write(*about, **more)

    monkeypatch.setattr(merging, "write_whole", written)
    assert merge(into, [one.root], [].append) == ({"new": 1}, [])
    assert watched == [True] and not lock.exists()


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path):
    one, into = put(tmp_path / "1", RECORDS[0]), Store(tmp_path / "into")
    into.root.mkdir()
    (into.root / "checkpoints").write_text("a file")
    counts, (problem,) = merge(into, [one.root], [].append)
    assert counts == {} and not into.paths()
    assert "cannot be written" in problem and "\n" not in problem


def test_of_two_machines_the_first_is_kept(tmp_path):
    record = synthetic.record(seed=3)
    other = dataclasses.replace(record, host="other", seconds=9.0, device="cpu (arm64)")
    near = dataclasses.replace(other, test_loss=record.test_loss + 0.01)
    into = put(tmp_path / "into", record)
    before = content(into)
    assert merge(into, [put(tmp_path / "1", other).root], [].append)[0] == {"the same": 1}
    assert merge(into, [put(tmp_path / "2", near).root], [].append)[0] == {
        "nearly the same, of another machine, a GPU or other code": 1
    }
    assert content(into) == before


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (synthetic.record(seed=3, accuracy=0.8), "one of them was made by other code or data"),
        (synthetic.record(seed=3, fingerprint="e" * 64), "was made on other texts than"),
    ],
)
def test_records_that_contradict_each_other_stay_where_they_are(tmp_path, other, said, capsys):
    into, record = put(tmp_path / "into", synthetic.record(seed=3)), synthetic.record(seed=4)
    before, apart = content(into), put(tmp_path / "1", other, record)
    counts, (problem,) = merge(into, [apart.root], [].append)
    assert said in problem and "\n" not in problem
    assert problem.startswith(str(apart.record_path(other.settings)))
    assert counts == {"new": 1}  # the others are merged all the same
    assert before.items() < content(into).items()
    words = ["merge", str(apart.root), "--results", str(into.root)]
    assert cli.main(words) == 1
    assert said in capsys.readouterr().out


def test_a_damaged_record_is_named_and_left(tmp_path):
    apart = put(tmp_path / "1", *RECORDS[:3])
    path = apart.paths()[0]
    path.write_bytes(path.read_bytes()[:50])
    counts, (problem,) = merge(Store(tmp_path / "into"), [apart.root], [].append)
    assert counts == {"new": 2} and problem.startswith(str(path))


def test_a_folder_without_runs_is_refused_before_anything_is_done(tmp_path):
    apart, into = put(tmp_path / "1", RECORDS[0]), Store(tmp_path / "into")
    with pytest.raises(UserError, match="holds no runs/"):
        merge(into, [apart.root, tmp_path / "none"], [].append)
    assert not into.paths()


def test_corpora_from_outside_do_not_mix(tmp_path):
    mine = put(tmp_path / "mine", own(seed=0))
    more = put(tmp_path / "more", own(seed=1))
    other = put(tmp_path / "other", own("e" * 64, seed=2))
    yours = put(tmp_path / "yours", own(name="yours"))
    known = put(tmp_path / "known", RECORDS[0])
    assert merge(mine, [more.root], [].append) == ({"new": 1}, [])
    for wrong, said in (
        (other, "was made on other texts called mine"),
        (yours, "is of yours, and the folder belongs to mine"),
        (known, "is of imdb, and the folder belongs to mine"),
    ):
        counts, (problem,) = merge(mine, [wrong.root], [].append)
        assert counts == {} and said in problem
    counts, (problem,) = merge(known, [mine.root], [].append)[0], merge(known, [yours.root])[1]
    assert counts == {} and "is of yours, and the folder belongs to imdb" in problem
    assert len(mine.paths()) == 2 and len(known.paths()) == 1


def test_generated_and_real_texts_do_not_mix(tmp_path):
    real = put(tmp_path / "real", RECORDS[0])
    demo = put(tmp_path / "demo", synthetic.record("demo-reviews"))
    for into, other in ((real, demo), (demo, real)):
        counts, (problem,) = merge(into, [other.root], [].append)
        assert counts == {} and "generated and real texts are not mixed" in problem


def test_a_failed_run_beside_one_with_figures(tmp_path):
    good = synthetic.record(seed=3)
    bare = {"test_loss": None, "test_accuracy": None, "test_correct": "", "best_epoch": 0}
    bad = dataclasses.replace(good, failed="the loss is nan", history=(), **bare)
    into = put(tmp_path / "into", good)
    _, (problem,) = merge(into, [put(tmp_path / "1", bad).root], [].append)
    assert "the loss is nan" in problem


def test_accuracy_alone_may_differ_by_a_point_but_not_by_more(tmp_path):
    right = np.arange(synthetic.TEST_ROWS) < 900
    record = synthetic.record(seed=3, correct=right)
    for number, flips in enumerate((9, 11), 1):
        other = right.copy()
        other[:flips] = False
        changed = dataclasses.replace(
            record, test_correct=pack(other), test_accuracy=float(other.mean())
        )
        into = put(tmp_path / f"into{number}", record)
        counts, problems = merge(into, [put(tmp_path / f"{number}", changed).root], [].append)
        assert (len(problems) == 0) == (flips <= 10) == bool(counts)


@pytest.mark.parametrize(
    ("rows", "texts"), [(20, 4), (50, 6), (125, 10), (500, 10), (1000, 10), (7600, 76)]
)
def test_of_few_test_texts_chance_may_change_more_than_a_point(rows, texts):
    accuracy, loss = tolerances(rows)
    assert int(accuracy * rows + 1e-9) == texts
    assert loss == pytest.approx(0.05 * max(1000 / rows, 1) ** 0.5)


def test_records_of_one_machine_and_commit_are_the_same_or_not_of_one_run(tmp_path):
    right = np.arange(synthetic.TEST_ROWS) < 900
    record = dataclasses.replace(synthetic.record(seed=3, correct=right), commit="c" * 40)
    right[0] = False
    other = dataclasses.replace(record, test_correct=pack(right), test_accuracy=0.899)
    into = put(tmp_path / "into", record)
    for number, (host, problems) in enumerate([(record.host, 1), ("elsewhere", 0)]):
        from_there = put(tmp_path / f"{number}", dataclasses.replace(other, host=host))
        assert len(merge(into, [from_there.root], [].append)[1]) == problems


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ({}, False),
        ({"commit": "c" * 40 + "+"}, True),
        ({"commit": "unknown"}, True),
        ({"device": "cuda (one)"}, True),
    ],
)
def test_to_the_bit_is_asked_of_the_cpu_and_of_a_commit_that_says_all(change, near):
    """Files that differ from a commit are not told by it, and a GPU sums in any order."""
    record = dataclasses.replace(synthetic.record(seed=3), **({"commit": "c" * 40} | change))
    other = dataclasses.replace(record, test_loss=record.test_loss + 1e-6)
    assert is_near(record, record)
    assert is_near(record, other) == near


def test_weights_without_a_record_make_way_for_those_of_the_one_that_comes(tmp_path):
    """They may be of another training: a record that was moved away leaves them behind."""
    made = study(tmp_path / "1", arms=("lt",))
    made.run()
    other = study(tmp_path / "2", arms=("lt",))
    other.run()
    ticket = other.plan()[1]
    first = other.store.rewound_path(ticket, 3)
    made.shelf.keep_rewound(ticket, 3, {"w": torch.zeros(2)})
    other.shelf.keep_rewound(ticket, 3, {"w": torch.ones(2)})
    before = first.read_bytes()
    for path in (other.store.weights_path(ticket), other.store.tested_path(ticket)):
        tensors, facts = files.load(path)
        files.save(path, {name: part + 1 for name, part in tensors.items()}, facts)
    other.store.record_path(ticket).unlink()
    counts, problems = merge(other.store, [made.store.root], lambda _: None)
    assert (counts, problems) == ({"new": 1, "the same": 1}, [])
    for path in (other.store.weights_path(ticket), other.store.tested_path(ticket)):
        own = made.store.root / path.relative_to(other.store.root)
        assert path.read_bytes() == own.read_bytes()
        assert path.with_name(f"{path.name}.damaged").exists()  # set aside, not lost
    assert first.read_bytes() == before  # θₖ stays: others may have been rewound to it


def test_only_weights_of_the_records_texts_come_with_it(tmp_path):
    """Neither those that were made on other texts, nor a state of a run that is not at its end."""
    record = synthetic.record(seed=3)
    apart, into = put(tmp_path / "1", record), Store(tmp_path / "into")
    settings, print_ = record.settings, record.data["fingerprint"]
    made = {
        apart.weights_path(settings): print_,
        apart.tested_path(settings): "e" * 64,
        apart.state_path(settings): print_,
    }
    for path, data in made.items():
        files.save(path, {"w": torch.ones(2)}, {"run": record.run, "data": data})
    for count in ({"new": 1}, {"the same": 1}):
        assert merge(into, [apart.root], [].append) == (count, [])
        there = into.checkpoints.rglob("*.safetensors")
        assert list(there) == [into.weights_path(settings)]


def test_no_weights_come_to_a_record_of_another_machine(tmp_path):
    """They are those of nearly the same record, and a ticket of it would hold other values."""
    kept = synthetic.record(seed=3)
    near = dataclasses.replace(kept, host="other", test_loss=kept.test_loss + 0.01)
    into, apart = Store(tmp_path / "into"), Store(tmp_path / "1")
    into.put(kept)
    apart.put(near)
    path = apart.weights_path(near.settings)
    files.save(path, {"w": torch.ones(2)}, {"run": near.run, "data": near.data["fingerprint"]})
    (kind,) = merge(into, [apart.root], [].append)[0]
    assert kind.startswith("nearly the same")
    assert not list(into.checkpoints.rglob("*.safetensors"))
