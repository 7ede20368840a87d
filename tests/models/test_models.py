"""Initialisation and shapes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lottery import models
from lottery.data.batches import Batch
from lottery.files import UserError
from lottery.models.dropout import drop
from lottery.models.embedding import word_vectors
from lottery.pruning.masks import prunable
from lottery.settings import Settings

BOTH = pytest.mark.parametrize("name", ["cnn", "lstm"])


def full(name: str, **more):
    return models.build(Settings("imdb", name, **more), 25_000, 1)


def test_shapes_of_the_protocol():
    shapes = {n: tuple(w.shape) for n, w in full("cnn").named_parameters()}
    assert shapes == {
        "embedding.weight": (25_000, 100),
        "convolutions.0.weight": (100, 100, 3),
        "convolutions.0.bias": (100,),
        "convolutions.1.weight": (100, 100, 4),
        "convolutions.1.bias": (100,),
        "convolutions.2.weight": (100, 100, 5),
        "convolutions.2.bias": (100,),
        "output.weight": (1, 300),
        "output.bias": (1,),
    }
    shapes = {n: tuple(w.shape) for n, w in full("lstm").named_parameters()}
    assert shapes["lstm.weight_ih_l0"] == shapes["lstm.weight_ih_l0_reverse"] == (512, 100)
    assert shapes["lstm.weight_hh_l0"] == (512, 128)
    assert shapes["output.weight"] == (1, 256)


@BOTH
def test_xavier_normal_everywhere_each_gate_by_itself(name):
    first = models.draw(full(name), 0)
    matrices = {n: w for n, w in first.items() if w.dim() > 1 and n != "output.weight"}
    for n, weight in matrices.items():
        for part in weight.chunk(4) if n.startswith("lstm") else [weight]:
            field = math.prod(part.shape[2:])
            wanted = math.sqrt(2 / ((part.shape[0] + part.shape[1]) * field))
            values = part[1:] if n == "embedding.weight" else part
            assert values.std().item() == pytest.approx(wanted, rel=0.03), n
            assert abs(values.mean().item()) < 0.03 * wanted * 3
            tail = (values.abs() > 2 * wanted).float().mean().item()
            assert tail == pytest.approx(0.0455, abs=0.01), "normal, not uniform"
    assert all((w == 0).all() for n, w in first.items() if w.dim() == 1), "biases"
    assert (first["embedding.weight"][0] == 0).all(), "<pad>"
    assert (first["embedding.weight"][1] != 0).all()


@BOTH
def test_a_new_draw_changes_every_layer_the_embedding_too(name):
    model = full(name)
    kept = {n: w.detach().clone() for n, w in model.named_parameters()}
    one, same, other = (models.draw(model, seed) for seed in (0, 0, 1))
    for n in prunable(one):
        assert torch.equal(one[n], same[n])
        # Unequal nearly everywhere; two draws of one normal are unrelated.
        assert (one[n] == other[n]).sum() <= one[n].shape[-1], n
        pair = torch.stack([one[n].flatten(), other[n].flatten()])
        assert abs(torch.corrcoef(pair)[0, 1].item()) < 0.2, n
    assert all(torch.equal(w, kept[n]) for n, w in model.named_parameters()), (
        "the model keeps its own"
    )


def test_an_unknown_model_says_which_there_are():
    with pytest.raises(UserError, match="unknown model 'gru': there are cnn, lstm"):
        full("gru")


def test_dropout_scales_and_has_its_own_stream():
    values = torch.ones(200, 300)
    torch.manual_seed(0)
    a = drop(values, 0.25, torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    b = drop(values, 0.25, torch.Generator().manual_seed(1))
    assert torch.equal(a, b), "the global stream plays no part"
    assert a.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (a == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert drop(values, 0.25, None) is values


@given(words=st.integers(1, 40), rate=st.sampled_from([0.01, 0.4, 0.99]), seed=st.integers(0, 9))
def test_a_dropped_word_is_zero_wherever_it_stands(words, rate, seed):
    draw = torch.Generator().manual_seed(seed)
    embedding = torch.randn(50, 3, generator=draw, dtype=torch.float64).requires_grad_()
    ids = torch.randperm(50, generator=draw)[:words]
    index = torch.randint(words, (90,), generator=draw, dtype=torch.int32)
    batch = Batch(ids, index, torch.tensor([0, 90]), torch.tensor([0]))
    same = torch.Generator().manual_seed(seed)
    keep = (torch.rand(words, 1, dtype=torch.float64, generator=same) < 1 - rate).double()
    each = (embedding[ids] * (1 / (1 - rate)) * keep)[index.long()]
    rows, places = word_vectors(embedding, batch, rate, torch.Generator().manual_seed(seed))
    assert places.dtype == torch.int32 and len(rows) == int(keep.sum()) + 1
    assert torch.equal(rows[places.long()], each)
    slopes = torch.randn(each.shape, generator=draw, dtype=torch.float64)
    (expected,) = torch.autograd.grad(each, embedding, slopes)
    (found,) = torch.autograd.grad(rows[places.long()], embedding, slopes)
    assert found.is_sparse and torch.allclose(found.to_dense(), expected, rtol=1e-14, atol=0)


def test_no_word_is_dropped_without_a_rate_or_a_stream():
    embedding = torch.randn(5, 3)
    batch = Batch(torch.tensor([4, 2]), torch.tensor([1, 0, 1]), None, None)
    for rate, noise in ((0.0, torch.Generator()), (0.5, None)):
        rows, places = word_vectors(embedding, batch, rate, noise)
        assert torch.equal(rows, embedding[[4, 2]]) and places is batch.index
