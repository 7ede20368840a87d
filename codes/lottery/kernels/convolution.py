"""Convolution over words and max over time (Kim 2014), on flat texts without padding.

A filter of width w is w word-sized taps, and a tap's product with a word does not depend on the
window. So each different word of a batch is multiplied by each tap once, its zeros left out, and a
window's response is the sum of w looked-up rows. Only one window of each text and filter wins and
carries a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numba import get_num_threads, njit, prange
from torch import Tensor
from torch.nn import functional

from lottery.kernels.buffers import buffers
from lottery.kernels.projection import arrange, multiply_rows
from lottery.kernels.vectors import add_times, columns, lanes_of
from lottery.kernels.windows import best_window, together, together_of


def conv_max(
    table: Tensor,
    index: Tensor,
    offsets: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
) -> Tensor:
    """For each text and filter: relu(max over windows of bias + sum_k w[:, k] . word[t + k]).

    Kim (2014), "Convolutional Neural Networks for Sentence Classification", equations 1 to 3.
    A text shorter than a filter has one window: the text and zeros after it. A longer text is not
    padded. Of equal windows the first one wins.

    table: (U, E) word vectors; index: int32 (T,) row of `table` of every token; offsets: int64
    (B+1,), text i is index[offsets[i]:offsets[i+1]] and not empty; weights: for each width w a
    (filters, E, w), as in nn.Conv1d; biases: for each width a (filters,).
    Returns (B, sum of filters), widths side by side. All float32 or all float64. On the CPU
    ValueError for mixed types, offsets of other texts, and an index outside the table.
    """
    if table.device.type == "cpu":
        parameters = [*weights, *biases]
        if not torch.is_grad_enabled():  # a Function sees who requires a gradient, not the mode
            table, *parameters = (tensor.detach() for tensor in (table, *parameters))
        return _ConvMax.apply(table, index, offsets, *parameters)
    return conv_max_layers(table, index, offsets, weights, biases)


def conv_max_layers(
    table: Tensor,
    index: Tensor,
    offsets: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
) -> Tensor:
    """`conv_max` of torch's layers on a padded batch, for any device."""
    lengths = offsets.diff()
    longest = max(int(lengths.max()), *(weight.shape[2] for weight in weights))
    places = torch.arange(longest, device=table.device)
    there = places < lengths[:, None]
    token = (offsets[:-1, None] + places).clamp(max=len(index) - 1)
    nothing = len(table)  # a row of zeros after the words, for the places past a text's end
    row = index[token].masked_fill(~there, nothing)
    table = functional.pad(table, (0, 0, 0, 1))
    words = functional.embedding(row, table, padding_idx=nothing).transpose(1, 2)  # (B, E, longest)
    pooled = []
    for weight, bias in zip(weights, biases, strict=True):
        response = functional.conv1d(words, weight, bias)
        windows = (lengths - weight.shape[2]).clamp(min=0) + 1
        past = places[: response.shape[2]] >= windows[:, None]
        pooled.append(response.masked_fill(past[:, None], -torch.inf).amax(2))
    return torch.cat(pooled, 1).relu()


