"""Runs that are stopped go on, and end as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import children
from helpers.children import Child, study
from helpers.stores import content, same
from lottery import files, models
from lottery.experiment import run as one
from lottery.files import UserError
from lottery.report import page as report
from lottery.runs import provenance
from lottery.runs.store import Store
from lottery.training.resume import ResumeState
from lottery.upkeep.clean import clean
from lottery.upkeep.places import is_held
from lottery.upkeep.verify import verify

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals"),
]


def test_killed_at_twenty_random_moments_it_ends_as_if_undisturbed(tmp_path):
    options = {"arms": ("lt",), "epochs": 16}
    quiet = study(tmp_path / "quiet", **options)
    quiet.run()
    stopped = Store(tmp_path / "stopped")
    moments, killed = random.Random(4), 0
    for number in range(20):
        child = Child(children.run(stopped.root, **options), tmp_path / f"log{number}")
        assert child.wait_for_training(), child.said
        time.sleep(moments.uniform(0, 0.06))
        killed += child.kill() == -signal.SIGKILL
        assert stopped.records()[1] == []
    assert killed == 20, "every time it was at work"
    last = Child(children.run(stopped.root, **options), tmp_path / "last")
    assert last.wait() == 0, last.said
    assert not any("set aside" in path.read_text() for path in tmp_path.glob("l*")), "no work lost"
    same(stopped, quiet.store)
    clean(stopped)
    left = [path for path in stopped.root.rglob("*") if path.is_file()]
    assert len(left) == 6, "two records, two checkpoints, two tested networks"


def test_killed_while_it_writes_each_file(tmp_path):
    """Each file half written, or just there when the next thing must follow."""
    options = {"arms": ("random",), "epochs": 2}
    quiet = study(tmp_path / "quiet", **options)
    quiet.run()
    stopped = Store(tmp_path / "stopped")
    # Two states, the tested network, after that, written anew, the checkpoint, then the record
    first = [1, 1, 1, 2, 3]
    second = [1, 1, 1, 2]  # two states, the tested network, the record
    kinds = []
    for number, at in enumerate(first + second):
        for prepare in (children.die_half_way, children.die_after):
            log = tmp_path / f"{prepare.__name__}{number}"
            child = Child(children.run(stopped.root, **options), log, prepare, at)
            assert child.wait() == -signal.SIGKILL, child.said
            assert stopped.records()[1] == []
            for path in stopped.root.glob("checkpoints/*/*/*.safetensors"):
                files.load(path)
            left = [path.name.split(".", 2)[2] for path in stopped.root.rglob("*.tmp")]
            kinds += left[:1]
            clean(stopped)
            assert list(stopped.root.rglob("*.tmp")) == []
    kinds = [name.rsplit(".", 2)[0] for name in kinds]
    states, record = ["state.safetensors"] * 2, ["json"] * 2  # there is a moment with two names
    tested = "tested.safetensors"
    assert kinds == [*states, tested, "safetensors", *record, *states, tested, *record]
    assert Child(children.run(stopped.root, **options), tmp_path / "last").wait() == 0
    assert not (tmp_path / "last.trained").exists(), "nothing was left to do"
    same(stopped, quiet.store)


def test_the_second_run_of_a_process_goes_on_as_the_first_of_another(tmp_path):
    """Nothing by which a state is known changes while a process lives."""
    log = tmp_path / "log"
    child = Child(children.run(tmp_path / "r", arms=("lt",)), log, children.die_after, 5)
    assert child.wait() == -signal.SIGKILL, "after the ticket's first epoch"
    (state,) = (tmp_path / "r").rglob("*.state.safetensors")
    again = Child(children.run(tmp_path / "r", arms=("lt",)), tmp_path / "again")
    assert again.wait() == 0
    assert not state.with_name(f"{state.name}.damaged").exists()


def test_killed_while_it_writes_the_report(tmp_path, monkeypatch):
    """Every file is the old one or the new one, never a part."""
    store = Store(tmp_path / "demo")
    say = [].append
    study(store.root, arms=("random",)).run()
    report.write(store, say=say)
    study(store.root, ladder=(0.5, 0.75), arms=("random",)).run()
    write, killed, seen = Path.write_bytes, [], []

    def outputs() -> dict[Path, bytes]:
        there = (*store.root.glob("*.*"), *store.root.glob("figures/*.*"))
        return {path: path.read_bytes() for path in there if path.suffix != ".tmp"}

    def watched(self: Path, content: bytes) -> int:
        """At each file a twin of this process dies when half of it is written."""
        twin = os.fork()
        if not twin:
            write(self, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        killed.append(os.waitstatus_to_exitcode(os.waitpid(twin, 0)[1]))
        seen.append(outputs())
        return write(self, content)

    old = outputs()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", watched)
        report.write(store, say=say)
    new = outputs()
    assert {path.suffix for path in new} == {".csv", ".png", ".svg", ".md"}
    assert killed == [-signal.SIGKILL] * len(new), "each is written once"
    assert seen[0] == old != new
    for path, last in new.items():
        assert all(now.get(path) in (old.get(path), last) for now in seen)
    assert seen[-1][store.root / "week9.md"] == old[store.root / "week9.md"], "it is the last"
    assert verify(store)[1] == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_told_to_stop_it_says_once_what_is_kept(tmp_path, number, status):
    options = {"arms": ("lt",), "epochs": 400}
    store = Store(tmp_path / "results")
    child = Child(children.run(store.root, **options), tmp_path / "log")
    assert child.wait_for_training()
    (settings,) = [s for s in study(store.root, **options).plan() if s.arm == "dense"]
    while not store.state_path(settings).exists():
        time.sleep(0.01)
    child.send(number)
    assert child.wait() == status, child.said
    said = [line for line in child.said if "stopped" in line]
    assert len(said) == 1, child.said
    assert "kept" in said[0] and "run the same again to go on" in said[0]
    assert "Traceback" not in child.log.read_text()
    assert files.load(store.state_path(settings))[1]["history"]
    assert list(store.root.rglob("*.tmp")) == []


def test_an_interrupt_in_this_process_frees_the_lock_and_keeps_the_epochs(tmp_path, monkeypatch):
    """As in a notebook, whose kernel lives on."""
    said = []
    made = study(tmp_path, epochs=3, say=said.append)
    save, saved = ResumeState.save, []

    def interrupted(self, *args):
        save(self, *args)
        saved.append(self.path)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ResumeState, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert len(said) == 1
    assert len(files.facts_of(saved[0])["history"]) == 2
    assert not is_held(made.store.lock_path(made.plan()[0]))
    assert len(made.run()) == 3
    assert len(saved) == 2 + 1 + 3 + 3
    assert not saved[0].exists(), "a finished run keeps no state"


def test_an_interrupt_inside_a_kernels_call_is_still_an_interrupt(tmp_path, monkeypatch):
    """Numba's dispatcher hands it on as the cause of a SystemError."""
    said = []

    def interrupted(*_):
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setattr(one, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path, say=said.append).run()
    assert len(said) == 1 and said[0].startswith("stopped")

    def broken(*_):
        raise SystemError("another one")

    monkeypatch.setattr(one, "train", broken)
    with pytest.raises(SystemError, match="another one"):
        study(tmp_path, say=said.append).run()
    assert len(said) == 1


