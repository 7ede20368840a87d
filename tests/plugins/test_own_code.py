"""A score, an arm and a model of one's own: from a notebook cell and from a file to the report."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch

from helpers.children import Child, run, study
from helpers.plugins import ARM, MODEL, SCORE, forget
from helpers.stores import content, same
from lottery import cli, models
from lottery.experiment import run as one
from lottery.files import UserError
from lottery.models import MODELS
from lottery.plugins import option
from lottery.plugins.blame import blamed
from lottery.plugins.register import named
from lottery.pruning.arms import ARMS
from lottery.pruning.scores import SCORES
from lottery.report import page as report
from lottery.runs.store import Store
from lottery.settings import Settings
from lottery.study import Study
from lottery.upkeep.verify import verify

OWN = {"models": ("bag",), "arms": ("lt", "signs"), "score": "mine"}


@pytest.fixture
def shell():
    """A notebook: cells that are run one after the other."""
    main = sys.modules["__main__"]
    made = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()

    def cell(text: str) -> None:
        done = made.run_cell(text, store_history=True)
        assert done.success, done.error_in_exec or done.error_before_exec

    yield cell
    made.reset()
    sys.modules["__main__"] = main


@pytest.fixture
def cells(shell):
    for text in (SCORE, ARM, MODEL):
        shell(text)
    return shell


def test_from_cells_to_the_report(cells, tmp_path):
    made = study(tmp_path / "demo", (0.5, 0.75), seeds=(0, 1), **OWN)
    records = made.run()
    assert len(records) == 10 and not any(record.failed for record in records)
    for record in records:
        parts = {part.rpartition(" ")[0] for part in record.settings.code}
        wanted = {"model bag"} | ({"score mine"} if record.settings.rung else set())
        assert parts == wanted | ({"arm signs"} if record.settings.arm == "signs" else set())
    page = report.write(made.store, say=[].append).read_text(encoding="utf-8")
    assert "| demo-reviews (generated) Bag of words (score mine)" in page
    assert "| lt init, score mine" in page and "| only signs, score mine" in page
    assert "*only signs*: places and signs alone." in page and "less only signs" in page
    frame = pd.read_csv(made.store.root / "demo-reviews.csv")
    assert set(frame["model"]) == {"bag"} and set(frame["score"]) == {"magnitude", "mine"}
    assert frame["in_report"].all()
    assert list((made.store.root / "figures").glob("demo-reviews-*.png"))
    assert verify(made.store)[1:] == ([], [])


def test_one_character_of_a_rule_is_another_run_and_a_comment_is_not(cells, tmp_path):
    first = study(tmp_path, (0.5,), **OWN)
    records = first.run()
    for text in (SCORE, ARM, MODEL):
        cells("# another comment\n" + text)
    again = study(tmp_path, (0.5,), **OWN)
    assert [s.run for s in again.plan()] == [r.run for r in records]
    edits = [
        (SCORE, "1e-3", "2e-3", {"lt", "signs"}),
        (SCORE, "0.5", "0.6", {"lt", "signs"}),
        (ARM, "correction=0", "correction=1", {"signs"}),
        (MODEL, "self.drop(", "(", {"dense", "lt", "signs"}),
    ]
    for text, old, new, changed in edits:
        assert old in text
        cells(text.replace(old, new))
        other = study(tmp_path, (0.5,), **OWN)
        new_runs = {s.arm for s in other.plan() if s.run not in {r.run for r in records}}
        assert new_runs == changed, (old, new)
        assert {s.arm for s in other.plan() if not other.shelf.is_done(s)} == changed
        cells(text)
    assert not any(first.shelf.is_done(s) is False for s in study(tmp_path, (0.5,), **OWN).plan())


def test_other_code_is_never_handed_an_old_record_nor_shown_with_it(cells, tmp_path, monkeypatch):
    made = study(tmp_path / "demo", (0.5,), **OWN)
    old = {record.run: record.test_accuracy for record in made.run()}
    cells(SCORE.replace("squash(w.abs() - 1e-3)", "-w.abs()"))
    records = study(tmp_path / "demo", (0.5,), **OWN).run()
    fresh = [record for record in records if record.run not in old]
    assert {record.settings.arm for record in fresh} == {"lt", "signs"}
    said = []
    page = report.write(made.store, say=said.append).read_text(encoding="utf-8")
    (gone,) = [line for line in said if "left out" in line]
    assert (
        "records left out: 2, for what is not here: score mine" in gone and "--plugin FILE" in gone
    )
    assert len(pd.read_csv(made.store.root / "demo-reviews.csv")) == 3
    assert page.count("| Bag of words | lt init, score mine |") == 2, "all rungs and differences"
    forget("score", "mine")
    forget("arm", "signs")
    forget("model", "bag")
    report.write(made.store, say=said.append)
    assert len(pd.read_csv(made.store.root / "demo-reviews.csv")) == 0


def test_records_whose_code_is_not_here_are_left_out_by_report_and_verify(tmp_path, capsys):
    path, root = tmp_path / "own.py", tmp_path / "demo"
    path.write_text(SCORE + ARM + MODEL)
    option.plug(["--plugin", str(path)])
    study(root, (0.5,)).run()
    made = study(root, (0.5,), **OWN)
    strange = {str(made.store.record_path(record.settings)) for record in made.run()}
    told = ["report", "--results", str(root)], ["verify", "--results", str(root)]
    assert [cli.main(words) for words in told] == [0, 0]
    for kind, name in (("score", "mine"), ("arm", "signs"), ("model", "bag")):
        forget(kind, name)
    capsys.readouterr()
    assert cli.main(told[1]) == 1, "the report has what cannot be checked now"
    out = capsys.readouterr().out
    assert {line.partition(": ")[0] for line in out.splitlines() if "not checked" in line} == (
        strange
    )
    assert "week9.md: not compared, for the code of some records is not here" in out
    assert "every one agrees" not in out and "lottery report" not in out
    assert cli.main(told[0]) == 1, "something was left out"
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{root}: records left out: 3, for what is not here: arm signs ")
    assert "model bag " in first and "score mine " in first and "--plugin FILE" in first


def test_code_that_changed_after_the_study_was_made_is_not_run(cells, tmp_path):
    made = study(tmp_path, (0.5,), **OWN)
    pending = made.plan()
    cells("ALPHA = 0.7")
    with pytest.raises(UserError, match=r"no longer that of the run .*score mine .*make the study"):
        made.run_here(pending)
    assert [r.settings.arm for r in made.store.records()[0]] == ["dense"]


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_killed_and_resumed_it_ends_as_if_undisturbed(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(SCORE + ARM + MODEL)
    more = ["--plugin", str(path), "--score", "mine", "--sparsity", "0.5", "0.75"]
    options = {"arms": ("lt", "signs"), "epochs": 3}

    def command(results) -> list:
        return [word if word != "cnn" else "bag" for word in run(results, *more, **options)]

    quiet, stopped = Store(tmp_path / "quiet"), Store(tmp_path / "stopped")
    assert Child(command(quiet.root), tmp_path / "log").wait() == 0
    assert len(quiet.records()[0]) == 5
    killed = 0
    for number in range(2):
        child = Child(command(stopped.root), tmp_path / f"log{number}", die_at_state, number + 1)
        killed += child.wait() == -signal.SIGKILL
    assert killed == 2, "each time between two epochs"
    last = Child(command(stopped.root), tmp_path / "last")
    assert last.wait() == 0, last.said
    assert not any("set aside" in path.read_text() for path in tmp_path.glob("l*"))
    same(stopped, quiet)
    edited = tmp_path / "own.py"
    edited.write_text(edited.read_text().replace("1e-3", "2e-3"))
    assert Child(command(stopped.root), tmp_path / "edited").wait() == 0
    trained = (tmp_path / "edited.trained").read_text().split()
    assert len(trained) == 4 and not set(trained) & {r.run for r in quiet.records()[0]}


def die_at_state(number: int) -> None:
    """Die once the `number`th state of a run is whole."""
    import os

    from lottery.training.resume import ResumeState

    save, count = ResumeState.save, [0]

    def watched(self, *args) -> None:
        save(self, *args)
        count[0] += 1
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    ResumeState.save = watched


GRU = """
import lottery
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