class _ConvMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, index, offsets, *parameters):
        weights = parameters[: len(parameters) // 2]
        learning = any(ctx.needs_input_grad)
        if any(part.dtype != table.dtype for part in parameters):
            raise ValueError(f"weights and biases must be {table.dtype}, as the table is")
        words, places, bounds = _arrays(table, index, offsets)
        if len(places) and not 0 <= places.min() <= places.max() < len(words):
            raise ValueError(f"index must lie in 0..{len(words) - 1}, the rows of the table")
        if (bounds[1:] <= bounds[:-1]).any() or bounds[0] < 0 or bounds[-1] > len(places):
            raise ValueError(f"offsets must rise, text by text, within the {len(places)} tokens")
        filters, widths, across = _layout(_shapes(weights), table.dtype)
        shape = len(bounds) - 1, int(filters.sum())
        pooled = np.empty(shape, words.dtype)
        winners = np.empty(shape if learning else (0, shape[1]), np.int32)
        rows = arrange(words)
        whole = words if len(rows.whole) == len(words) else words[rows.whole]
        most, size = int(across.max()), words.shape[1]
        threads = min(get_num_threads(), len(across))
        room = (len(rows.whole) + len(rows.some) + 2 + size) * most
        lent = buffers.lend(threads * room, table.dtype).numpy()
        given = np.concatenate([part.detach().numpy().reshape(-1) for part in parameters])
        _respond(whole.reshape(-1), words.reshape(-1), rows.some, rows.counts,
                 rows.features.reshape(-1), size, given, across, lent, threads,
                 rows.places[places], bounds, widths, filters, pooled, winners)  # fmt: skip
        pooled = torch.from_numpy(pooled)
        if learning:
            ctx.winners = winners
            given = torch.from_numpy(given)  # weights: for their shapes, and lest they changed
            ctx.save_for_backward(table, index, offsets, pooled, given, *weights)
        return pooled

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        table, index, offsets, pooled, given, *weights = ctx.saved_tensors
        words, places, bounds = _arrays(table, index, offsets)
        filters, widths, _ = _layout(_shapes(weights), table.dtype)
        dwords, dgiven = np.empty_like(words), torch.empty_like(given)
        dweights, dbiases = np.split(dgiven.numpy(), [-pooled.shape[1]])
        slope = _through_relu(grad.contiguous().numpy(), pooled.numpy(), dbiases)
        _spread(slope, ctx.winners, words.reshape(-1), words.shape[1], places, bounds, widths,
                filters, given.numpy()[: len(dweights)], max(get_num_threads(), 2),
                dwords.reshape(-1), dweights)  # fmt: skip
        parts = dgiven.split([*(weight.numel() for weight in weights), *filters.tolist()])
        shaped = [part.view_as(weight) for part, weight in zip(parts, weights, strict=False)]
        return torch.from_numpy(dwords), None, None, *shaped, *parts[len(weights) :]


def _arrays(table: Tensor, index: Tensor, offsets: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(part.detach().contiguous().numpy() for part in (table, index, offsets))


def _shapes(weights: Sequence[Tensor]) -> tuple[tuple[int, int], ...]:
    return tuple((len(weight), weight.shape[2]) for weight in weights)


@lru_cache
def _layout(shapes: tuple[tuple[int, int], ...], dtype: torch.dtype) -> tuple[np.ndarray, ...]:
    """Filters of each width, the widths, and the columns of each block: the taps of the filters
    that go `together`, up to a whole tile."""
    filters, widths = np.array(shapes).T.copy()
    step, tile = together(dtype.itemsize), columns(dtype)
    firsts = np.arange(0, filters.max(), step)[:, None]
    taps = ((filters - firsts).clip(0, step) * widths).sum(1)
    return filters, widths, -(-taps // tile) * tile


@njit(cache=True, nogil=True)
def _pack(given, size, block, step, widths, filters, tile, across, out, o0):
    """The block's matrix (across / tile, size, tile) at o0 of `out`: width by width, tap by
    tap, then zeros. given: (filters, size, width) of each width, flat, one after the other."""
    out[o0 : o0 + across * size] = 0
    start, place = 0, 0
    for width, count in zip(widths, filters):  # noqa: B905 (Numba knows no strict)
        here = min(step, count - block * step)
        for f in range(here):
            source = start + (block * step + f) * size * width
            for tap in range(width):
                column = place + tap * here + f
                sink = o0 + column // tile * size * tile + column % tile
                for e in range(size):
                    out[sink + e * tile] = given[source + e * width + tap]
        place += width * max(here, 0)
        start += count * size * width


@njit(parallel=True, cache=True, nogil=True)
def _respond(whole, rest, some, counts, features, size, given, across, lent, threads,
             index, offsets, widths, filters, pooled, winners):  # fmt: skip
    """Pool each text's responses to all filters; note the winners if there is room.

    A block of filters at a time, so that its products (rows, columns) stay in the cache nearest to
    the thread. Blocks are dealt to `threads` in turn, for the last one may be small. given: weights
    as `_pack` takes them, then the biases.
    """
    step, tile = together_of(pooled), 4 * lanes_of(pooled)
    room = len(lent) // threads
    biases = len(given) - filters.sum()
    for thread in prange(threads):
        best, winner = np.empty(step, pooled.dtype), np.empty(step, np.int32)
        bias = np.zeros(step, pooled.dtype)
        for block in range(thread, len(across), threads):
            taps, width_ = thread * room, across[block]
            own = taps + width_ * size
            _pack(given, size, block, step, widths, filters, tile, width_, lent, taps)
            multiply_rows(whole, rest, some, counts, features, size,
                          lent, taps, width_, lent, own)  # fmt: skip
            start = block * step  # of this width's filters among all
            for width, count in zip(widths, filters):  # noqa: B905
                here = min(step, count - block * step)
                for f in range(here):
                    bias[f] = given[biases + start + f]
                for text in range(len(offsets) - 1 if here > 0 else 0):
                    begin, end = offsets[text], offsets[text + 1]
                    used = min(width, end - begin)
                    best_window(lent, own, width_, here, used, index, begin, end - used + 1,
                                bias, best, winner)  # fmt: skip
                    for f in range(here):
                        pooled[text, start + f] = 0 if best[f] <= 0 else best[f]
                    if len(winners):
                        winners[text, start : start + here] = winner[:here]
                own += width * max(here, 0)
                start += count


@njit(cache=True, nogil=True)
def _through_relu(grad, pooled, dbiases):
    """The gradient (B, filters), zero where ReLU is shut; dbiases (filters,) = its sum."""
    slope = np.empty_like(grad)
    dbiases[:] = 0
    for text in range(len(grad)):
        for f in range(grad.shape[1]):
            slope[text, f] = 0 if pooled[text, f] <= 0 else grad[text, f]
            dbiases[f] += slope[text, f]
    return slope


@njit(cache=True, nogil=True)
def _turned(source, sink):
    """sink (columns, rows) = source (rows, columns) the other way round."""
    for row in range(source.shape[0]):
        for column in range(source.shape[1]):
            sink[column, row] = source[row, column]


@njit(cache=True, nogil=True)
def _to_words(slope, winners, index, offsets, widths, filters, taps, size, dwords):
    """dwords (U, E), flat, = what the winning windows send back to their words."""
    dwords[:] = 0
    first, start = 0, 0
    for width, count in zip(widths, filters):  # noqa: B905 (Numba knows no strict)
        for text in range(len(slope)):
            for f in range(count):
                g = slope[text, first + f]
                window = winners[text, first + f]
                there = min(width, offsets[text + 1] - window) if g != 0 else 0
                for tap in range(there):
                    place = start + (f * width + tap) * size
                    add_times(size, dwords, index[window + tap] * size, taps, place, g)
        first += count
        start += count * size * width


@njit(cache=True, nogil=True)
def _to_taps(slope, winners, words, index, offsets, width, size, own, dtaps):
    """dtaps (width, E), zero before: what the windows of filter `own` send to its taps."""
    for text in range(len(slope)):
        g = slope[text, own]
        window = winners[text, own]
        there = min(width, offsets[text + 1] - window) if g != 0 else 0
        for tap in range(there):
            add_times(size, dtaps, tap * size, words, index[window + tap] * size, g)


@njit(parallel=True, cache=True, nogil=True)
def _spread(slope, winners, words, size, index, offsets, widths, filters, weights, threads,
            dwords, dweights):  # fmt: skip
    """What the winning windows send back to the words and to the weights.

    slope and winners (B, all filters); words and dwords (U, E = size); weights and dweights:
    (filters, E, width) of each width, one after the other; these four are flat. The first thread
    has the words, which all texts write to; the others share the filters.
    """
    taps = np.empty_like(weights)  # (filters, width, E): a tap's weights side by side
    starts, owns = np.empty(filters.sum(), np.int64), np.empty(filters.sum(), np.int64)
    own, start = 0, 0
    for width, count in zip(widths, filters):  # noqa: B905
        for _ in range(count):
            starts[own], owns[own] = start, width
            own += 1
            start += size * width
    for own in prange(len(starts)):
        here = slice(starts[own], starts[own] + size * owns[own])
        _turned(weights[here].reshape(size, -1), taps[here].reshape(-1, size))
    for thread in prange(threads):
        if thread == 0:
            _to_words(slope, winners, index, offsets, widths, filters, taps, size, dwords)
        else:
            for own in range(thread - 1, len(starts), threads - 1):
                dtaps = np.zeros(owns[own] * size, weights.dtype)
                _to_taps(slope, winners, words, index, offsets, owns[own], size, own, dtaps)
                sink = dweights[starts[own] : starts[own] + dtaps.size]
                _turned(dtaps.reshape(-1, size), sink.reshape(size, -1))
