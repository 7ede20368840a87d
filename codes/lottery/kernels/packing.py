"""The LSTM's weights in the layouts of its kernels, whole or pruned; see `recurrence`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
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
    """For h @ w.T: (4H, K) of every direction -> (directions, units / lanes, inputs, columns)."""
    blocks = [gates_first(w, units) for w in weights]
    return torch.stack([pad(w, *w.shape[:3], inputs) for w in blocks]).movedim(-1, 2).contiguous()


def packed_back(weights: Sequence[Tensor], units: int, inputs: int) -> Tensor:
    """For dgates @ w: every (4H, K) -> (directions, inputs / columns, 4 units, columns)."""
    width = 4 * units
    rows = torch.stack(
        [pad(gates_first(w, units).reshape(width, -1), width, inputs) for w in weights]
    )
    return rows.unflatten(2, (-1, columns(weights[0].dtype))).transpose(1, 2).contiguous()


class Kept:
    """Which weights of a pruned matrix remain, in all directions of a layer: places, no values.

    masks: bool (4H, K), one for each direction, or None for a matrix that is whole; recurrent:
    whether its inputs are padded as units are. False if the dense kernels are to compute: without
    a mask, or where patterns would not pay.
    """

    def __init__(
        self, masks: Sequence[Tensor] | None, dtype: torch.dtype, recurrent: bool = False
    ) -> None:
        kind = np.dtype(str(dtype).removeprefix("torch."))
        self.forth = self.back = sparse.nothing(kind)
        if masks is None:
            return
        units = padded(masks[0].shape[0] // 4, dtype)
        lanes = columns(dtype) // 4
        inputs = units if recurrent else -(-masks[0].shape[1] // lanes) * lanes
        outputs = padded(inputs, dtype)
        # 0 is no weight; a type of the weights' size, so that the layout is theirs
        number = torch.int32 if dtype.itemsize == 4 else torch.int64
        forth, back = [], []
        for mask in masks:
            places = torch.arange(1, mask.numel() + 1, dtype=number).view_as(mask) * mask
            places = gates_first(places, units).reshape(4 * units, -1)
            forth.append(pad(places, 4 * units, inputs))
            back.append(pad(places, 4 * units, outputs).T)
        forth, back = (torch.cat(parts).numpy() - 1 for parts in (forth, back))
        ways = [sparse.pattern(matrix, kind, masks[0].numel()) for matrix in (forth, back)]
        if sparse.pays(ways[0], *forth.shape) and sparse.pays(ways[1], *back.shape):
            self.forth, self.back = ways

    def __bool__(self) -> bool:
        return len(self.forth.firsts) > 0

    def now(self, way: Pattern, weights: Sequence[Tensor]) -> tuple[np.ndarray, ...]:
        """What `sparse.multiply` takes: the slots of `way`, and what the weights now are there."""
        values = np.empty(way.places.shape, flat(weights[0]).dtype)
        if self:
            for weight, part in zip(weights, _parts(way, len(weights)), strict=True):
                own = np.append(flat(weight), np.zeros(1, values.dtype))
                sparse.fill(way.places[part].reshape(-1), own, values[part].reshape(-1))
        return way.firsts, way.windows, way.picks, values.reshape(-1)

    def gradients(self, sums: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        """The weights' gradients, zero where pruned, from (parts, slots * lanes) sums in parts."""
        out = []
        places = self.forth.places
        sums = sums.view(len(sums), *places.shape).numpy()
        for weight, part in zip(weights, _parts(self.forth, len(weights)), strict=True):
            gradient = torch.zeros(weight.numel() + 1, dtype=weight.dtype)  # the last is no weight
            sparse.spread(places[part], sums[:, part], gradient.numpy())
            out.append(gradient[:-1].view_as(weight))
        return out


def _parts(way: Pattern, directions: int) -> list[slice]:
    """Every direction's slots."""
    vectors = (len(way.firsts) - 1) // directions
    return [slice(*way.firsts[[d * vectors, (d + 1) * vectors]]) for d in range(directions)]
