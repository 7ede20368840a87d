"""Pruned products: those of the dense kernels, to the bit but for the kept weights' gradients.

These are sums over rows in another order, and agree to rounding; all agree with torch.nn.LSTM.
"""

from __future__ import annotations

from itertools import pairwise

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.test_recurrence import (
    HOW,
    all_close,
    batch,
    close,
    gradients,
    lstm,
    network,
    torch_pooled,
    torch_states,
    weights,
)
from lottery import models
from lottery.kernels import packing, recurrence, sparse
from lottery.kernels.recurrence import STATES, lstm_pooled, patterns, run
from lottery.pruning.masks import prunable
from lottery.pruning.tickets import Ticket
from lottery.settings import Settings
from lottery.training.train import train


@pytest.fixture(autouse=True)
def _always(monkeypatch):
    """Even where it does not pay."""
    monkeypatch.setattr(sparse, "SHARE", 2.0)
    monkeypatch.setattr(sparse, "least", lambda share, lanes: 1)


def agree(ours, dense, masks):
    """To the bit what is no kept weight; those to 1e-5 of the largest (float32), none pruned."""
    for mine, other, mask in zip(ours, dense, masks, strict=True):
        if mask is None:
            assert torch.equal(mine, other)
            continue
        bound = (1e-5 if mine.dtype == torch.float32 else 1e-13) * float(other.abs().max())
        torch.testing.assert_close(mine, other * mask, rtol=0, atol=bound)
        assert not mine[~mask].any()


def prune(net, density, seed=0, empty=0.0):
    """Zero some weights of `net`, and a share `empty` of rows and columns; its masks."""
    generator = torch.Generator().manual_seed(seed)
    masks = []
    for layer in weights(net):
        masks.append([])
        for matrices in layer:
            some = []
            for weight in matrices[:2]:
                mask = torch.rand(weight.shape, generator=generator) < density
                mask[torch.rand(len(mask), generator=generator) < empty] = False
                mask[:, torch.rand(mask.shape[1], generator=generator) < empty] = False
                weight.detach().masked_fill_(~mask, 0)
                some.append(mask)
            masks[-1].append(some)
    return masks


def every(masks):
    """The masks in the order of `net.parameters()`, None for biases."""
    return [mask for layer in masks for some in layer for mask in (*some, None, None)]


def compare(lengths, words, features, units, layers, directions, dtype, density, empty, seed=0):
    net = network(features, units, layers, directions, dtype, seed)
    masks = prune(net, density, seed, empty)
    kept = patterns(masks, dtype)
    assert all(layer.into and layer.round_ for layer in kept)
    table, index, offsets = batch(lengths, words, features, dtype, seed)
    inputs = [table, *net.parameters()]
    arguments = table, index, offsets, weights(net)
    pruned = run(*arguments, STATES, kept)
    dense = lstm(*arguments)
    theirs = torch_states(table, index, offsets, net)
    assert torch.equal(pruned, dense)
    close(pruned, theirs)
    ours = gradients(pruned, inputs)
    agree(ours, gradients(dense, inputs), [None, *every(masks)])
    full = gradients(theirs, inputs)
    full[1:] = [g if m is None else g * m for g, m in zip(full[1:], every(masks), strict=True)]
    all_close(ours, full)
    with torch.no_grad():
        assert torch.equal(run(*arguments, STATES, kept), pruned)
        for how in HOW:
            fused = lstm_pooled(*arguments, how, kept)
            assert torch.equal(fused, lstm_pooled(*arguments, how))
            close(fused, torch_pooled(theirs, offsets, how, directions))


