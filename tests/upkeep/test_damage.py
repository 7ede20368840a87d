"""Bits that flip and files that are cut: noticed or harmless, never a wrong figure."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from helpers.children import study
from helpers.corpora import make_corpus
from lottery import files, models
from lottery.experiment.run import build
from lottery.files import UserError
from lottery.training.adam import Adam
from lottery.training.epoch import Progress, train_epoch
from lottery.training.resume import ResumeState

EACH = 50  # four kinds of files: 200 in all


def damages(content: bytes, seed: int):
    """`EACH` ways of damaging a file: one bit flipped, or the end cut off."""
    places = random.Random(seed)
    for number in range(EACH):
        at = places.randrange(len(content))
        if number % 3 == 2:
            yield content[:at]
        else:
            changed = bytearray(content)
            changed[at] ^= 1 << places.randrange(8)
            yield bytes(changed)


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())


def test_records(tmp_path):
    made = study(tmp_path)
    record = made.run("dense")[0]
    path = made.store.record_path(record.settings)
    noticed = 0
    for content in damages(path.read_bytes(), 1):
        path.write_bytes(content)
        records, lines = made.store.records()
        if lines:
            assert records == [] and len(lines) == 1
            assert lines[0].startswith(str(path)) and "\n" not in lines[0]
            noticed += 1
        else:
            assert records == [record]
    assert noticed > EACH / 2


@pytest.mark.parametrize("name", ["test_loss", "commit", "device", "train_loss"])
def test_a_figure_that_agrees_with_all_others_is_still_noticed(tmp_path, name):
    made = study(tmp_path)
    path = made.store.record_path(made.run("dense")[0].settings)
    before, after = path.read_text().split(f'"{name}": ', 1)
    value, rest = after.split(",\n", 1)
    other = '"other"' if value.startswith('"') else f"{float(value) + 0.001}"
    path.write_text(f'{before}"{name}": {other},\n{rest}')
    with pytest.raises(UserError, match="'sha256' is not that of its content"):
        made.store.read(path)


def test_checkpoints(tmp_path):
    made = study(tmp_path)
    made.run("dense")
    path = made.store.weights_path(made.plan()[0])
    tensors, facts = files.load(path)
    noticed = 0
    for content in damages(path.read_bytes(), 2):
        path.write_bytes(content)
        try:
            now, about = files.load(path)
        except files.Damaged as error:
            noticed += 1
            assert "\n" not in str(error)
        else:
            assert equal(now, tensors) and about == facts
    assert noticed > 0.9 * EACH


def test_a_damaged_checkpoint_is_set_aside_and_trained_again_to_the_bit(tmp_path):
    made = study(tmp_path)
    made.run("dense")
    path = made.store.weights_path(made.plan()[0])
    tensors = {n: t.clone() for n, t in files.load(path)[0].items()}  # not the mapped file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said = []
    study(tmp_path, say=said.append).run("lt")
    assert said == [f"{path} has a wrong checksum; it is set aside and trained again"]
    assert equal(files.load(path)[0], tensors)
    assert path.with_name(f"{path.name}.damaged").exists()


def test_states(tmp_path):
    made = study(tmp_path)
    settings = made.plan()[0]
    model = build(settings, made.corpus)
    model.load_state_dict(models.draw(model, 0))
    adam = Adam(dict(model.named_parameters()), None, 1e-3)
    train_epoch(model, adam, made.corpus.train, settings, 1, Progress(), 2)
    weights = {n: w.clone() for n, w in model.state_dict().items()}
    said = []
    kept = ResumeState(tmp_path / "x.state.safetensors", {"settings": 1}, said.append)
    kept.save(model, adam, [], weights)
    moments = adam.state()
    for content in damages(kept.path.read_bytes(), 3):
        kept.path.write_bytes(content)
        said.clear()
        other = build(settings, made.corpus)
        first = models.draw(other, 1)
        other.load_state_dict(first)
        fresh = Adam(dict(other.named_parameters()), None, 1e-3)
        zero = fresh.state()
        history, best = kept.restore(other, fresh)
        assert history == []
        if said:
            assert len(said) == 1 and "it is set aside and the run starts again" in said[0]
            assert best == {}
            assert equal(other.state_dict(), first) and equal(fresh.state(), zero), "untouched"
            assert not kept.path.exists()
        else:
            assert equal(other.state_dict(), weights) and equal(best, weights)
            assert equal(fresh.state(), moments)


def test_corpus_caches(tmp_path):
    train = make_corpus().train
    arrays = {"tokens": train.tokens, "offsets": train.offsets, "labels": train.labels}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    path = tmp_path / "a.corpus"
    files.save(path, tensors, {"words": ["a", "b"]})
    noticed = 0
    for content in damages(path.read_bytes(), 4):
        Path(path).write_bytes(content)
        try:
            now, facts = files.load(path)
        except files.Damaged:
            noticed += 1
        else:
            assert facts == {"words": ["a", "b"]}
            assert equal(now, tensors)
    assert noticed >= EACH - 1, "a space of the header may become another white space"