@pytest.mark.parametrize(
    "change", ["seed", "data", "ticket", "device", "versions", "code", "nothing"]
)
def test_the_state_of_another_run_is_set_aside(tmp_path, change):
    said = []
    other = study(tmp_path / "other", epochs=2, seeds=(1,) if change == "seed" else (0,))
    mine = study(tmp_path / "mine", epochs=2, say=said.append)
    source, target = (made.store.state_path(made.plan()[0]) for made in (other, mine))
    if change == "data":
        other.corpus = replace(other.corpus, fingerprint="1" * 64)
    with pytest.MonkeyPatch.context() as patch:
        if change == "device":
            patch.setattr(one, "device_name", lambda device: "another")
        if change == "versions":
            patch.setattr(provenance, "versions", lambda: {"torch": "1.0"})
        if change == "code":
            patch.setattr(one, "code", lambda: "other", raising=False)
        if change == "ticket":
            draw = models.draw
            patch.setattr(models, "draw", lambda model, seed: draw(model, seed + 1))
        save = ResumeState.save

        def interrupted(self, *args):
            save(self, *args)
            raise KeyboardInterrupt

        patch.setattr(ResumeState, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            other.run()
    target.parent.mkdir(parents=True)
    target.write_bytes(source.read_bytes())
    mine.run("dense")
    if change == "nothing":
        assert said == []
    else:
        name = "settings" if change == "seed" else change
        assert len(said) == 1 and f"is of another {name}" in said[0], said
        assert "starts again" in said[0]
        assert target.with_name(f"{target.name}.damaged").exists()
    quiet = study(tmp_path / "quiet", epochs=2)
    quiet.run("dense")
    same(mine.store, quiet.store)


def test_weights_of_other_data_are_not_stood_on(tmp_path):
    study(tmp_path).run("dense")
    other = study(tmp_path)
    other.corpus = replace(other.corpus, fingerprint="1" * 64)
    with pytest.raises(UserError, match="was trained on other data") as caught:
        other.run("lt")
    assert "\n" not in str(caught.value)


def test_weights_of_another_run_are_set_aside(tmp_path):
    made = study(tmp_path, seeds=(0, 1))
    made.run("dense")
    zero, one = (made.store.weights_path(settings) for settings in made.plan(["dense"]))
    zero.write_bytes(one.read_bytes())
    said = []
    study(tmp_path, say=said.append).run("lt")
    assert len(said) == 1 and "is of another run; it is set aside and trained again" in said[0]
    quiet = study(tmp_path / "quiet")
    quiet.run("lt")
    assert content(quiet.store).items() <= content(made.store).items()


def test_a_run_that_contradicts_its_record_leaves_no_weights_to_stand_on(tmp_path, monkeypatch):
    made = study(tmp_path)
    made.run("dense")
    path = made.store.weights_path(made.plan()[0])
    path.unlink()
    train = one.train

    def otherwise(*args):
        outcome = train(*args)
        return replace(outcome, test_loss=outcome.test_loss + 1)

    monkeypatch.setattr(one, "train", otherwise)
    for _ in range(2):
        with pytest.raises(UserError, match="trained again"):
            study(tmp_path).run("lt")
        assert not path.exists()


def test_a_record_of_divergence_tells_the_epochs_before(tmp_path, monkeypatch):
    from lottery.training import train as training

    evaluate, calls = training.evaluate, []

    def watched(model, split):
        calls.append(split)
        loss, accuracy, correct = evaluate(model, split)
        return (float("nan") if len(calls) == 2 else loss), accuracy, correct

    monkeypatch.setattr(training, "evaluate", watched)
    said = []
    made = study(tmp_path, say=said.append)
    assert made.run() == []
    record = made.store.get(made.plan()[0])
    assert "in epoch 2 the loss is" in record.failed and "nan in validation" in record.failed
    assert len(record.history) == 1
    assert not made.store.state_path(made.plan()[0]).exists()
    assert len(said) == 3, "the dense run, and the two that stand on it"
    assert verify(made.store)[1] == []
    assert "no record here belongs into a report" in verify(made.store)[2][0]
