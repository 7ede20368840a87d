"""What is done, what is not needed, and what is not true."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from helpers import synthetic
from helpers.children import study
from lottery import cli, files
from lottery.pruning.masks import removed_by_layer
from lottery.report import page as report
from lottery.report.figures.picture import CREATOR, NUMBER, is_same
from lottery.runs.record import checksum
from lottery.runs.store import Store
from lottery.training.resume import ResumeState
from lottery.upkeep import clean as cleaning
from lottery.upkeep import verify as verifying
from lottery.upkeep.clean import clean
from lottery.upkeep.places import held, is_held
from lottery.upkeep.status import clock, standings, status
from lottery.upkeep.verify import verify


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two models, seeds and rungs, with tables and report: drawn once, for figures take long."""
    store = Store(tmp_path_factory.mktemp("written") / "results")
    for record in synthetic.study(ladder=(0.5, 0.75), seeds=(0, 1), epochs=3):
        store.put(honest(record))
    report.write(store, say=[].append)
    return store


@pytest.fixture
def store(written, tmp_path):
    """A copy of it."""
    shutil.copytree(written.root.parent, tmp_path, dirs_exist_ok=True)
    return Store(tmp_path / "results")


def honest(record, **changes):
    """A record whose counts and versions are those of a real run."""
    settings = record.settings
    sizes = synthetic.LAYERS
    removed = (
        removed_by_layer(sizes, settings.ladder, settings.output_rate) if settings.rung else {}
    )
    layers = {name: (removed.get(name, 0), size) for name, size in sizes.items()}
    versions = {"python": "3.11", **record.versions}
    return replace(record, layers=layers, versions=versions, **changes)


