"""The benchmark: the same maths on every way, and every promised number."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.corpora import make_split
from lottery import cli, models
from lottery.data.batches import Split, batches
from lottery.files import UserError, root
from lottery.settings import Settings
from lottery.training.epoch import criterion

TINY = {"embedding_size": 8, "filters": 4, "hidden": 8, "batch_size": 8, "vocabulary_size": 50}


@pytest.fixture(scope="module")
def steps():
    spec = importlib.util.spec_from_file_location("steps", root() / "benchmarks" / "steps.py")
    module = sys.modules["steps"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["steps"]


@pytest.fixture
def tiny(steps, monkeypatch):
    """No corpus is found; what is generated instead is small, and so is everything else."""

    def missing(*_, **__):
        raise UserError("not found")

    monkeypatch.setattr(steps.corpora.corpus, "load", missing)
    for name, shape in steps.SHAPES.items():
        monkeypatch.setitem(steps.SHAPES, name, replace(shape, rows=80, median=9))
    monkeypatch.setattr(steps.corpora, "SIZES", (4, 8))
    monkeypatch.setattr(steps.corpora, "REVIEWS", 30)
    monkeypatch.setattr(steps.pruned, "BATCHES", (1, 5))
    monkeypatch.setattr(steps.pruned, "SPARSITIES", (0.5, 0.875))
    monkeypatch.setattr(steps, "sgemm_rate", lambda: 100.0)
    memory = {"memory_mib.0": 2.0, "memory_mib.0.875": 1.0}  # eight processes; see the test of it
    monkeypatch.setattr(steps.pruned, "memory", lambda *_: memory)
    return steps


def even(rows: int, length: int, words: int) -> Split:
    random = np.random.default_rng(0)
    tokens = random.integers(1, words, rows * length).astype(np.int32)
    return Split(tokens, np.arange(rows + 1) * length, random.integers(2, size=rows))


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize(
    ("model", "rival", "split"),
    [
        ("cnn", "tutorial", even(16, 11, 60)),  # padding is a word there: no text is padded
        ("lstm", "padded", even(16, 11, 60)),
        ("lstm", "packed", make_split(16, 60, 2, 0)),
    ],
)
def test_a_tutorials_step_is_ours(steps, model, rival, split, outputs):
    settings = Settings("imdb", model, embedding_size=8, filters=6, hidden=8)
    ours = models.build(settings, 60, outputs)
    ours.load_state_dict(models.draw(ours, 0))
    theirs = steps.rivals.tutorial(rival, settings, 60, outputs)
    theirs.load_state_dict(ours.state_dict())
    theirs.dropout.p = 0.0

    (batch,) = batches(split, len(split))
    mine = criterion(ours(batch), batch.labels)
    mine.backward()
    optimiser = torch.optim.SGD(theirs.parameters(), 0.0)  # leaves weights and gradients alone
    loss = steps.rivals.train_tutorial(
        theirs, optimiser, [steps.rivals.tensors(split, np.arange(len(split)))]
    )
    assert loss == pytest.approx(float(mine.detach()), rel=1e-5)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad.to_dense(), b.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_batches_hold_texts_of_like_length_and_all_lengths(steps):
    split = make_split(600, 60, 2, 0)
    rows = steps.rivals.buckets(split, 8, 10, seed=0)
    assert [len(some) for some in rows] == [8] * 10
    assert len(set(np.concatenate(rows).tolist())) == 80
    lengths = split.lengths[np.stack(rows)]
    assert np.ptp(lengths, axis=1).max() <= 3
    assert lengths.min() <= 4 and lengths.max() >= 26
    with pytest.raises(ValueError, match="more than the texts"):
        steps.rivals.buckets(split, 8, 76, seed=0)


def test_flops_of_a_step_are_those_of_its_products(steps):
    split = Split(np.array([3, 4, 3, 5], np.int32), np.array([0, 3, 4]), np.zeros(2, np.int64))
    cnn = Settings("imdb", "cnn", embedding_size=2, filters=3, widths=(2, 4))
    found = steps._work(cnn, split, outputs=1)
    assert (found["tokens"], found["words"]) == (4, 3)
    forward, backward, output = 3 * 2 * 18 * 2, 2 * 18 * 2 * 2, 3 * 2 * 6 * 2
    assert found["gflop"] * 1e9 == pytest.approx(forward + backward * 2 * 0.5 + output)
    lstm = Settings("imdb", "lstm", embedding_size=2, hidden=5)
    words, recurrent, output = 3 * 2 * 20 * 2, 4 * 5 * 20 * 2, 3 * 2 * 10 * 2
    found = steps._work(lstm, split, outputs=1)
    assert found["gflop"] * 1e9 == pytest.approx(3 * 2 * (words + recurrent) + output)


def test_every_number_is_there_and_generated_texts_are_called_so(tiny, tmp_path, capsys):
    path = tmp_path / "bench.json"
    said = []
    figures = tiny.run(path, steps=2, rounds=2, say=said.append, **TINY)
    assert figures == json.loads(path.read_text())
    for name in ("imdb", "agnews"):
        assert figures[f"data.{name}"] == "generated"
        for model, ways in (("cnn", ["tutorial"]), ("lstm", ["packed", "padded"])):
            own = ["ms_ours", "ms_forward", "ms_backward", "ms_adam", "ms_rest", "gflops"]
            own += ["sgemm_fraction", "eval_texts_per_second", "tokens", "words"]
            own += [f"ns_per_token.corpus_1_{share}" for share in (8, 4, 2, 1)]
            own += [f"ns_per_token.batch_{size}" for size in (4, 8)]
            for way in ways:
                own += [f"ms_{way}", f"ratio_{way}"]
                low, ratio, high = (
                    figures[f"{model}.{name}.ratio_{way}{end}"] for end in ("_q25", "", "_q75")
                )
                assert low <= ratio <= high
            for key in own:
                least = 0 if key != "sgemm_fraction" else -1  # it may round to 0 on a busy machine
                assert figures[f"{model}.{name}.{key}"] > least, key
    for key in ("cnn.imdb", "lstm.agnews"):
        assert figures[f"{key}.decay.ms_ours"] > 0
    for key in ("cnn.imdb", "lstm.imdb", "cnn.agnews", "lstm.agnews"):
        for name in ("step", "inference"):
            assert figures[f"sparse.{key}.{name}_ms.0"] > 0
            for sparsity in (0.5, 0.875):
                ratio = f"sparse.{key}.{name}_ratio.{sparsity:g}"
                assert figures[f"{ratio}_q25"] <= figures[ratio] <= figures[f"{ratio}_q75"]
        assert figures[f"sparse.{key}.memory_mib.0.875"] == 1
        for size in (1, 5):
            assert figures[f"sparse.{key}.inference_ratio.0.875.batch_{size}"] > 0
    for name in ("sparse.torch.ms_dense", "sparse.torch.ms_csr.0.875"):
        assert 0 < figures[f"{name}_q25"] <= figures[name] <= figures[f"{name}_q75"]
    assert figures["machine.vector_bits"] in (128, 256, 512)
    assert figures["adam.mb"] > 0 and figures["adam.ms_memory"] > 0
    assert all(figures[f"adam.ms.{share:g}"] > 0 for share in (0, *tiny.pruned.SPARSITIES))
    assert figures["tokenise.texts"] == 30
    assert figures["machine.threads"] >= 1 and figures["machine.sgemm_gflops"] == 100
    assert any("generated" in line for line in said)
    printed = capsys.readouterr().out
    assert "| CNN, IMDb (generated) | tutorial |" in printed
    assert torch.get_num_threads() == 1, "as training wants it, also after the others' turns"


def test_memory_is_that_of_young_processes_and_not_of_this_one(steps):
    taken = np.ones(400 * 2**17)  # 400 MiB
    split = make_split(16, 50, 2, 0)
    found = steps.pruned.memory(Settings("imdb", "cnn", **TINY), split, 50, 1, 2)
    own = steps.pruned.peak_mib()
    assert own > taken.nbytes / 2**20
    assert sorted(found) == ["memory_mib.0", "memory_mib.0.875"]
    assert all(50 < mib < own - 200 for mib in found.values())


def test_the_engine_answers_what_the_masked_network_does(steps, monkeypatch):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network = steps.pruned.Network(Settings("imdb", "lstm", **TINY), 50, 1, 0.875)
    answers = []
    theirs = steps.pruned.onnx.answer
    monkeypatch.setattr(steps.pruned.onnx, "answer", lambda *given: answers.append(theirs(*given)))
    split = make_split(20, 50, 2, 0)
    steps.pruned._engine(network)(split, size=8)
    assert [len(some) for some in answers] == [8, 8, 4] and runtime
    with torch.no_grad():
        own = [network.model.eval()(batch) for batch in batches(split, 20)]
    np.testing.assert_allclose(np.concatenate(answers), own[0].numpy(), atol=1e-5)


def test_sgemm_rate_is_a_rate(steps):
    assert 0 < steps.sgemm_rate(64, 2) < 1e6


def test_the_command_passes_the_file_on(monkeypatch, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "steps.py").write_text(
        "def run(json_path=None):\n    json_path.write_text('{}')\n"
    )
    monkeypatch.setattr(cli, "root", lambda: tmp_path)
    assert cli.main(["bench", "--json", str(tmp_path / "out.json")]) == 0
    assert (tmp_path / "out.json").read_text() == "{}"


def test_without_a_checkout_the_command_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "root", lambda: tmp_path)
    assert cli.main(["bench"]) == 2
    assert "checkout" in capsys.readouterr().err


def test_a_place_that_cannot_be_is_refused_before_anything_is_measured(steps, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        steps.run(tmp_path / "file" / "numbers.json", say=pytest.fail)


def test_a_folder_is_no_file_for_the_numbers(steps, tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        steps.run(tmp_path)
