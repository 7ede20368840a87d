"""The gradient that scores ask for: by hand, beside torch's, and of which texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.corpora import make_corpus
from lottery import models
from lottery.data.batches import Split, batches
from lottery.models.base import Model
from lottery.settings import Settings
from lottery.training.epoch import criterion
from lottery.training.slope import sample, slope


class Sum(Model):
    """One logit: the sum of a text's word values, times a scale; another weight has no say."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 1)
        self.output = nn.Linear(1, 1, bias=False)
        self.idle = nn.Linear(2, 2, bias=False)

    def forward(self, batch, noise=None) -> Tensor:
        assert noise is None and not self.training, "no dropout"
        words = self.embedding(batch.words)[batch.index.long()].split(batch.offsets.diff().tolist())
        return self.output(torch.stack([text.sum(0) for text in words]))


def test_by_hand():
    # Two texts: "1 1" of class 1 and "2" of class 0; values e₁ = 0.5, e₂ = −1, scale 2.
    split = Split(np.array([1, 1, 2], np.int32), np.array([0, 2, 3]), np.array([1, 0]))
    weights = {
        "embedding.weight": torch.tensor([[0.0], [0.5], [-1.0], [9.0]]),
        "output.weight": torch.tensor([[2.0]]),
        "idle.weight": torch.ones(2, 2),
    }
    found = slope(Sum(), split, weights)
    # Logits 2 (0.5 + 0.5) = 2 and −2; ∂L/∂logit = (σ(logit) − label) / 2.
    likely = 1 / (1 + np.exp(-2.0))
    one, two = (likely - 1) / 2, (1 - likely) / 2
    by_hand = [0.0, 2 * 2 * one, 2 * two, 0.0]  # word 1 stands twice, the scale is 2
    assert found["embedding.weight"].flatten().tolist() == pytest.approx(by_hand)
    assert float(found["output.weight"]) == pytest.approx(one * 1.0 + two * -1.0)
    assert not found["idle.weight"].any()


@pytest.mark.parametrize("name", ["cnn", "lstm"])
@pytest.mark.parametrize("classes", [2, 4])
def test_it_is_that_of_the_training_loss(name, classes):
    corpus = make_corpus(classes)
    settings = Settings("demo-news", name, embedding_size=8, filters=6, hidden=8)
    model = models.build(settings, 60, corpus.outputs)
    kept = {n: w.clone() for n, w in model.state_dict().items()}
    weights = models.draw(model, 1)
    found = slope(model, corpus.train, weights)
    own = models.build(settings, 60, corpus.outputs)
    own.load_state_dict(weights)
    (batch,) = batches(corpus.train, len(corpus.train))
    criterion(own(batch), batch.labels).backward()
    for n, parameter in own.named_parameters():
        torch.testing.assert_close(found[n], parameter.grad.to_dense(), rtol=1e-4, atol=1e-7)
    assert all(torch.equal(w, kept[n]) for n, w in model.state_dict().items()), "it only lends"
    double = slope(model, corpus.train, {n: w.double() for n, w in weights.items()})
    for n, part in double.items():
        assert part.dtype == torch.float64
        torch.testing.assert_close(part.float(), found[n], rtol=1e-4, atol=1e-7)


def test_the_mask_that_a_model_wears_is_not_that_of_the_weights():
    corpus = make_corpus()
    settings = Settings("demo-news", "lstm", embedding_size=8, hidden=8)
    model = models.build(settings, 60, corpus.outputs)
    weights = models.draw(model, 1)
    whole = slope(model, corpus.train, weights)
    model.wear({n: torch.arange(w.numel()).view_as(w) % 5 == 0 for n, w in weights.items()})
    assert model.sparse
    found = slope(model, corpus.train, weights)
    assert all(torch.equal(part, whole[name]) for name, part in found.items())
    slope(model, corpus.train, {name: weight.double() for name, weight in weights.items()})
    assert model.sparse, "it only lends"


def test_a_sample_is_named_by_its_seed():
    split = make_corpus().train
    one, same, other = (sample(split, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.tokens, same.tokens) and len(one) == 50
    assert not np.array_equal(one.labels, other.labels)
    everything = sample(split, 10**9, 1)
    assert np.array_equal(everything.tokens, split.tokens)
