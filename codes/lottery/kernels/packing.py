"""The LSTM's weights in the layouts of its kernels, whole or pruned; see `recurrence`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor

from lottery.kernels import sparse
from lottery.kernels.sparse import Pattern
from lottery.kernels.vectors import columns


def flat(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers as one row of numpy's, in its own memory if it is contiguous."""
    return tensor.detach().reshape(-1).numpy()


def padded(size: int, dtype: torch.dtype) -> int:
    """`size` rounded up to the columns of a tile."""
    return -(-size // columns(dtype)) * columns(dtype)


def pad(tensor: Tensor, *shape: int) -> Tensor:
    """`tensor` at the front corner of zeros (or itself, if it has that shape)."""
    if tuple(tensor.shape) == shape:
        return tensor
    out = tensor.new_zeros(shape)
    out[tuple(slice(size) for size in tensor.shape)] = tensor
    return out


def gates_first(w: Tensor, units: int) -> Tensor:
    """(4H, K) in torch's order -> (units / lanes, 4, lanes, K)."""
    lanes = columns(w.dtype) // 4
    w = pad(w.unflatten(0, (4, -1)), 4, units, w.shape[1])
    return w.unflatten(1, (-1, lanes)).transpose(0, 1)


def gates_last(w: Tensor, hidden: int) -> Tensor:
    """The inverse of `gates_first`, from (4 units, K)."""
    lanes = columns(w.dtype) // 4
    w = w.reshape(-1, 4, lanes, w.shape[1]).transpose(0, 1).flatten(1, 2)
    return w[:, :hidden].reshape(4 * hidden, -1)


def packed(weights: Sequence[Tensor], units: int, inputs: int) -> Tensor:
    """For h @ w.T: (4H, K) of every direction -> (directions, units / lanes, inputs, columns).

    Zeros for units past H and inputs past K; biases are matrices of one input.
    """
    width = columns(weights[0].dtype)
    out = weights[0].new_empty(len(weights), 4 * units // width, inputs, width)
    for w, sink in zip(weights, out.numpy(), strict=True):
        _pack(w.numpy(), w.shape[0] // 4, sink)
    return out


def packed_back(weights: Sequence[Tensor], units: int, inputs: int) -> Tensor:
    """For dgates @ w: every (4H, K) -> (directions, inputs / columns, 4 units, columns).

    Zeros for units past H and inputs past K; inputs: K, `padded`.
    """
    width = columns(weights[0].dtype)
    out = weights[0].new_empty(len(weights), inputs // width, 4 * units, width)
    for w, sink in zip(weights, out.numpy(), strict=True):
        _pack_back(w.numpy(), w.shape[0] // 4, sink)
    return out


@njit(cache=True, nogil=True)
def _pack(w, hidden, out):
    """out (units / lanes, inputs, 4 lanes) from w (4 hidden, K), zeros where there is no weight."""
    lanes, size = out.shape[2] // 4, w.shape[1]
    if out.size > w.size:
        out[:] = 0
    for row in range(len(w)):
        gate, unit = row // hidden, row % hidden
        source, column = w[row], gate * lanes + unit % lanes
        sink = out[unit // lanes]
        for k in range(size):
            sink[k, column] = source[k]


@njit(cache=True, nogil=True)
def _pack_back(w, hidden, out):
    """out (inputs / columns, 4 units, columns) from w (4 hidden, K), the rows as gates lie."""
    width, size = out.shape[2], w.shape[1]
    lanes = width // 4
    if out.size > w.size:
        out[:] = 0
    for row in range(len(w)):
        gate, unit = row // hidden, row % hidden
        place = (unit // lanes * 4 + gate) * lanes + unit % lanes
        for block in range(len(out)):
            left = block * width
            count = min(width, size - left)
            out[block, place, :count] = w[row, left : left + count]


class Kept:
    """Which weights of a pruned matrix remain, in all directions of a layer: places, no values.

    masks: bool (4H, K), one for each direction, or None for a matrix that is whole; recurrent:
    whether its inputs are padded as units are. False if the dense kernels are to compute: without
    a mask, or where leaving weights out would not pay.
    """

    def __init__(
        self, masks: Sequence[Tensor] | None, dtype: torch.dtype, recurrent: bool = False
    ) -> None:
        self.forth = self.back = sparse.NOTHING
        self.least = sparse.NEVER  # rows from which the product is sparse
        self._of = [(mask.shape, dtype) for mask in masks or []]
        counts = [(int(mask.sum()), mask.numel()) for mask in masks or []]
        share = sum(kept for kept, _ in counts) / max(sum(of for _, of in counts), 1)
        if not masks or share > sparse.SHARE:
            return
        self.least = sparse.least(share, columns(dtype) // 4)
        units, block = padded(masks[0].shape[0] // 4, dtype), columns(dtype)
        inputs = units if recurrent else padded(masks[0].shape[1], dtype)
        forth, back = [], []
        for mask in masks:
            # 0 is no weight; a type of the weights' size, so that the layout is theirs
            number = torch.int32 if dtype.itemsize == 4 else torch.int64
            places = torch.arange(1, mask.numel() + 1, dtype=number).view_as(mask) * mask
            places = pad(gates_first(places, units).reshape(4 * units, -1), 4 * units, inputs)
            forth.append(places)
            back.append(places.T)
        self.forth, self.back = (
            _joined([sparse.pattern(part.numpy() - 1, block) for part in parts])
            for parts in (forth, back)
        )

    def __bool__(self) -> bool:
        return len(self.forth.outputs) > 0

    def fits(self, weights: Sequence[Tensor]) -> bool:
        """Are its places those of these matrices (rows, columns), one a direction? Others would be
        read past their ends. A dense one fits all."""
        return not self or self._of == [(weight.shape, weight.dtype) for weight in weights]

    def now(self, way: Pattern, weights: Sequence[Tensor]) -> tuple[np.ndarray, ...]:
        """What `sparse.multiply` takes: the pattern of `way`, and what its weights now are."""
        values = np.empty(len(way.places), flat(weights[0]).dtype)
        for weight, part in zip(weights, _parts(way, len(weights)), strict=True):
            _take(flat(weight), way.places[part], values[part])
        return (*way[:3], values)

    def gradients(self, sums: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        """The weights' gradients, zero where pruned, from (parts, kept) sums in parts."""
        out = []
        for weight, part in zip(weights, _parts(self.forth, len(weights)), strict=True):
            gradient = np.zeros(weight.numel(), flat(weight).dtype)
            _put(sums.numpy()[:, part], self.forth.places[part], gradient)
            out.append(torch.from_numpy(gradient).view_as(weight))
        return out


@njit(cache=True, nogil=True)
def _take(weights, places, out):
    for k, place in enumerate(places):
        out[k] = weights[place]


@njit(cache=True, nogil=True)
def _put(sums, places, out):
    """out at `places` = the sum of sums (parts, places) over the parts."""
    for k, place in enumerate(places):
        total = sums[0, k]
        for part in range(1, len(sums)):
            total += sums[part, k]
        out[place] = total


def _joined(ways: Sequence[Pattern]) -> Pattern:
    """The patterns of all directions as one."""
    starts = np.cumsum([0, *(len(way.places) for way in ways)])
    firsts = [way.firsts[:-1] + start for way, start in zip(ways, starts, strict=False)]
    outputs, inputs, places = (np.concatenate([way[k] for way in ways]) for k in (0, 2, 3))
    return Pattern(outputs, np.concatenate([*firsts, starts[-1:]]), inputs, places)


def _parts(way: Pattern, directions: int) -> list[slice]:
    """Every direction's weights."""
    ends = way.firsts[:: max(len(way.outputs) // directions, 1)]
    return [slice(*ends[d : d + 2]) if len(way.outputs) else slice(0) for d in range(directions)]
