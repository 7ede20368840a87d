from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery.kernels import convolution
from lottery.kernels.convolution import conv_max, conv_max_layers

WIDTHS = 3, 4, 5


def problem(lengths, words=30, size=12, filters=7, seed=0, dtype=torch.float32, widths=WIDTHS):
    draw = torch.Generator().manual_seed(seed)
    normal = {"generator": draw, "dtype": dtype}
    return (
        torch.randn(words, size, **normal).requires_grad_(),
        torch.randint(words, (sum(lengths),), generator=draw, dtype=torch.int32),
        torch.tensor([0, *np.cumsum(lengths)]),
        [torch.randn(filters, size, width, **normal).requires_grad_() for width in widths],
        [torch.randn(filters, **normal).requires_grad_() for _ in widths],
    )


def gradients(function, table, index, offsets, weights, biases):
    pooled = function(table, index, offsets, weights, biases)
    slope = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1)).to(pooled)
    return pooled, *torch.autograd.grad(pooled, [table, *weights, *biases], slope)


def text_by_text(table, index, offsets, weights, biases):
    """Equations 1 to 3 of Kim 2014 with nn.Conv1d's function, one text at a time."""
    rows = []
    for first, last in itertools.pairwise(offsets):
        words = table[index[first:last].long()].T
        row = []
        for weight, bias in zip(weights, biases, strict=True):
            missing = max(weight.shape[2] - words.shape[1], 0)
            padded = torch.nn.functional.pad(words, (0, missing))
            row.append(torch.nn.functional.conv1d(padded, weight, bias).relu().amax(1))
        rows.append(torch.cat(row))
    return torch.stack(rows)


def assert_all_close(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        scale = other.abs().max().clamp(min=1e-3)
        torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=1e-5)


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 9) | st.integers(1, 60), min_size=1, max_size=12),
    st.integers(1, 40),
    st.sampled_from([conv_max, conv_max_layers]),
)
def test_outputs_and_gradients_are_those_of_torch_layers(lengths, words, function):
    given_ = problem(lengths, words=words, seed=len(lengths))
    assert_all_close(gradients(function, *given_), gradients(text_by_text, *given_))


@pytest.mark.parametrize(
    ("lengths", "shape"),
    [
        ([1], {}),
        ([2] * 3, {"filters": 1, "size": 1}),
        ([1, 400, 2, 37] * 75, {"words": 500}),  # more words than one block of rows
        ([3, 1, 8], {"widths": (1, 2, 9)}),
        ([30, 40], {"filters": 100, "size": 100, "words": 192}),
        ([1, 50, 4], {"filters": 33}),  # some together, and one that is left
    ],
)
@pytest.mark.parametrize("function", [conv_max, conv_max_layers])
def test_shapes_at_the_edges(lengths, shape, function):
    given_ = problem(lengths, **shape)
    assert_all_close(gradients(function, *given_), gradients(text_by_text, *given_))


def test_each_width_may_have_filters_of_its_own_number():
    table, index, offsets, weights, biases = problem([9, 1, 60], filters=40)
    counts = 40, 3, 17
    weights = [w.detach()[:n].requires_grad_() for w, n in zip(weights, counts, strict=True)]
    biases = [b.detach()[:n].requires_grad_() for b, n in zip(biases, counts, strict=True)]
    given_ = table, index, offsets, weights, biases
    assert_all_close(gradients(conv_max, *given_), gradients(text_by_text, *given_))


def test_gradcheck_in_double_precision():
    table, index, offsets, weights, biases = problem(
        [1, 4, 9], words=6, size=3, filters=2, dtype=torch.float64
    )

    def pooled(table, *parameters):
        return conv_max(table, index, offsets, parameters[:3], parameters[3:])

    assert torch.autograd.gradcheck(pooled, (table, *weights, *biases))


