"""Answers of a pruned LSTM: those of the dense kernels to the bit, in every batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.test_recurrence import HOW, batch, network, weights
from kernels.test_sparse import prune
from lottery.kernels.recurrence import _alike, lstm_pooled, patterns

SIZES = (
    1,
    2,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    65,
    130,
    257,
)  # vectors and chunks that are full, and others


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answers_have_the_bits_of_the_dense_kernels_and_of_training(how, dtype):
    net = network(20, 70, dtype=dtype)
    kept = patterns(prune(net, 0.125), dtype)
    assert kept[0].round_.least > 1, "texts that live on alone are handed over"
    for size in SIZES:
        lengths = [1 + 11 * k % 37 for k in range(size)]
        arguments = *batch(lengths, 90, 20, dtype, size), weights(net), how
        training = lstm_pooled(*arguments, kept)
        with torch.no_grad():
            answers = lstm_pooled(*arguments, kept)
            assert torch.equal(answers, lstm_pooled(*arguments))
        assert training.requires_grad and torch.equal(answers, training)


@pytest.mark.parametrize("how", HOW)
def test_a_text_alone_has_the_same_bits(how):
    net = network(100, 128)
    kept = patterns(prune(net, 0.125), torch.float32)
    table, index, offsets = batch([1, 90, 7, 33, 2, 90, 15] * 10, 300, 100)
    with torch.no_grad():
        together = lstm_pooled(table, index, offsets, weights(net), how, kept)
        for text in (0, 1, 12, 69):
            first, last = offsets[text], offsets[text + 1]
            words, own = index[first:last].unique(return_inverse=True)
            alone = table[words], own.to(torch.int32), torch.tensor([0, last - first])
            assert torch.equal(lstm_pooled(*alone, weights(net), how, kept)[0], together[text])


def test_nan_shows_in_its_own_text_alone():
    net = network(20, 64)
    kept = patterns(prune(net, 0.125), torch.float32)
    table, index, offsets = batch([9] * 40, 300, 20)
    table = table.detach().clone()
    alone = torch.isin(index, index[:1]).nonzero().flatten() // 9
    table[index[0]] = torch.nan
    with torch.no_grad():
        broken = lstm_pooled(table, index, offsets, weights(net), "max", kept).isnan()
    assert broken[0, :64].all(), "the first word of a text is in all states of the forward walk"
    assert set(broken.any(1).nonzero().flatten().tolist()) == set(alone.tolist())


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=90), most=st.integers(1, 40))
def test_chunks_have_texts_of_like_length(lengths, most):
    lengths = np.array(lengths)
    longest_first = np.argsort(-lengths, kind="stable")
    chunks = -(-len(lengths) // most)
    order = _alike(longest_first, chunks)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    parts = [lengths[order[k::chunks]].tolist() for k in range(chunks)]
    assert all(len(part) <= most and part == sorted(part, reverse=True) for part in parts)
    parts.sort(key=lambda part: (-part[0], -part[-1]))
    assert [length for part in parts for length in part] == lengths[longest_first].tolist()
