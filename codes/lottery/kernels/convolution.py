"""Convolution over words and max over time (Kim 2014), on flat texts without padding.

A filter of width w is w word-sized taps, and a tap's product with a word does not depend on the
window. So each different word of a batch is multiplied by each tap once, its zeros left out, and a
window's response is the sum of w looked-up rows. Only one window of each text and filter wins and
carries a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.nn import functional

from lottery.kernels.buffers import buffers
from lottery.kernels.projection import arrange, multiply_rows
from lottery.kernels.vectors import columns


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
    Returns (B, sum of filters), widths side by side. Float32 and float64.
    """
    if table.device.type == "cpu":
        parameters = [*weights, *biases]
        if not torch.is_grad_enabled():  # a Function sees who requires a gradient, not the mode
            table, *parameters = (tensor.detach() for tensor in (table, *parameters))
        return _ConvMax.apply(table, index, offsets, *parameters)
    return conv_max_reference(table, index, offsets, weights, biases)


def conv_max_reference(
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
        weights, biases = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
        learning = any(ctx.needs_input_grad)
        words, places, bounds = _arrays(table, index, offsets)
        shape = len(bounds) - 1, sum(len(bias) for bias in biases)
        pooled = np.empty(shape, words.dtype)
        winners = np.empty(shape if learning else (0, shape[1]), np.int32)
        taps = [_taps(weight.detach()) for weight in weights]
        most = max(part.shape[0] * part.shape[2] for part in taps)
        rows = arrange(words)
        count = len(rows.whole) + len(rows.some) + 1
        lent = buffers.lend(count * most, table.dtype).numpy()
        found = rows.places[places]
        first = 0
        for weight, bias, part in zip(weights, biases, taps, strict=True):
            filters, _, width = weight.shape
            own = slice(first, first + filters)
            across = part.shape[0] * part.shape[2]
            products = lent[: count * across].reshape(count, across)
            multiply_rows(words, rows, part.numpy().reshape(-1), products)
            added = bias.detach().contiguous().numpy()
            _respond(products, added, found, bounds, width, pooled[:, own], winners[:, own])
            first += filters
        pooled = torch.from_numpy(pooled)
        if learning:
            ctx.winners = winners
            ctx.save_for_backward(table, index, offsets, pooled, *weights)
        return pooled

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        table, index, offsets, pooled, *weights = ctx.saved_tensors
        words, places, bounds = _arrays(table, index, offsets)
        slope = grad.masked_fill(pooled <= 0, 0).contiguous().numpy()
        dwords = np.zeros_like(words)
        dweights, dbiases = [], []
        first = 0
        for weight in weights:
            filters, size, width = weight.shape
            own = slice(first, first + filters)
            taps = weight.detach().permute(0, 2, 1).contiguous().numpy()
            dtaps = np.zeros((filters, width, size), words.dtype)
            winners = ctx.winners[:, own]
            _spread(slope[:, own], winners, words, places, bounds, taps, dwords, dtaps)
            dweights.append(torch.from_numpy(dtaps).transpose(1, 2).contiguous())
            dbiases.append(torch.from_numpy(slope[:, own].sum(0)))
            first += filters
        return torch.from_numpy(dwords), None, None, *dweights, *dbiases


def _arrays(table: Tensor, index: Tensor, offsets: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(part.detach().contiguous().numpy() for part in (table, index, offsets))


def _taps(weight: Tensor) -> Tensor:
    """(F, E, w) -> (columns of taps / tile, E, tile): tap by tap, zeros up to a whole tile."""
    filters, size, width = weight.shape
    flat = weight.permute(1, 2, 0).reshape(size, width * filters)
    flat = functional.pad(flat, (0, -flat.shape[1] % columns(weight.dtype)))
    return flat.unflatten(1, (-1, columns(weight.dtype))).transpose(0, 1).contiguous()


@njit(parallel=True, cache=True, nogil=True)
def _respond(products, bias, index, offsets, width, pooled, winners):
    """Pool each text's responses to the filters of one width; note the winners if there is room.

    products (U, width * filters or more), tap by tap; pooled and winners (B, filters).
    """
    filters = len(bias)
    noting = len(winners) > 0
    for text in prange(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        taps = min(width, last - first)
        final = last - taps
        best = np.full(filters, -np.inf, products.dtype)
        winner = np.empty(filters, np.int32)
        nothing = np.zeros(filters, products.dtype)
        one = np.empty(filters, products.dtype)
        two = np.empty(filters, products.dtype)
        # Two windows at a time; of an odd number the last is seen twice, and the tie changes
        # nothing. `not <=` lets a NaN through where `>` would hide it.
        for window in range(first, final + 1, 2):
            other = min(window + 1, final)
            row, next_row = products[index[window]], products[index[other]]
            a, b = row[:filters], next_row[:filters]
            for f in range(filters):
                one[f] = bias[f] + a[f]
                two[f] = bias[f] + b[f]
            for tap in range(1, taps - 1):
                columns = slice(tap * filters, (tap + 1) * filters)
                row, next_row = products[index[window + tap]], products[index[other + tap]]
                a, b = row[columns], next_row[columns]
                for f in range(filters):
                    one[f] += a[f]
                    two[f] += b[f]
            if taps > 1:
                columns = slice((taps - 1) * filters, taps * filters)
                row = products[index[window + taps - 1]]
                next_row = products[index[other + taps - 1]]
                a, b = row[columns], next_row[columns]
            else:
                a = b = nothing
            here, there = np.int32(window), np.int32(other)
            if noting:
                for f in range(filters):
                    x, y = one[f] + a[f], two[f] + b[f]
                    place = here if y <= x else there
                    x = x if y <= x else y
                    winner[f] = winner[f] if x <= best[f] else place
                    best[f] = best[f] if x <= best[f] else x
            else:
                for f in range(filters):
                    x, y = one[f] + a[f], two[f] + b[f]
                    x = x if y <= x else y
                    best[f] = best[f] if x <= best[f] else x
        for f in range(filters):
            pooled[text, f] = 0 if best[f] <= 0 else best[f]
        if noting:
            winners[text] = winner


@njit(parallel=True, cache=True, nogil=True, fastmath={"contract"})
def _spread(slope, winners, words, index, offsets, taps, dwords, dtaps):
    """Add what the winning windows of one width send back to the words and to the taps.

    slope and winners (B, filters); words and dwords (U, E); taps and dtaps (filters, width, E).
    The two sums take the same time and touch nothing in common: one thread each.
    """
    texts, filters = slope.shape
    width, size = taps.shape[1:]
    for side in prange(2):
        if side == 0:
            for text in range(texts):
                for f in range(filters):
                    g = slope[text, f]
                    window = winners[text, f]
                    there = min(width, offsets[text + 1] - window) if g != 0 else 0
                    for tap in range(there):
                        source, sink = taps[f, tap], dwords[index[window + tap]]
                        for e in range(size):
                            sink[e] += g * source[e]
        else:
            for f in range(filters):
                for text in range(texts):
                    g = slope[text, f]
                    window = winners[text, f]
                    there = min(width, offsets[text + 1] - window) if g != 0 else 0
                    for tap in range(there):
                        source, sink = words[index[window + tap]], dtaps[f, tap]
                        for e in range(size):
                            sink[e] += g * source[e]