@settings(max_examples=20)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=9), st.data())
def test_a_text_gives_the_same_bits_alone_and_in_any_batch(lengths, data):
    table, index, offsets, weights, biases = problem(lengths, words=400, size=20)
    with torch.no_grad():
        table[::30] = 0  # few in the batch, and in one text perhaps enough to go apart
    together = conv_max(table, index, offsets, weights, biases)
    text = data.draw(st.integers(0, len(lengths) - 1))
    own = index[offsets[text] : offsets[text + 1]]
    words, alone = own.unique(return_inverse=True)
    bounds = torch.tensor([0, len(own)])
    result = conv_max(table[words.long()], alone.int(), bounds, weights, biases)
    assert torch.equal(result[0], together[text])


def test_threads_and_repetition_leave_every_bit():
    given_ = problem([1, 2, 30, 300] * 20, words=700, size=33, filters=20)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            results += [gradients(conv_max, *given_) for _ in range(2)]
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("length", [6, 7])
def test_of_equal_windows_the_first_one_carries_the_gradient(length):
    table = torch.ones(length, 2, requires_grad=True)
    index, offsets = torch.arange(length, dtype=torch.int32), torch.tensor([0, length])
    conv_max(table, index, offsets, [torch.ones(1, 2, 3)], [torch.zeros(1)]).sum().backward()
    assert table.grad[:, 0].tolist() == [1, 1, 1] + [0] * (length - 3)


def test_a_short_text_is_followed_by_zeros_and_a_long_one_is_not():
    table, weight = torch.tensor([[-1.0]]), torch.ones(1, 1, 3)
    index = torch.zeros(6, dtype=torch.int32)
    offsets = torch.tensor([0, 2, 6])
    bias = torch.tensor([2.5])
    for function in (conv_max, conv_max_layers):
        # 2.5 - 1 - 1 + 0, and 2.5 - 3 cut off by the relu: no window reaches into zeros
        assert function(table, index, offsets, [weight], [bias]).tolist() == [[0.5], [0.0]]


def test_evaluation_gives_the_same_and_keeps_nothing():
    given_ = problem([5, 9, 1])
    learnt = conv_max(*given_)
    with torch.no_grad():
        read = conv_max(*given_)
    assert torch.equal(learnt, read)
    assert read.grad_fn is None


@pytest.mark.parametrize("bounds", [(0, 2, 2, 6), (0, 6, 6), (0, 9), (-1, 6), (4, 2, 6)])
def test_offsets_of_other_texts_are_refused(bounds):
    table, index, _, *parameters = problem([6])
    with pytest.raises(ValueError, match="within the 6 tokens"):
        conv_max(table, index, torch.tensor(bounds), *parameters)


@pytest.mark.parametrize("bad", [-1, 30])
def test_an_index_outside_the_table_is_refused(bad):
    table, index, offsets, *parameters = problem([6])
    index[3] = bad
    with pytest.raises(ValueError, match=r"index must lie in 0\.\.29"):
        conv_max(table, index, offsets, *parameters)


def test_types_do_not_mix():
    table, index, offsets, *parameters = problem([6])
    with pytest.raises(ValueError, match="as the table is"):
        conv_max(table.double(), index, offsets, *parameters)


def test_no_text_has_no_gradient():
    table, _, _, *parameters = problem([6])
    nothing = torch.zeros(0, dtype=torch.int32), torch.zeros(1, dtype=torch.int64)
    pooled, *slopes = gradients(conv_max, table, *nothing, *parameters)
    assert pooled.shape == (0, 21) and all((slope == 0).all() for slope in slopes)


@pytest.mark.parametrize("threads", [3, 5, 40])
def test_shares_of_any_number_of_threads_give_the_same_bits(threads, monkeypatch):
    given_ = problem([1, 2, 30, 300] * 3, words=200, size=33, filters=20)
    usual = gradients(conv_max, *given_)
    monkeypatch.setattr(convolution, "get_num_threads", lambda: threads)
    for one, two in zip(usual, gradients(conv_max, *given_), strict=True):
        assert torch.equal(one, two)


def test_weights_that_are_no_number_are_seen():
    table, index, offsets, weights, biases = problem([5, 9, 1])
    with torch.no_grad():
        weights[1][0] = torch.nan
        assert conv_max(table, index, offsets, weights, biases)[:, 7].isnan().all()