@settings(max_examples=60)
@given(
    lengths=st.lists(st.one_of(st.just(1), st.integers(1, 9), st.integers(30, 60)), min_size=1,
                     max_size=9),
    words=st.integers(1, 40),
    features=st.sampled_from([1, 5, 64, 100]),
    units=st.sampled_from([1, 7, 64, 70]),
    layers=st.integers(1, 2),
    directions=st.integers(1, 2),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    density=st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    empty=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_bits_are_the_dense_kernels(
    lengths, words, features, units, layers, directions, dtype, density, empty, seed
):
    compare(lengths, words, features, units, layers, directions, dtype, density, empty, seed)


@pytest.mark.parametrize(
    "lengths",
    [[1], [400], [1] * 64, [1, 400, 3, 200, 2], [1 + k * k % 23 for k in range(300)]],
    ids=["one token", "one text", "texts of one token", "very different", "300 texts"],
)
@pytest.mark.parametrize("always", [True, False], ids=["every step", "steps of many rows"])
def test_odd_batches(lengths, always, monkeypatch):
    if not always:
        monkeypatch.setattr(sparse, "least", lambda share, lanes: 4)
    compare(lengths, 700, 100, 128, 1, 2, torch.float32, 0.125, 0.0)


@pytest.mark.parametrize("how", HOW)
def test_pooled_gradients_have_the_same_bits(how):
    net = network(100, 128)
    masks = prune(net, 0.125)
    table, index, offsets = batch([1 + 7 * k % 61 for k in range(80)], 500, 100)
    inputs = [table, *net.parameters()]
    arguments = table, index, offsets, weights(net), how
    pruned = gradients(lstm_pooled(*arguments, patterns(masks, table.dtype)), inputs)
    dense = gradients(lstm_pooled(*arguments), inputs)
    agree(pruned, dense, [None, *every(masks)])


def test_bits_do_not_depend_on_threads():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    net = network(100, 128, layers=2)
    kept = patterns(prune(net, 0.1), torch.float32)
    table, index, offsets = batch([1 + 7 * k % 61 for k in range(100)], 500, 100)
    inputs = [table, *net.parameters()]
    before, runs = numba.get_num_threads(), []
    try:
        for threads in (1, 2, 2, 1):
            numba.set_num_threads(threads)
            result = lstm_pooled(table, index, offsets, weights(net), "max", kept)
            runs.append([result, *gradients(result, inputs)])
    finally:
        numba.set_num_threads(before)
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))


def test_gradcheck_of_what_is_kept():
    net = network(3, 2, 2, 2, torch.float64)
    masks = prune(net, 0.6)
    kept = patterns(masks, torch.float64)
    table, index, offsets = batch([1, 4, 2], 4, 3, torch.float64)
    places = [None if mask is None else mask for mask in every(masks)]

    def function(table, *flat):
        # A pruned place is a constant zero, so that no gradient is asked of it.
        flat = [w if m is None else w * m for w, m in zip(flat, places, strict=True)]
        layers = [[flat[at : at + 4] for at in range(start, start + 8, 4)] for start in (0, 8)]
        return lstm_pooled(table, index, offsets, layers, "max", kept)

    assert torch.autograd.gradcheck(function, [table, *net.parameters()])


def test_the_rule_looks_at_the_mask_alone(monkeypatch):
    monkeypatch.undo()
    rules = ((1.0, False), (0.5, False), (0.25, True), (0.125, True), (0.015, True), (0.0, True))
    for density, pays in rules:
        for units, features in ((128, 100), (64, 64)):
            net = network(features, units)
            (layer,) = patterns(prune(net, density), torch.float32)
            assert bool(layer.round_) == bool(layer.into) == pays
            assert (layer.round_.least == sparse.NEVER) != pays
    least = [sparse.least(share, 8) for share in (0.25, 0.125, 0.0625, 0.015, 0.0)]
    assert least == [8, 4, 2, 1, 1]


@pytest.mark.parametrize(("rows", "ready"), [(4, False), (3, True)])
def test_few_texts_have_no_sparse_product_made_ready(monkeypatch, rows, ready):
    monkeypatch.setattr(sparse, "least", lambda share, lanes: rows)
    net, made, now = network(20, 64), [], packing.Kept.now
    (layer,) = kept = patterns(prune(net, 0.1), torch.float32)

    def noted(self, way, weights):
        made.extend([len(way.places) > 0] if self is layer.round_ else [])
        return now(self, way, weights)

    monkeypatch.setattr(packing.Kept, "now", noted)
    lstm_pooled(*batch([9, 30, 2], 25, 20), weights(net), "max", kept)
    assert made == [ready]


