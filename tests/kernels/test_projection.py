"""Rows with zeros: the same bits as rows multiplied whole, and every row in its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery.kernels import projection
from lottery.kernels.convolution import conv_max
from lottery.kernels.projection import arrange, multiply_rows
from lottery.kernels.vectors import columns


def table_of(rows, size, density, empty, dtype, seed):
    """A table of which some features, and some rows, are zero."""
    random = np.random.default_rng(seed)
    table = random.standard_normal((rows, size)).astype(dtype)
    table[random.random(table.shape) >= density] = 0
    table[random.random(rows) < empty] = 0
    return table


def product(table, width, seed):
    """The rows' places, and the product with weights of `width` columns or a few more."""
    side = columns(torch.from_numpy(table).dtype)
    weights = np.random.default_rng(seed).standard_normal((width, table.shape[1], side))
    rows = arrange(table)
    out = np.full((len(rows.whole) + len(rows.some) + 1, width * side), np.nan, table.dtype)
    flat = weights.astype(table.dtype)
    multiply_rows(table[rows.whole].reshape(-1), table.reshape(-1), rows.some, rows.counts,
                  rows.features.reshape(-1), table.shape[1], flat.reshape(-1), 0, out.shape[1],
                  out.reshape(-1), 0)  # fmt: skip
    return rows, out[rows.places], flat.transpose(1, 0, 2).reshape(table.shape[1], -1)


@settings(max_examples=80)
@given(
    rows=st.integers(1, 250),
    size=st.sampled_from([1, 2, 7, 100]),
    width=st.integers(1, 3),
    density=st.sampled_from([0.0, 0.02, 0.2, 0.6, 0.9, 1.0]),
    empty=st.sampled_from([0.0, 0.4, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 1000),
)
def test_bits_are_those_of_whole_rows(rows, size, width, density, empty, dtype, seed):
    table = table_of(rows, size, density, empty, dtype, seed)
    found, ours, weights = product(table, width, seed)
    kept = projection.SHARE
    try:
        projection.SHARE = -1.0  # every row is multiplied whole
        whole, theirs, _ = product(table, width, seed)
    finally:
        projection.SHARE = kept
    assert len(whole.whole) == rows
    assert np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, table.astype(np.float64) @ weights, rtol=0, atol=1e-4)
    apart = ((table != 0).sum(1) <= int(kept * size)).sum()
    expected = table.any(1).nonzero()[0] if apart > int(projection.FEW * rows) else np.arange(rows)
    assert sorted([*found.whole, *found.some]) == expected.tolist()


def test_the_rule_looks_at_a_row_and_at_how_many_are_like_it():
    table = np.ones((4, 10), np.float32)
    table[1, 3:] = 0  # 3 of 10
    table[2, 4:] = 0  # 4 of 10
    table[3] = 0
    rows = arrange(table)
    assert rows.whole.tolist() == [0, 2] and rows.some.tolist() == [1]
    assert rows.places.tolist() == [0, 2, 1, 3]


def test_few_rows_with_zeros_are_multiplied_with_the_others():
    table = np.ones((40, 10), np.float32)
    table[[3, 20]] = 0  # a twentieth
    rows = arrange(table)
    assert rows.whole.tolist() == rows.places.tolist() == list(range(40)) and not len(rows.some)
    table[7, 1:] = 0
    rows = arrange(table)
    assert len(rows.whole) == 37 and rows.some.tolist() == [7]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_not_lost(bad):
    table = np.zeros((3, 8), np.float32)
    table[1, 5] = bad
    _, out, _ = product(table, 1, 0)
    assert not np.isfinite(out[1]).any() and (out[[0, 2]] == 0).all()


def test_a_convolution_of_pruned_words_has_the_same_bits(monkeypatch):
    random = np.random.default_rng(0)
    table = torch.from_numpy(table_of(120, 30, 0.2, 0.3, np.float32, 0)).requires_grad_()
    lengths = random.integers(1, 40, 20)
    offsets = torch.from_numpy(np.append(0, np.cumsum(lengths)))
    index = torch.from_numpy(random.integers(0, 120, lengths.sum()).astype(np.int32))
    weights = [torch.randn(9, 30, width, requires_grad=True) for width in (3, 4, 5)]
    biases = [torch.randn(9, requires_grad=True) for _ in weights]
    found = []
    for share in (projection.SHARE, -1.0):
        monkeypatch.setattr(projection, "SHARE", share)
        out = conv_max(table, index, offsets, weights, biases)
        inputs = [table, *weights, *biases]
        found.append([out, *torch.autograd.grad(out, inputs, torch.ones_like(out))])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))
