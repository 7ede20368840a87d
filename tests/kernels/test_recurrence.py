"""The LSTM's kernel against torch.nn.LSTM on packed sequences, and its promises about bits."""

from __future__ import annotations

from functools import partial

import numba
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from lottery.kernels.recurrence import STATES, lstm_pooled, run

HOW = ("max", "mean", "last")
lstm = partial(run, how=STATES)  # the state of every token


def network(features, units, layers=1, directions=2, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return torch.nn.LSTM(features, units, layers, bidirectional=directions == 2, dtype=dtype)


def weights(net):
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ends = ("", "_reverse") if net.bidirectional else ("",)
    return [
        [[getattr(net, f"{name}_l{layer}{end}") for name in names] for end in ends]
        for layer in range(net.num_layers)
    ]


def batch(lengths, words, features, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(lengths)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    shape = (int(offsets[-1]),)
    index = torch.randint(words, shape, dtype=torch.int32, generator=generator)
    table = torch.randn(words, features, dtype=dtype, generator=generator)
    return table.requires_grad_(), index, offsets


def torch_states(table, index, offsets, net):
    lengths = offsets.diff().tolist()
    packed = pack_sequence(table[index.long()].split(lengths), enforce_sorted=False)
    states, _ = pad_packed_sequence(net(packed)[0], batch_first=True)
    return torch.cat([text[:length] for text, length in zip(states, lengths, strict=True)])


def torch_pooled(states, offsets, how, directions):
    rows = []
    for text in states.split(offsets.diff().tolist()):
        ends = text.unflatten(1, (directions, -1))
        last = torch.cat([ends[-1, 0], *ends[0, 1:]])
        rows.append({"max": text.amax(0), "mean": text.mean(0), "last": last}[how])
    return torch.stack(rows)


def gradients(result: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Of the result's product with fixed random numbers."""
    direction = torch.randn(result.shape, generator=torch.Generator().manual_seed(1)).to(result)
    return list(torch.autograd.grad((result * direction).sum(), inputs, retain_graph=True))


def close(ours: Tensor, theirs: Tensor, scale: float = 0.0) -> None:
    """Within 1e-5 (float64: 1e-12) of the norm and of the largest element.

    scale: the size of what was summed, where sums may cancel and leave less than their rounding.
    """
    relative = {torch.float32: 1e-5, torch.float64: 1e-12}[theirs.dtype]
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert torch.isfinite(ours).all()
    assert (ours - theirs).norm() <= relative * (theirs.norm() + 0.1 * scale)
    bound = theirs.abs() + theirs.abs().amax() + 0.1 * scale
    assert ((ours - theirs).abs() <= relative * bound).all()


def all_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    scale = max(float(tensor.norm()) for tensor in theirs)
    for mine, other in zip(ours, theirs, strict=True):
        close(mine, other, scale)


def compare(lengths, words, features, units, layers, directions, dtype, seed=0):
    net = network(features, units, layers, directions, dtype, seed)
    table, index, offsets = batch(lengths, words, features, dtype, seed)
    inputs = [table, *net.parameters()]
    ours = lstm(table, index, offsets, weights(net))
    theirs = torch_states(table, index, offsets, net)
    close(ours, theirs)
    all_close(gradients(ours, inputs), gradients(theirs, inputs))
    with torch.no_grad():
        assert torch.equal(lstm(table, index, offsets, weights(net)), ours)


@settings(max_examples=40)
@given(
    lengths=st.lists(st.one_of(st.just(1), st.integers(1, 9), st.integers(30, 60)), min_size=1,
                     max_size=9),
    words=st.integers(1, 40),
    features=st.sampled_from([1, 5, 64, 100]),
    units=st.sampled_from([1, 7, 64, 70]),
    layers=st.integers(1, 2),
    directions=st.integers(1, 2),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_states_and_gradients_are_torchs(
    lengths, words, features, units, layers, directions, dtype, seed
):
    compare(lengths, words, features, units, layers, directions, dtype, seed)


@pytest.mark.parametrize(
    "lengths",
    [[1], [400], [1] * 64, [1, 400, 3, 200, 2], [1 + k * k % 23 for k in range(300)]],
    ids=["one token", "one text", "texts of one token", "very different", "300 texts"],
)
def test_odd_batches(lengths):
    compare(lengths, 50, 20, 128, 1, 2, torch.float32)


def test_more_words_than_fit_one_piece_and_unused_ones():
    compare([30, 40, 50], 700, 100, 64, 1, 2, torch.float32)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("directions", [1, 2])
def test_gradcheck(layers, directions):
    net = network(3, 2, layers, directions, torch.float64)
    table, index, offsets = batch([1, 4, 2], 4, 3, torch.float64)
    inputs = [table, *net.parameters()]
    per = 4 * directions

    def grouped(flat):
        return [
            [flat[at : at + 4] for at in range(start, start + per, 4)]
            for start in range(0, layers * per, per)
        ]

    for how in (None, *HOW):

        def function(table, *flat, how=how):
            arguments = table, index, offsets, grouped(flat)
            return lstm(*arguments) if how is None else lstm_pooled(*arguments, how)

        # fast: along random directions; element by element once is enough
        fast = (how, layers, directions) != ("max", 1, 2)
        assert torch.autograd.gradcheck(function, inputs, fast_mode=fast)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("units", [7, 64])
def test_pooling(how, directions, units):
    """The fused path against the states pooled by torch."""
    net = network(6, units, 2, directions)
    table, index, offsets = batch([3, 1, 17, 40, 1, 5], 30, 6)
    inputs = [table, *net.parameters()]
    states = lstm(table, index, offsets, weights(net))
    pooled = torch_pooled(states, offsets, how, directions)
    fused = lstm_pooled(table, index, offsets, weights(net), how)
    close(fused, pooled)
    if how != "mean":
        assert torch.equal(fused, pooled)
    all_close(gradients(fused, inputs), gradients(pooled, inputs))
    with torch.no_grad():
        assert torch.equal(lstm_pooled(table, index, offsets, weights(net), how), fused)


def test_equal_maxima_are_settled_alike():
    """Zero weights: every state is zero, and the walk's first one gets the gradient."""
    net = network(3, 4)
    table = torch.ones(1, 3, requires_grad=True)
    index, offsets = torch.zeros(5, dtype=torch.int32), torch.tensor([0, 5])
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    inputs = [table, *net.parameters()]
    fused = gradients(lstm_pooled(table, index, offsets, weights(net), "max"), inputs)
    states = lstm(table, index, offsets, weights(net))
    first = torch.cat([states[0, :4], states[4, 4:]])[None]
    all_close(fused, gradients(first, inputs))


def test_a_text_alone_has_the_same_bits():
    net = network(100, 128)
    lengths = [1, 90, 7, 33, 2, 90, 15] * 10
    table, index, offsets = batch(lengths, 300, 100)
    with torch.no_grad():
        together = lstm(table, index, offsets, weights(net))
        pooled = lstm_pooled(table, index, offsets, weights(net), "max")
        for text in (0, 1, 12, 69):
            first, last = offsets[text], offsets[text + 1]
            words, own = index[first:last].unique(return_inverse=True)
            alone = (table[words], own.to(torch.int32), torch.tensor([0, last - first]))
            assert torch.equal(lstm(*alone, weights(net)), together[first:last])
            assert torch.equal(lstm_pooled(*alone, weights(net), "max")[0], pooled[text])


@pytest.mark.parametrize("how", [None, "max"])
def test_bits_do_not_depend_on_threads_or_repetition(how):
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    net = network(100, 128, layers=2)
    table, index, offsets = batch([1 + 7 * k % 61 for k in range(100)], 500, 100)
    inputs = [table, *net.parameters()]

    def run():
        arguments = table, index, offsets, weights(net)
        result = lstm(*arguments) if how is None else lstm_pooled(*arguments, how)
        return [result, *gradients(result, inputs)]

    before = numba.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 2, 1):
            numba.set_num_threads(threads)
            runs.append(run())
    finally:
        numba.set_num_threads(before)
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))


def test_saved_buffers_are_not_shared_by_two_graphs():
    """Buffers are lent again only once a graph has been used up."""
    net = network(5, 8)
    batches = [batch(lengths, 9, 5, seed=k) for k, lengths in enumerate([[9, 30], [30, 9], [20]])]
    expected = [
        gradients(torch_states(*arguments, net), list(net.parameters())) for arguments in batches
    ]
    results = [lstm(*arguments, weights(net)) for arguments in batches]
    for _ in range(2):  # `gradients` keeps the graphs
        for result, wanted in zip(results, expected, strict=True):
            all_close(gradients(result, list(net.parameters())), wanted)


def test_extreme_inputs_saturate_and_nan_shows():
    net = network(2, 3)
    table, index, offsets = batch([4, 2], 3, 2)
    large = table.detach() * 1e6
    close(lstm(large, index, offsets, weights(net)), torch_states(large, index, offsets, net))
    broken = table.detach().clone()
    broken[index[0]] = torch.nan
    assert lstm(broken, index, offsets, weights(net))[0].isnan().all()
    assert lstm_pooled(broken, index, offsets, weights(net), "max")[0, :3].isnan().all()


def test_only_what_is_asked_for_gets_a_gradient():
    net = network(5, 8)
    table, index, offsets = batch([3, 4], 6, 5)
    wanted = [net.weight_hh_l0, net.bias_ih_l0_reverse]
    full = gradients(lstm(table, index, offsets, weights(net)), wanted)
    some = gradients(lstm(table.detach(), index, offsets, weights(net)), wanted)
    assert all(torch.equal(a, b) for a, b in zip(full, some, strict=True))


def bad_arguments():
    net = network(5, 8)
    table, index, offsets = batch([3, 4], 6, 5)
    layers = weights(net)
    long = [[layers[0][0], [*layers[0][1][:3], torch.zeros(31)]]]
    double = [[[weight.double() for weight in layers[0][0]]]]
    return {
        "empty text": ((table, index, torch.tensor([0, 3, 3, 7]), layers), "every text"),
        "tokens left over": ((table, index, torch.tensor([0, 3, 6]), layers), "offsets"),
        "no text": ((table, index[:0], torch.tensor([0]), layers), "text"),
        "offsets int32": ((table, index, offsets.int(), layers), "int64"),
        "index int64": ((table, index.long(), offsets, layers), "int32"),
        "index too large": ((table, index + 6, offsets, layers), "0..5"),
        "index negative": ((table, index - 6, offsets, layers), "0..5"),
        "half table": ((table.half(), index, offsets, layers), "float32 or torch.float64"),
        "flat table": ((table[0], index, offsets, layers), "table"),
        "wrong width": ((table[:, :4], index, offsets, layers), "w_ih"),
        "wrong bias": ((table, index, offsets, long), "b_hh"),
        "other type": ((table, index, offsets, double), "torch.float32"),
        "no layers": ((table, index, offsets, []), "layer"),
        "three directions": ((table, index, offsets, [layers[0] + layers[0][:1]]), "directions"),
    }


@pytest.mark.parametrize("case", bad_arguments())
def test_bad_arguments(case):
    arguments, words = bad_arguments()[case]
    with pytest.raises(ValueError, match=words) as error:
        lstm(*arguments)
    assert "\n" not in str(error.value)


def test_bad_pooling():
    table, index, offsets = batch([3, 4], 6, 5)
    with pytest.raises(ValueError, match="max, mean, last"):
        lstm_pooled(table, index, offsets, weights(network(5, 8)), "sum")