def stopped(made, epochs: int = 1) -> None:
    """Stop a study after so many epochs."""
    with pytest.MonkeyPatch.context() as patch:
        save, count = ResumeState.save, []

        def interrupted(self, *args):
            save(self, *args)
            count.append(self)
            if len(count) == epochs:
                raise KeyboardInterrupt

        patch.setattr(ResumeState, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.run()


def change(store, number=0, seal=True, **values):
    """Change a record behind the store's back, and its checksum with it."""
    path = store.paths()[number]
    content = json.loads(path.read_text()) | values
    if seal:
        content["sha256"] = checksum(content)
    path.write_text(json.dumps(content))
    return path


# Verify


def test_all_is_well(store, capsys):
    assert verify(store) == (20, [], [])
    assert cli.main(["verify", "--results", str(store.root)]) == 0
    assert capsys.readouterr().out.startswith("20 records: every one agrees")


def test_an_empty_store_and_one_without_a_report(tmp_path, capsys):
    store = Store(tmp_path / "results")
    assert verify(store)[:2] == (0, [])
    store.put(honest(synthetic.record(epochs=3)))
    count, problems, (note,) = verify(store)
    assert (count, problems) == (1, [])
    assert "not written yet; `lottery report` writes it" in note
    assert cli.main(["verify", "--results", str(store.root)]) == 0
    assert "\n1 record: it agrees with itself" in capsys.readouterr().out


def test_real_runs_are_true(tmp_path):
    made = study(
        tmp_path / "demo", ladder=(0.5, 0.9), arms=("lt", "random", "random_mask", "shuffled")
    )
    made.run()
    study(tmp_path / "demo", arms=("lt", "finetune"), scope="global").run()
    report.write(made.store, say=[].append)
    assert verify(made.store) == (11, [], [])


LIES = {
    "a bit": ({"device": "abacus", "seal": False}, "'sha256' is not that of its content"),
    "name": ({"run": "0123456789ab"}, "'run' says 0123456789ab"),
    "sparsity": ({"sparsity_without_embedding": 0.5}, "'sparsity_without_embedding' does not"),
    "by layer": ({"sparsity_by_layer": {}}, "'sparsity_by_layer' does not match"),
    "accuracy": ({"test_accuracy": 0.5}, "'test_accuracy' is not the mean"),
    "bits": ({"test_correct": "AAAA"}, "'test_correct' does not hold one bit for each"),
    "versions": ({"versions": {"python": "3.11", "numpy": "2"}}, "'versions' lacks torch"),
    "commit": ({"commit": ""}, "'commit' is empty"),
    "failed": ({"failed": "nan"}, "it failed, and yet has figures"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(store, lie, capsys, monkeypatch):
    monkeypatch.setattr(verifying, "_written", lambda *_: ([], []))  # of records alone
    values, words = LIES[lie]
    path = change(store, **values)
    count, problems, _ = verify(store)
    assert count == 20
    assert problems[0].startswith(f"{path}: ") and words in problems[0]
    assert all("\n" not in problem for problem in problems)
    assert cli.main(["verify", "--results", str(store.root)]) == 1
    assert words in capsys.readouterr().out


def test_settings_that_cannot_be_run_are_named_whatever_the_arm(store):
    one = honest(synthetic.record(arm="random", ladder=(0.5,), epochs=3, seed=99))
    wrong = replace(one, settings=replace(one.settings, dropout=5.0))
    store.put(wrong)
    (problem, *_) = verify(store)[1]
    path = store.record_path(wrong.settings)
    assert problem.startswith(f"{path}: its settings cannot be run (dropout 5.0")


def test_a_run_that_ends_while_records_are_read_is_no_lie(store, monkeypatch):
    new, read = honest(synthetic.record(seed=99, epochs=3)), Store.read

    def slow(self, path):
        if not store.record_path(new.settings).exists():
            store.put(new)
        return read(self, path)

    monkeypatch.setattr(Store, "read", slow)
    assert verify(store) == (20, [], [])


def test_a_mask_that_is_not_its_tickets_is_said(tmp_path):
    arms = "lt", "random", "random_mask", "finetune"
    made = study(tmp_path / "demo", ladder=(0.5,), arms=arms)
    made.run()
    by_arm = {record.settings.arm: record for record in made.store.records()[0]}
    path = made.store.record_path(by_arm["lt"].settings)
    path.unlink()
    made.store.put(replace(by_arm["lt"], mask="0" * 64))
    notes = [note for note in verify(made.store)[2] if "is another" in note]
    own = by_arm["lt"].run
    for note, one in zip(
        notes, sorted(by_arm[arm].run for arm in ("random", "finetune")), strict=True
    ):
        assert note.startswith(f"run {one}: the mask of run {own}, on which it stands, is another")


def test_counts_that_no_such_sparsity_gives(store):
    record = synthetic.record(arm="lt", ladder=(0.9,), epochs=3)
    layers = {name: (size // 2, size) for name, size in synthetic.LAYERS.items()}
    store.put(replace(honest(record), layers=layers))
    report.write(store, say=[].append)
    (problem,) = verify(store)[1]
    assert "'layers' does not count what its sparsity removes" in problem


@pytest.mark.parametrize(
    ("change", "gone", "said"),
    [
        ({"scope": "global"}, 1, ""),
        ({"scope": "global"}, 0, "'layers' does not count what its sparsity removes"),
        ({"scope": "global"}, 2, "'layers' does not count what its sparsity removes"),
        ({"epochs": 4}, 1, "3 epochs in 'history', 4 in 'settings'"),
    ],
)
def test_counts_and_epochs_are_those_of_the_settings(tmp_path, monkeypatch, change, gone, said):
    """Of all layers together half of the 2,000 weights that are not kept dense, to the weight."""
    monkeypatch.setattr(verifying, "_written", lambda *_: ([], []))  # of records alone
    kept = {"kept_dense": ("embedding.weight",)} if "scope" in change else {}
    record = synthetic.record(arm="lt", ladder=(0.5,), **({"epochs": 3} | kept | change))
    record = honest(record)
    if kept:
        sizes = synthetic.LAYERS
        removed = dict.fromkeys(sizes, 0) | {"convolutions.0.weight": 399, "output.weight": gone}
        removed |= {"convolutions.2.weight": 600}
        record = replace(record, layers={n: (removed[n], size) for n, size in sizes.items()})
    store = Store(tmp_path)
    store.put(record)
    problems = verify(store)[1]
    assert [said in problem for problem in problems] == [True] * bool(said)


def test_a_record_in_the_wrong_folder(store):
    path = store.paths()[0]
    other = path.parent.parent / "lstm" / path.name
    path.rename(other)
    problems = verify(store)[1]
    assert problems == [f"{other}: belongs at {path}; move it"]


def test_data_of_several_kinds_are_said(store):
    store.put(honest(synthetic.record(seed=7, epochs=3, fingerprint="f" * 64)))
    report.write(store, say=[].append)
    count, problems, notes = verify(store)
    assert (count, problems) == (21, [])
    assert "imdb: records of 2 different data" in notes[0]


def test_tables_and_report_that_are_not_what_the_records_give(store):
    table = store.root / "imdb.csv"
    table.write_text(table.read_text().replace("0.8", "0.9", 1))
    page = report.path_of(store)
    page.write_text(page.read_text().replace("88.", "98.", 1))
    picture = store.root / "figures" / "imdb-sparsity.png"
    picture.write_bytes(picture.read_bytes()[:100])
    (store.root / "agnews.csv").unlink()
    problems = verify(store)[1]
    assert sorted(problems) == sorted(
        [
            f"{page}: is not what the records give; `lottery report` writes it",
            f"{table}: is not what the records give; `lottery report` writes it",
            f"{store.root / 'agnews.csv'}: is missing; `lottery report` writes it",
            f"{picture}: is no whole picture; `lottery report` writes it",
        ]
    )
    report.write(store, say=[].append)
    assert verify(store)[1] == []
    store.paths()[3].unlink()
    problems = verify(store)[1]
    assert len(problems) == 5, "both tables, the report and two figures have it still"


def test_a_figure_of_other_records_is_found(store, tmp_path):
    few = Store(tmp_path / "few" / "results")
    for record in store.records()[0]:
        if record.settings.arm != "random":
            few.put(record)
    report.write(few, say=[].append)
    old, new = (one.root / "figures" / "imdb-sparsity.svg" for one in (store, few))
    picture = old.with_suffix(".png")
    picture.write_bytes(new.with_suffix(".png").read_bytes())
    remedy = "; `lottery report` writes it"
    assert verify(store)[1] == [f"{picture}: is not drawn with its SVG{remedy}"]
    old.write_bytes(new.read_bytes())
    assert verify(store)[1] == [f"{old}: does not show what the records give{remedy}"]
    # A last digit is another machine's; another matplotlib cannot be compared.
    report.write(store, say=[].append)
    drawn = old.read_text()
    number = next(n for n in NUMBER.findall(drawn) if float(n) > 100)
    old.write_text(drawn.replace(number, f"{float(number) + 1e-3:.6f}", 1))
    assert is_same(old.read_bytes(), drawn.encode())
    old.write_text(drawn.replace(CREATOR, "matplotlib 0.9"))
    said = f"{old}: drawn by another matplotlib than {CREATOR}, and not compared"
    assert verify(store)[1:] == ([], [said])


def test_a_figure_that_the_records_do_not_give_is_said_and_goes(store):
    old = store.root / "figures" / "travel.png"
    old.write_bytes(b"an older one")
    problem = f"{old}: the records give no such figure; `lottery report` removes it"
    assert verify(store)[1] == [problem]
    report.write(store, say=[].append)
    assert not old.exists() and verify(store)[1] == []


def test_verify_changes_nothing(store):
    before = {path: path.read_bytes() for path in store.root.parent.rglob("*") if path.is_file()}
    verify(store)
    after = {path: path.read_bytes() for path in store.root.parent.rglob("*") if path.is_file()}
    assert before == after


# Status


def test_status_tells_what_is_done_stopped_and_failed(tmp_path, monkeypatch, capsys):
    made = study(tmp_path, arms=("lt",), epochs=4)
    assert status(made.store) == ([f"{tmp_path}: nothing yet; `lottery run` begins"], [])
    stopped(made, 4 + 3)  # the dense run, and three epochs of the ticket
    (standing,) = standings(made.store)[0]
    dense = made.store.get(made.plan()[0])
    assert (standing.done, standing.failed) == ([dense], [])
    (unfinished,) = standing.unfinished
    assert (unfinished.name, unfinished.running) == ("demo-reviews cnn lt 0.5 seed 0", False)
    assert (unfinished.epochs, unfinished.of) == (3, 4)
    assert unfinished.left == pytest.approx(unfinished.spent / 3)
    assert standing.spent == pytest.approx(dense.seconds + unfinished.spent)

    with FileLock(made.store.lock_path(made.plan()[1])):
        lines, _ = status(made.store)
    assert lines[0].split() == ["done", "running", "stopped", "failed", "spent", "left"]
    assert lines[1].split()[:6] == ["demo-reviews", "cnn", "1", "1", "0", "0"]
    assert lines[2].startswith("running: demo-reviews cnn lt 0.5 seed 0, after epoch 3 of 4, ")

    store = Store(tmp_path / "results")
    failed = synthetic.record(epochs=3).__dict__ | {
        "failed": "in epoch 4 the loss is nan",
        "best_epoch": 0,
        "test_loss": None,
        "test_accuracy": None,
        "test_correct": "",
        "seconds": 0.0,
    }
    store.put(type(dense)(**failed))
    store.put(synthetic.record(seed=1, epochs=3, seconds=3661.0))
    change(store, 0 if "nan" not in store.paths()[0].read_text() else 1, commit="", seal=False)
    assert cli.main(["status", "--results", str(store.root)]) == 1, "something was left out"
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == ["imdb", "cnn", "0", "0", "0", "1", "0:01:30"]
    assert out[2] == "failed: imdb cnn dense seed 0, in epoch 4 the loss is nan"
    assert "'sha256' is not that of its content" in out[3]


def test_a_record_of_another_shape_is_one_line_of_every_command(tmp_path, capsys):
    root = tmp_path / "results"
    store = Store(root)
    for seed in range(3):
        store.put(honest(synthetic.record(seed=seed, epochs=3)))
    listed, worded, cut = store.paths()
    for path, content in ((listed, "[1, 2]"), (cut, "{")):
        path.write_text(content)
    change(store, 1, settings="imdb cnn")
    store.put(honest(synthetic.record(seed=4, epochs=3)))
    wanted = [
        f"{listed}: is no JSON object, as a record is; mend it or move it away",
        f"{worded}: 'settings' is no JSON object; mend it or move it away",
        f"{cut}: is not valid JSON; mend it or move it away",
    ]
    for command in ("report", "status", "verify"):
        assert cli.main([command, "--results", str(root)]) == 1, command
        said = "".join(capsys.readouterr()).splitlines()
        assert [line for line in said if ".json" in line] == wanted, command
        assert command != "status" or said[1].split()[:3] == ["imdb", "cnn", "1"]


def test_a_clock():
    assert clock(3661.4) == "1:01:01"
    assert clock(59.6) == "0:01:00"


# Clean


def test_clean_keeps_the_weights_of_a_record_under_another_name(tmp_path, capsys):
    made = study(tmp_path / "demo", arms=())
    (dense,) = made.plan()
    made.run()
    path = made.store.record_path(dense)
    path.rename(path.with_name("copy.json"))
    assert cli.main(["clean", "--results", str(made.store.root)]) == 1
    assert f"copy.json: holds run {dense.run}; rename or move it" in capsys.readouterr().err
    assert made.store.weights_path(dense).exists() and made.store.tested_path(dense).exists()


def test_clean_removes_what_no_record_needs_and_nothing_else(tmp_path, capsys):
    made = study(tmp_path / "demo", arms=("lt", "random"), epochs=2)
    made.run("dense")
    dense, lt, _ = made.plan()
    weights = made.store.weights_path(dense)
    assert made.store.tested_path(dense).exists()
    stopped(made)
    state = made.store.state_path(lt)
    weights.with_name(f"{dense.run}.txt").write_text("a person's note")
    keep = {
        path
        for path in (tmp_path / "demo").rglob("*")
        if path.is_file() and path != made.store.lock_path(dense)
    }
    assert {weights, state, made.store.record_path(dense)} <= keep
    needless = {
        made.store.state_path(dense): "states of finished runs",
        weights.with_name("0123456789ab.safetensors"): "checkpoints without a record",
        weights.with_name("0123456789ab.step5.safetensors"): "checkpoints without a record",
        weights.with_name("0123456789ab.tested.safetensors"): "tested networks without a record",
        weights.with_name(f"{weights.name}.damaged"): "damaged files",
        weights.with_name(f"{dense.run}.tested.safetensors.damaged"): "damaged files",
        weights.with_name(f".{state.name}.abcd.tmp"): "temporary files",
        made.store.record_path(lt).with_name(f".{lt.run}.json.x1.tmp"): "temporary files",
        tmp_path / "demo" / ".demo-news.csv.x2.tmp": "temporary files",
        tmp_path / "demo" / ".week9.md.x2.tmp": "temporary files",
    }
    for path in needless:
        path.write_bytes(b"0" * 1000)
        os.utime(path, times=(time.time() - 3600,) * 2)
    new = {
        tmp_path / "demo" / ".week9.md.new.tmp",  # somebody is writing it now
        weights.with_name(f".{dense.run}.step5.safetensors.0a1b.tmp"),  # and for another run this
    }
    for path in new:
        path.write_bytes(b"1")
    wanted = {kind: (list(needless.values()).count(kind), 0) for kind in needless.values()}
    wanted = {kind: (count, 1000 * count) for kind, (count, _) in wanted.items()}

    assert clean(made.store, dry_run=True) == {**wanted, "locks": (1, 0)}
    assert all(path.exists() for path in needless)
    assert cli.main(["clean", "--results", str(made.store.root)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "temporary files: 4, 0.0 MB" in out
    assert out[-1] == "0.0 MB are free again"
    there = {path for path in (tmp_path / "demo").rglob("*") if path.is_file()}
    assert there == keep | new
    assert clean(made.store) == {}
    for path in new:
        os.utime(path, times=(time.time() - 3600,) * 2)
    assert clean(made.store) == {"temporary files": (2, 2)}
    made.run()
    assert len(made.store.paths()) == 3


def test_clean_touches_nothing_of_a_run_at_work(tmp_path):
    made = study(tmp_path, arms=("lt",))
    stopped(made)
    dense = made.plan()[0]
    path = made.store.weights_path(dense)
    left = [path, path.with_name(f".{path.name}.x.tmp"), path.with_name(f"{path.name}.damaged")]
    for file in left:
        file.write_bytes(b"0")
    with FileLock(made.store.lock_path(dense)):
        assert clean(made.store) == {}
    assert all(file.exists() for file in left)
    assert set(clean(made.store)) == {
        "temporary files",
        "damaged files",
        "checkpoints without a record",
    }


def test_clean_leaves_the_weights_of_a_run_that_has_just_ended(tmp_path, monkeypatch):
    made = study(tmp_path, arms=())
    (record,) = made.run()
    path, weights = (
        of(record.settings) for of in (made.store.record_path, made.store.weights_path)
    )
    content = path.read_bytes()
    path.unlink()

    @contextmanager
    def late(*about, **more):
        path.write_bytes(content)  # by the process that then frees its lock
        with held(*about, **more) as free:
            yield free

    monkeypatch.setattr(cleaning, "held", late)
    assert set(clean(made.store)) <= {"locks"}
    assert weights.exists() and made.store.tested_path(record.settings).exists()


def test_clean_holds_the_lock_of_what_it_removes_and_leaves_none(tmp_path, monkeypatch):
    made = study(tmp_path, arms=())
    path, lock = (of(made.plan()[0]) for of in (made.store.weights_path, made.store.lock_path))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"0")
    unlink, watched = Path.unlink, []

    def removed(self, **more):
        watched.append((self, is_held(lock)))
        unlink(self, **more)

    monkeypatch.setattr(Path, "unlink", removed)
    clean(made.store, dry_run=True)
    assert watched == [] and list(path.parent.iterdir()) == [path]
    clean(made.store)
    assert watched[0] == (path, True) and list(path.parent.iterdir()) == []


def test_a_finished_ladder_keeps_only_its_rungs(tmp_path):
    made = study(tmp_path, ladder=(0.5, 0.9), arms=("lt", "random", "finetune"))
    records = made.run()
    clean(made.store)
    left = sorted(path.name for path in (tmp_path / "checkpoints").rglob("*") if path.is_file())
    rungs = [f"{r.run}.safetensors" for r in records if r.settings.arm in ("dense", "lt")]
    tested = [f"{r.run}.tested.safetensors" for r in records]
    assert left == sorted(rungs + tested)
    for path in (tmp_path / "checkpoints").rglob("*.safetensors"):
        tensors, _ = files.load(path)
        weights = sum(t.numel() for n, t in tensors.items() if not n.startswith("mask/"))
        assert path.stat().st_size < 5 * weights + 3000, "no optimiser, no second copy"


def test_tested_networks_are_as_small_as_they_can_be_and_their_size_is_said(tmp_path):
    made = study(tmp_path, ladder=(0.5, 0.9), arms=("lt", "random"))
    sizes = {"tested networks": 0, "weights for further rungs": 0}
    for record in made.run():
        path = made.store.tested_path(record.settings)
        removed, of = (sum(column) for column in zip(*record.layers.values(), strict=True))
        biases = sum(w.numel() for w in made.tested(record.settings)[0].values() if w.dim() < 2)
        least = 4 * (of - removed + biases) + of / 8
        assert least <= path.stat().st_size < 1.05 * least + 4000, "names, shapes and checksum"
        sizes["tested networks"] += path.stat().st_size
        if record.settings.arm != "random":
            sizes["weights for further rungs"] += (
                made.store.weights_path(record.settings).stat().st_size
            )
    said = status(made.store)[0][-1]
    assert said.startswith(f"checkpoints: {sum(sizes.values()) / 1e6:,.1f} MB (")
    assert all(f"{kind} {taken / 1e6:,.1f}" in said for kind, taken in sizes.items())
