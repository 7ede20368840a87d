"""What a finished run leaves beside its record, as named tensors, and the same in few bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Weights


def named(mask: Mask) -> Weights:
    """The mask as tensors that can stand beside the weights."""
    return {f"mask/{name}": part for name, part in mask.items()}


def bundle(mask: Mask, last: Weights, best: Weights) -> Weights:
    """What a finished run leaves, as tensors of one file: mask, last and best epoch's weights."""
    return named(mask) | last | {f"best/{name}": weight for name, weight in best.items()}


def tested(tensors: dict[str, Any]) -> dict[str, Any]:
    """Of a `bundle` what read the test set: the mask and the best epoch's weights."""
    return {name: part for name, part in tensors.items() if "/" in name}


def unbundle(tensors: Weights, epoch: str = "last") -> tuple[Weights, Mask]:
    """The weights of the "last" or "best" epoch and the mask of a `bundle`."""
    parts: dict[str, Weights] = {"mask": {}, "best": {}, "last": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.rpartition("/")
        parts[part or "last"][rest] = tensor
    return parts[epoch], parts["mask"]


def packed(tensors: Weights) -> dict[str, Any]:
    """Weights, with their mask or without, in as few bytes as hold them exactly.

    By name: shape, and numpy's array of a mask's bits, eight places a byte, or of the weights that
    a mask keeps; of a tensor without a mask all.
    """
    small: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if name.startswith("mask/"):
            values = np.packbits(tensor.numpy())
        else:
            mask = tensors.get(_mask_of(name))
            values = (tensor if mask is None else tensor[mask]).numpy()
        small[name] = (tuple(tensor.shape), values)
    return small


def unpacked(small: dict[str, Any]) -> Weights:
    """The inverse of `packed`."""
    masks: Weights = {}
    for name, (shape, bits) in small.items():
        if name.startswith("mask/"):
            found = np.unpackbits(bits, count=int(np.prod(shape)))
            masks[name] = torch.from_numpy(found.astype(bool)).view(shape)
    weights: Weights = {}
    for name, (shape, values) in small.items():
        if name in masks:
            continue
        values = torch.from_numpy(np.array(values))  # a copy: what Dask gives cannot be written
        mask = masks.get(_mask_of(name))
        if mask is not None:
            values = torch.zeros(shape, dtype=values.dtype).masked_scatter_(mask, values)
        weights[name] = values
    return masks | weights


def _mask_of(name: str) -> str:
    """The name of the mask of weights, be they of the last epoch or of the best."""
    return f"mask/{name.rpartition('/')[2]}"
