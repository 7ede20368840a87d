"""The command: the same experiment from the shell, and one clear line for each mistake."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

from lottery import cli
from lottery import study as experiment
from lottery.data import DATASETS
from lottery.experiment import run as one
from lottery.files import root
from lottery.models import MODELS
from lottery.pruning.arms import ARMS
from lottery.pruning.scores import SCORES
from lottery.recipes import RECIPES
from lottery.settings import OF_RUN, Settings
from lottery.training.train import Diverged
from lottery.words import NAMES

TINY = [
    "--epochs",
    "1",
    "--embedding-size",
    "4",
    "--filters",
    "2",
    "--batch-size",
    "512",
    "--device",
    "cpu",
]


@pytest.fixture
def run(capsys, tmp_path):
    """Run a command; give its exit status and what it printed."""

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as stop:  # argparse's own mistakes
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def one_line(result: tuple[int, str, str]) -> str:
    status, _, error = result
    lines = error.strip().splitlines()
    assert status == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("lottery: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "run imbd cnn",
            "'imbd' is no dataset (imdb, agnews, demo-reviews, demo-news) and no model",
        ),
        ("run cnn", "say which dataset: imdb, agnews"),
        ("run imdb --jobs 0", "jobs 0 is not a whole number from 1"),
        ("run imdb --sparsity 0.5 --at 0.7", "sparsity 0.7 is not on the ladder [0.5]"),
        ("data imbd", "'imbd'"),
        (
            "run imdb gru",
            "'gru' is no dataset (imdb, agnews, demo-reviews, demo-news) and no model",
        ),
        ("run imdb cnn --arm winner", "unknown arm 'winner': there are dense, lt, random"),
        ("run imdb cnn --sparsity 1.5", "sparsity 1.5 is outside (0, 1)"),
        ("run imdb cnn --sparsity 0", "outside (0, 1)"),
        ("run imdb cnn --sparsity -0.5", "outside (0, 1)"),
        ("run imdb cnn --sparsity nan", "outside (0, 1)"),
        ("export imdb cnx --sparsity 0.5 out", "unknown model 'cnx': there are cnn, lstm"),
        ("run imdb cnn --sparsity 0.75 0.5", "must rise"),
        ("run imdb cnn --sparsity 0.5 0.5", "must rise"),
        ("run imdb cnn --sparsity 0.999999999", "without any: choose a lower one"),
        ("run imdb cnn --seed -1", "seed -1 is not a whole number from 0"),
        ("run imdb cnn --seed 99999999999", "seed 99999999999"),
        ("run imdb cnn --epochs 0", "epochs 0"),
        ("run imdb cnn --epochs -10", "epochs -10"),
        ("run imdb cnn --epochs 1000000", "epochs 1000000"),
        ("run imdb cnn --batch-size 0", "batch_size 0"),
        ("run imdb cnn --batch-size -64", "batch_size -64"),
        ("run imdb cnn --learning-rate 0", "learning_rate 0.0"),
        ("run imdb cnn --learning-rate -1", "learning_rate -1.0"),
        ("run imdb cnn --learning-rate inf", "learning_rate inf"),
        ("run imdb cnn --threads -1", "threads -1 is not a whole number from 1"),
        ("run imdb cnn --threads 0", "threads 0"),
        ("run imdb cnn --device warp", "device 'warp' is not here"),
        ("run imdb cnn --seed one", "--seed: invalid int value: 'one' (see lottery run --help)"),
        (
            "run imdb --sparsity 0.5 cnn",
            "value: 'cnn': write cnn before --sparsity (see lottery run",
        ),
        ("run imdb --at 0.5 cnn", "write cnn before --at"),
        ("run --seed 0 1 imdb cnn", "write imdb before --seed"),
        ("run imdb --arm lt lstm", "unknown arm 'lstm': write lstm before --arm"),
        ("run imdb cnn --sparsity half", "--sparsity: invalid float value: 'half'"),
        (
            "run imdb cnn --sparsity 0.5,0.75",
            "'0.5,0.75': write numbers such as 0.5, several with spaces between (see lottery run",
        ),
        ("run imdb cnn --seed 0-3", "'0-3': write whole numbers, several with spaces between"),
        ("run imdb cnn,lstm", "'cnn,lstm': write cnn lstm"),
        ("run imdb cnn --arm lt,random", "'lt,random': write lt random"),
        ("run", "say which dataset: imdb, agnews, demo-reviews, demo-news; or --csv"),
        ("run cnn --text body", "--text belongs to a file: add --csv or --parquet FILE"),
        ("run --csv a.csv --label stars", "a.csv: say which column holds the text: --text COLUMN"),
        ("run --csv none.csv --text a --label b", "none.csv: is not there; name a file"),
        ("run --csv a.csv --parquet b.parquet", "not allowed with argument --csv"),
        ("run imdb --shard 3/2", "shard '3/2' is not i/n with i from 1 to n"),
        ("data", "say which texts: a dataset, or --csv or --parquet"),
        ("data imdb --csv x.csv --text a --label b", "imdb and x.csv are two corpora; leave out"),
        ("merge none", "none: holds no runs/; name a results folder"),
        ("ruin imdb", "invalid choice: 'ruin'"),
        ("report --results none --demo", "--results none and --demo are two folders; leave out"),
        ("verify --demo --results none", "--results none and --demo are two folders; leave out"),
        (
            "report --results none --plug a.py",
            "arguments: --plug a.py; did you mean '--plugin'? (see lot",
        ),
        (
            "run --parquet none --text a --label b --delimiter ;",
            "--delimiter means nothing beside --parquet: leave out one of them",
        ),
        (
            "run --parquet none --text a --label b --encoding latin-1",
            "--encoding means nothing beside --parquet",
        ),
        (
            "data --csv none --text a --label b --test none --test-share 0.1",
            "--test-share means nothing beside --test:",
        ),
        ("run imdb --zzz 3", "unrecognized arguments: --zzz 3 (see lottery run --help)"),
        ("run imdb --sparsty=0.5", "--sparsty=0.5; did you mean '--sparsity'? (see lottery run"),
        ("run imdb --ep 1", "--ep 1; did you mean '--epochs'? (see lottery run"),
        ("reprot", "did you mean 'report'? (see lottery --help)"),
        ("run imbd cnn", "and no model (cnn, lstm); did you mean 'imdb'?"),
        ("run imdb lsmt", "and no model (cnn, lstm); did you mean 'lstm'?"),
        ("run imdb cnn --arm randm", "did you mean 'random'?"),
        ("run imdb cnn --arm lt --score taylr", "did you mean 'taylor'?"),
        ("data agnew", "or --csv FILE; did you mean 'agnews'?"),
        ("export agnew cnn out", "--text and --label; did you mean 'agnews'?"),
    ],
)
def test_a_mistake_is_one_clear_line(run, words, says):
    assert says in one_line(run(*words.split()))


def test_a_letter_that_the_encoding_lacks_is_told_by_its_number():
    code = "import sys; from lottery.cli import main; sys.exit(main(['run', '--help']))"
    encoded = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=encoded)
    assert (done.returncode, done.stderr) == (0, b"") and b"\\u03b8" in done.stdout


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_the_shell_has_closed_is_no_mistake(monkeypatch, stream, tmp_path, capsys):
    monkeypatch.setattr(sys, stream, None)
    assert cli.main(["status", "--results", str(tmp_path)]) == 2
    assert getattr(sys, stream).write("nowhere") == 7
    assert cli.main(["run", "imdb", "cnn", "--seed", "20", "--dry-run"]) == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_who_has_enough_gets_no_traceback(stream):
    """As `lottery data demo-news | true`: the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from lottery.cli import main; sys.exit(main(['data', 'demo-news']))"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writing}
    done = subprocess.run([sys.executable, "-c", code], **streams, text=True)
    os.close(writing)
    assert done.returncode == 141
    assert not done.stderr or "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"PAR1 and no more", "not a whole parquet file"),
    ],
)
def test_a_broken_data_file_is_one_clear_line(run, tmp_path, monkeypatch, content, says):
    (tmp_path / "imdb").mkdir()
    (tmp_path / "imdb" / "imdb.parquet").write_bytes(content)
    monkeypatch.setenv("LOTTERY_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "cache"))
    for words in (("data", "imdb"), ("run", "imdb", "cnn", "--results", tmp_path / "r", *TINY)):
        line = run(*words)[2].strip().splitlines()[-1]
        assert says in line
        assert "imdb.parquet" in line
    assert not list(tmp_path.glob("r/runs/**/*.json"))


@pytest.mark.parametrize("command", ["report", "status", "verify", "clean"])
def test_a_results_folder_that_is_not_there_is_no_empty_one(run, tmp_path, command):
    (tmp_path / "week9.md").write_text("a report")
    (tmp_path / "another").mkdir()
    for name in ("reslts", "another"):
        status, _, error = run(command, "--results", tmp_path / name)
        assert (status, error.count("\n")) == (2, 1)
        assert f"{name}: is no results folder; name one with runs/" in error
    assert (tmp_path / "week9.md").read_text() == "a report"


def test_no_write_permission_is_one_clear_line(run, tmp_path):
    (tmp_path / "file").write_text("a file where the folder should be")
    status, _, error = run("run", "demo-reviews", "cnn", "--results", tmp_path / "file", *TINY)
    assert status == 2
    assert "cannot be written" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("own", [False, True])
def test_no_write_permission_is_found_before_a_text_is_read(run, tmp_path, monkeypatch, own):
    def read(*_, **__):
        raise AssertionError("texts are read")

    monkeypatch.setattr("lottery.data.load", read)
    monkeypatch.setattr("lottery.data.from_file", read)
    (tmp_path / "file").write_text("a file where the folder should be")
    what = ["--csv", "a.csv", "--text", "a", "--label", "b"] if own else ["demo-reviews"]
    words = ["run", *what, "cnn", "--results", tmp_path / "file" / "deeper", *TINY]
    assert "file: name a folder" in one_line(run(*words))
    with pytest.raises(AssertionError, match="texts are read"):  # and nothing is made
        run(*words[: -len(TINY) - 1], tmp_path / "new" / "folder", *TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_run_and_report_from_the_shell(run, tmp_path):
    store = tmp_path / "demo"
    words = ["run", "demo-reviews", "cnn", "--sparsity", "0.5", "--arm", "lt", *TINY]
    status, out, _ = run(*words, "--results", store)
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["demo-reviews", "cnn", "dense"],
        ["demo-reviews", "cnn", "lt"],
    ]
    paths = sorted(store.glob("runs/demo-reviews/cnn/*.json"))
    assert len(paths) == 2
    broken = paths[0].with_name("000000000000.json")
    broken.write_text("{")
    status, _, error = run("report", "--results", store)
    assert status == 1, "something was left out"
    assert "000000000000.json: is not valid JSON" in error
    assert broken.read_text() == "{"
    page = (store / "week9.md").read_text()
    assert "generated" in page.splitlines()[0] and "could not be read" in page
    assert len((store / "demo-reviews.csv").read_text().splitlines()) == 3
    for path in paths:
        path.write_text("{")
    status, out, error = run(*words, "--results", store)
    assert status == 1 and out == "" and all(path.name in error for path in paths)
    status, _, error = run("report", "--results", store)
    assert status == 2 and "no record in it can be read" in error
    assert (store / "week9.md").read_text() == page


def test_data_describes_a_corpus(run):
    status, out, _ = run("data", "demo-news")
    assert status == 0
    for word in ("source", "rows", "World", "vocabulary", "repeated texts", "words a text"):
        assert word in out


def test_the_version_is_that_of_the_package(run, monkeypatch):
    told = (root() / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', told, re.MULTILINE)[1]
    assert run("--version") == (0, f"lottery {version}\n", "")
    monkeypatch.setattr(metadata, "version", lambda name: metadata.distribution("no such"))
    assert "is not installed" in one_line(run("--version"))


def test_a_run_that_fails_is_told_by_the_exit_status(run, tmp_path, monkeypatch):
    def never(*_, **__):
        raise Diverged("the loss is nan")

    monkeypatch.setattr(one, "train", never)
    words = ("run", "demo-reviews", "cnn", "--sparsity", "--results", tmp_path / "r", *TINY)
    status, _, error = run(*words)
    assert status == 1 and "cnn dense seed 0: failed, the loss is nan" in error
    status, _, error = run(*words)
    assert status == 1 and "cnn dense seed 0: failed before, the loss is nan; to try" in error


def test_help_names_what_the_registries_have(run):
    arms = [name for name, arm in ARMS.items() if name != "dense" and not arm.travels]
    known = {"dataset": DATASETS, "model": MODELS, "arm": arms, "score": SCORES}
    assert {kind: ", ".join(names) for kind, names in known.items()} == NAMES
    for command, kinds in (
        ("data", "dataset"),
        ("export", "dataset model"),
        ("run", "arm model score"),
    ):
        out = " ".join(run(command, "--help")[1].split())
        assert all(NAMES[kind] in out for kind in kinds.split()), command


def test_help_has_an_example(run):
    for words in ((), ("run",)):
        status, out, _ = run(*words, "--help")
        assert status == 0
        assert "lottery run imdb cnn lstm --sparsity 0.5 0.75" in out


COMMANDS = ("data", "run", "report", "bench", "export", "predict", "merge", "status", "clean")


@pytest.mark.parametrize("command", [*COMMANDS, "verify"])
def test_every_command_has_examples_that_can_be_typed(run, command):
    """Its own among them, and each is understood by the command that it names."""
    assert command in run("--help")[1]
    shown = [
        line.strip() for line in run(command, "--help")[1].partition("\nexample")[2].split("\n")
    ]
    examples = [line for line in shown if line.startswith("lottery ")]
    assert [line for line in examples if line.startswith(f"lottery {command}")]
    for line in examples:
        words, *_ = re.split(" < |  +", line.removeprefix("lottery "))
        assert cli._parser().parse_args(words.split()).command, line


def test_every_number_has_an_option(run):
    out = run("run", "--help")[1]
    own = set(OF_RUN)
    for name in Settings.__dataclass_fields__:
        assert name in own or f"--{name.replace('_', '-')} " in out


@pytest.mark.parametrize(("book", "seeds"), [("imdb", [0, 1, 2]), ("agnews", [1, 2, 3])])
def test_notebook_and_shell_are_one_experiment(book, seeds):
    """The first cell names the study's runs, with the recipes of the command."""
    notebook = nbformat.read(root() / "notebooks" / f"{book}.ipynb", as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    assert cells["parameters"].metadata["tags"] == ["parameters"]
    code = cells["parameters"].source + "\n" + cells["study"].source
    space = {}
    exec(code.split("texts = study.corpus")[0], space)
    ladder = [0.5, 0.75, 0.875, 0.9375, 0.969, 0.984]
    shell = experiment.Study(book, ladder=ladder, seeds=seeds)
    assert {s.run for s in space["study"].plan()} == {s.run for s in shell.plan()}
    assert all(shell.store.get(settings) for settings in shell.plan())  # committed, each of them


def test_help_says_what_the_recipes_chose(run):
    out = " ".join(run("run", "--help")[1].split())
    for (dataset, model), options in RECIPES.items():
        for value in options.values():
            assert f"{dataset} {model} {value}" in out


def test_recipes_are_in_bounds_and_name_real_pairs():
    for (dataset, model), options in RECIPES.items():
        pruned = Settings(dataset, model, "lt", (0.5,), **options).checked()
        assert pruned.spoken().keys() >= options.keys()


def test_committed_notebooks_hold_no_machine_paths():
    for path in (root() / "notebooks").glob("*.ipynb"):
        text = Path(path).read_text()
        assert json.loads(text)["nbformat"] == 4
        for mark in ("/home/", "/root/", "/tmp/", "/work/", "/Users/"):
            assert mark not in text, (path.name, mark)


def test_what_a_notebook_does_not_have_is_refused_in_a_line(capsys, tmp_path):
    """A misspelt parameter changes nothing, and the notebook would train something else."""
    main = runpy.run_path(str(root() / "notebooks" / "execute.py"))["main"]
    book, out = str(root() / "notebooks" / "your_data.ipynb"), tmp_path / "out.ipynb"
    for source, value, says in (
        (book, "sedes=[3]", "no parameter 'sedes'; there are path, text, label, name, ladder, "),
        (book, "seeds", "'seeds' sets nothing; write name=value, e.g. seeds=[0]"),
        (str(tmp_path / "none.ipynb"), "seeds=[3]", "none.ipynb: is not there; name a notebook"),
    ):
        assert main(source, str(out), value) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1 and not out.exists()