def test_a_matrix_without_a_mask_stays_whole():
    net = network(20, 64)
    masks = prune(net, 0.1)
    for part in (0, 1):
        some = [[[m if k == part else None for k, m in enumerate(d)] for d in y] for y in masks]
        (layer,) = kept = patterns(some, torch.float32)
        assert (bool(layer.into), bool(layer.round_)) == (part == 0, part == 1)
        table, index, offsets = batch([9, 30, 2], 25, 20)
        arguments = table, index, offsets, weights(net), "max"
        assert torch.equal(lstm_pooled(*arguments, kept), lstm_pooled(*arguments))


def test_a_pattern_holds_every_weight_once():
    mask = torch.rand(4 * 70, 37, generator=torch.Generator().manual_seed(0)) < 0.3
    kept = packing.Kept([mask, ~mask], torch.float32)
    everywhere = torch.arange(mask.numel())
    for way in (kept.forth, kept.back):
        middle = way.firsts[len(way.outputs) // 2]
        for some, part in ((mask, way.places[:middle]), (~mask, way.places[middle:])):
            assert sorted(part.tolist()) == everywhere[some.flatten()].tolist()
        assert all(np.all(np.diff(way.inputs[a:b]) > 0) for a, b in pairwise(way.firsts))
    assert recurrence.LayerKept(kept, kept).into is kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("hidden", "size"), [(128, 128), (128, 100), (70, 37), (1, 1)])
def test_packed_weights_lie_as_the_gates_do(hidden, size, dtype, monkeypatch):
    weights_ = [torch.randn(4 * hidden, size, dtype=dtype) for _ in range(2)]
    units, inputs = packing.padded(hidden, dtype), packing.padded(size, dtype)
    rows = [packing.gates_first(w, units) for w in weights_]  # (units / lanes, 4, lanes, K)
    forth = torch.stack([packing.pad(w, *w.shape[:3], inputs) for w in rows]).movedim(-1, 2)
    wide = [packing.pad(w.reshape(4 * units, -1), 4 * units, inputs) for w in rows]
    back = torch.stack(wide).unflatten(2, (inputs // packing.columns(dtype), -1)).transpose(1, 2)

    def used(self, *shape):  # what was there before is seen
        return torch.full(shape, torch.nan, dtype=self.dtype)

    monkeypatch.setattr(torch.Tensor, "new_empty", used)
    assert torch.equal(packing.packed(weights_, units, inputs), forth.flatten(3))
    assert torch.equal(packing.packed_back(weights_, units, inputs), back)


def test_a_training_has_the_same_history(corpus, monkeypatch):
    chosen = Settings("demo-reviews", "lstm", embedding_size=20, hidden=70, batch_size=64, epochs=3)
    outcomes = []
    for share in (2.0, -1.0):
        monkeypatch.setattr(sparse, "SHARE", share)
        model = models.build(chosen, len(corpus.vocabulary), 1)
        first = models.draw(model, 0)
        generator = torch.Generator().manual_seed(1)
        mask = {
            name: torch.rand(weight.shape, generator=generator) < 0.2
            for name, weight in prunable(first).items()
        }
        mask["embedding.weight"] = torch.ones_like(first["embedding.weight"], dtype=torch.bool)
        ticket = Ticket({n: w * mask.get(n, True) for n, w in first.items()}, mask)
        outcomes.append(train(model, ticket, corpus, chosen))
        assert bool(model.kept[0].round_) == bool(model.kept[0].into) == (share > 0)
        four = [f"lstm.weight_{kind}_l0{way}" for way in ("", "_reverse") for kind in ("ih", "hh")]
        assert list(model.sparse) == (four if share > 0 else [])
    one, other = outcomes
    figures = [[(e.train_loss, e.valid_loss) for e in o.history] for o in outcomes]
    assert np.allclose(*figures, rtol=0, atol=1e-4)  # rounding, grown by Adam for three epochs
    assert one.test_loss == pytest.approx(other.test_loss, abs=1e-4)


def test_patterns_of_other_weights_are_refused():
    table, index, offsets = batch([3, 4], 6, 5)
    kept = patterns(prune(network(5, 8), 0.3), table.dtype)
    two = network(5, 8, layers=2)
    for other, words in [
        (network(5, 8, dtype=torch.float64), table.detach().double()),
        (network(5, 12), table),
        (two, table),
    ]:
        with pytest.raises(ValueError, match=r"kept is of weights of other|argument 2 is shorter"):
            lstm_pooled(words, index, offsets, weights(other), "max", kept)