@lottery.model(label="Two-layer GRU")
class Gru(lottery.Model):
    def __init__(self, settings, words, outputs):
        super().__init__()
        size, hidden = settings.embedding_size, settings.embedding_size
        self.embedding = nn.Embedding(words, size)
        self.norm = nn.LayerNorm(size)
        self.layers = nn.GRU(size, hidden, 2, batch_first=True, dropout=settings.dropout)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, batch, noise=None):
        texts = self.norm(self.embedding(batch.padded()))
        lengths = batch.lengths.cpu()
        packed = pack_padded_sequence(texts, lengths, batch_first=True, enforce_sorted=False)
        _, last = self.layers(packed)
        return self.output(last[-1])
"""


@pytest.mark.parametrize(("text", "name"), [(MODEL, "bag"), (GRU, "gru")])
def test_a_model_of_plain_layers_trains_with_masks_adam_resume_and_all_arms(
    shell, text, name, tmp_path, monkeypatch
):
    shell(text)
    built_in = ("lt", "random", "random_mask", "shuffled", "finetune")
    left, train = {}, one.train

    def watched(model, ticket, corpus, settings, *more):
        outcome = train(model, ticket, corpus, settings, *more)
        left[settings.arm, settings.rung] = ticket, outcome
        return outcome

    monkeypatch.setattr(one, "train", watched)
    torch.manual_seed(5)
    made = study(tmp_path / "a", (0.5, 0.75), built_in, 2, models=(name,), rewind_step=2)
    records = made.run()
    assert len(records) == 11 and not any(record.failed for record in records)
    for (arm, rung), (ticket, outcome) in left.items():
        for tensor, part in (ticket.mask or {}).items():
            assert not outcome.weights[tensor][~part].any(), "masked means zero"
            assert not torch.equal(outcome.weights[tensor], ticket.weights[tensor]), (arm, rung)
    torch.manual_seed(6)  # a notebook's own stream
    study(tmp_path / "b", (0.5, 0.75), built_in, 2, models=(name,), rewind_step=2).run()
    assert content(Store(tmp_path / "a")) == content(Store(tmp_path / "b")), "to the bit"


def test_first_values_of_plain_layers(shell):
    shell(GRU)
    model = models.build(Settings("imdb", "gru"), 40, 1)
    weights = models.draw(model, 3)
    assert bool((weights["norm.weight"] == 1).all()) and not weights["norm.bias"].any()
    own = weights["layers.weight_ih_l0"]  # three gates of 100 x 100: each N(0, 2 / 200)
    for gate in own.chunk(3):
        assert float(gate.std()) == pytest.approx(0.1, rel=0.05)
    assert not weights["embedding.weight"][0].any()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("self.embedding = nn.EmbeddingBag", "self.words = nn.EmbeddingBag", "has no word vectors"),
        ("nn.Dropout(settings.dropout)", "nn.BatchNorm1d(3)", "keeps drop.num_batches_tracked"),
    ],
)
def test_a_model_that_cannot_be_rewound_is_one_clear_line(shell, tmp_path, old, new, says):
    assert old in MODEL
    shell(MODEL.replace(old, new))
    with pytest.raises(UserError, match=f"model 'bag' {says}"):
        study(tmp_path, (0.5,), models=("bag",))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("embedding_size, outputs)", "embedding_size, 1)", r"\(7, 1\) for 7 texts, not \(7, 4\)"),
        ("embedding_size, outputs)", "embedding_size, 7)", r"\(7, 7\) .* end it with nn.Linear"),
        ("embedding_size, outputs)", "embedding_size, 2)", r"\(7, 2\) for 7 texts"),
        (":-1])))", ":-1]))).T", r"\(4, 7\) for"),
        (":-1])))", ":-1]))), noise", "tuple for .* return that tensor alone"),
        ("return self.output", "self.output", "NoneType for"),
    ],
)
def test_a_model_that_gives_no_logits_is_refused_before_it_trains(shell, tmp_path, old, new, says):
    assert old in MODEL
    shell(MODEL.replace(old, new))
    made = Study("demo-news", ["bag"], store=tmp_path, device="cpu", epochs=1, embedding_size=8)
    with pytest.raises(UserError, match=f"model 'bag' gives {says}"):
        made.run()
    assert not made.store.paths()


def test_the_trial_of_a_model_leaves_no_trace(shell, tmp_path):
    shell(MODEL.replace("return self", "self.met = getattr(self, 'met', 0) + 1; return self"))
    made = study(tmp_path, models=("bag",))
    before = torch.get_rng_state()
    built = models.build(made.plan()[0], len(made.corpus.vocabulary), made.corpus.outputs)
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    tried = one.build(made.plan()[0], made.corpus)
    assert torch.equal(torch.get_rng_state(), after) and not hasattr(tried, "met")
    for name, weight in built.state_dict().items():
        assert torch.equal(weight, tried.state_dict()[name])


NET = """
@lottery.model
class X(lottery.Model):
    def __init__({}): ...
    def forward({}): ...
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lottery.score(lambda context: 1)", "a score is a function or class with a name"),
        ("@lottery.score\ndef magnitude(c): ...", "score 'magnitude' is the package's own"),
        ("@lottery.arm\ndef dense(o): ...", "arm 'dense' is the package's own"),
        ("@lottery.arm(against='dense')\ndef x(o): ...", "it can be 'lt' or None"),
        ("@lottery.model\nclass X: ...", "model 'x' is no class of networks"),
        ("@lottery.model\nclass Imdb(lottery.Model): ...", "'imdb' is the name of a dataset"),
        ("@lottery.model\nclass Cnn(lottery.Model): ...", "model 'cnn' is the package's own"),
        ("@lottery.score\ndef s(weights, mask): ...",
         "score 's' has s(weights, mask): write def s(context)"),
        ("@lottery.score\ndef s(*, context): ...", "has s(*, context): write def s(context)"),
        ("@lottery.arm\ndef a(): ...", "arm 'a' has a(): write def a(origins)"),
        ("@lottery.model\nclass X(lottery.Model): pass",
         "model 'x' has no forward: write def forward(self, batch, noise=None)"),
        (NET.format("self, settings, words, outputs", "self, batch"),
         "model 'x' has forward(self, batch): write def forward(self, batch, noise=None)"),
        (NET.format("self, settings, words, outputs", "self, batch, noise"),
         "model 'x' has forward(self, batch, noise): write def"),
        (NET.format("self, settings", "self, batch, noise=None"),
         "has __init__(self, settings): write def __init__(self, settings, words, outputs)"),
        (NET.format("self", "self, batch, noise=None").replace("__init__", "make"),
         "model 'x' has no __init__: write def __init__(self, settings, words, outputs)"),
        ("x = 1", "registers nothing"),
        ("x = 1\n1 / 0", "line 3: ZeroDivisionError: division by zero"),
        ("raise ValueError('two\\nlines')", "line 2: ValueError: two lines"),
        ("raise KeyError", "line 2: KeyError"),
        ("import sys\nsys.exit(3)", "line 3: SystemExit: 3"),
        ("def f(:", "line 2: invalid syntax"),
        ("from nowhere import x", "line 2: ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_a_bad_plugin_is_one_clear_line(tmp_path, capsys, text, says):
    path = tmp_path / "own.py"
    path.write_text(f"import lottery\n{text}\n")
    before = dict(SCORES), dict(ARMS), dict(MODELS)
    assert cli.main(["run", "demo-reviews", "--plugin", str(path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("lottery: ") and says in line
    assert before == (SCORES, ARMS, MODELS)


@pytest.mark.parametrize(
    ("text", "calm", "raising", "chosen"),
    [
        (SCORE, "squash(w.abs() - 1e-3)", "w[len(w)]", ("cnn", "--score", "mine")),
        (SCORE, "squash(w.abs() - 1e-3)", "w.view('a')", ("cnn", "--score", "mine")),
        (SCORE, "squash(w.abs() - 1e-3)", "exit('Error: no')", ("cnn", "--score", "mine")),
        (ARM, "Ticket(first, origins.mask)", "first['nowhere']", ("cnn", "--arm", "signs")),
        (MODEL, "self.drop(self.embedding(batch.ids, ", "self.drop(self.embedding(batch.ids, 3, ",
         ("bag",)),
    ],
)  # fmt: skip
def test_what_a_plugin_raises_is_one_line_with_its_place(
    tmp_path, capsys, text, calm, raising, chosen
):
    assert calm in text
    path = tmp_path / "own.py"
    path.write_text(text.replace(calm, raising))
    number = 1 + next(i for i, t in enumerate(path.read_text().splitlines()) if raising in t)
    asked = run(tmp_path / "results", "--plugin", str(path), *chosen[1:], epochs=1, arms=("lt",))
    asked[2] = chosen[0]
    assert cli.main(asked) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"lottery: {path}, line {number}, `") and "Error: " in said


def test_what_the_package_raises_is_not_laid_on_a_plugin(shell):
    shell(SCORE)
    with pytest.raises(UserError, match=r"`return .*`: AttributeError"), blamed():
        SCORES["mine"].make(None)
    with pytest.raises(AttributeError), blamed():
        Settings.checked(None)


def test_a_plugin_that_is_not_there_is_one_clear_line(tmp_path, capsys):
    for path, content_ in ((tmp_path / "no.py", None), (tmp_path / "odd.py", b"\xff\xfe")):
        if content_:
            path.write_bytes(content_)
        assert cli.main(["report", f"--plugin={path}"]) == 2
        assert str(path) in capsys.readouterr().err


def test_an_option_is_no_file_of_a_plugin(capsys):
    assert cli.main(["run", "demo-reviews", "--plugin", "--epochs", "1"]) == 2
    said = capsys.readouterr().err
    assert said == "lottery: --plugin --epochs: is an option; write --plugin FILE\n"


def test_help_names_what_is_plugged_in(tmp_path, capsys):
    path = tmp_path / "own.py"
    path.write_text(SCORE + ARM + MODEL)
    with pytest.raises(SystemExit):
        cli.main(["run", "--plugin", str(path), "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "lt, random, random_mask, shuffled, exchanged, finetune, signs; with a --source" in out
    assert "cnn, lstm, bag (no model: all)" in out
    assert "grasp, random, mine" in out


def test_a_score_that_is_wrong_or_an_arm_of_nothing_is_one_clear_line(shell, tmp_path):
    shell(SCORE.replace("squash(w.abs() - 1e-3)", "w * float('nan')"))
    with pytest.raises(UserError, match=r"score 'mine' of .* holds NaN"):
        study(tmp_path / "a", (0.5,), ("lt",), score="mine").run()
    for change, says in (
        ("return None", "arm 'signs' gives builtins.NoneType, not lottery.pruning.tickets.Ticket"),
        ("return Ticket(origins.trained)", "asks for trained ones says so, tunes=True"),
        ("return Ticket({})", "arm 'signs' lacks embedding.weight"),
    ):
        shell(ARM.replace("return Ticket(first, origins.mask)", change))
        with pytest.raises(UserError, match=says):
            study(tmp_path / change[:12], (0.5,), ("signs",), score="snip").run()


def test_an_arm_whose_mask_keeps_other_counts_is_one_clear_line(shell, tmp_path):
    shell(ARM.replace("Ticket(first, origins.mask)", "Ticket(first)"))
    made = study(tmp_path, (0.5,), ("signs",), score="snip")
    says = r"arm 'signs' keeps [\d,]+ weights of convolutions.0.weight, and its rung [\d,]+: give"
    with pytest.raises(UserError, match=says):
        made.run()
    assert [record.settings.arm for record in made.store.records()[0]] == ["dense"]


def test_an_arm_may_ask_for_trained_weights_whatever_the_score(shell, tmp_path):
    text = ARM.replace("signs", "kept").replace("lottery.arm(", "lottery.arm(tunes=True, ")
    shell(text.replace("Ticket(first, ", "Ticket(origins.trained, "))
    records = study(tmp_path, (0.5,), ("kept",), score="snip").run()
    assert [record.settings.arm for record in records] == ["dense", "kept"]


def test_named_settings_read_back_and_follow_the_arm(cells):
    made = named(Settings("imdb", "bag", "signs", (0.5,), score="mine").checked())
    assert Settings.from_json(made.to_json()) == made.checked() == made
    assert [part.split()[:2] for part in made.code] == [
        ["arm", "signs"],
        ["model", "bag"],
        ["score", "mine"],
    ]
    assert [p.split()[0] for p in replace(made, arm="lt").checked().code] == ["model", "score"]
    assert [p.split()[0] for p in replace(made, arm="dense").checked().code] == ["model"]
    assert made.protocol == named(Settings("imdb", "bag").checked())
