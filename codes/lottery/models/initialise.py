"""Xavier normal on every weight matrix, each gate of a recurrent layer by itself; biases zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def xavier(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """New first weights for every parameter of `model`, in its order, on the CPU.

    Weights ~ N(0, 2 / (fan_in + fan_out)) (Glorot & Bengio 2010, equation 12, as a normal).
    Biases are zero, and so is row 0 of the embedding, `<pad>`; scales (a norm's weights) are one.
    """
    gates = _gates(model)
    return {
        name: _first(name, parameter.shape, parameter.dtype, gates.get(name, 1), generator)
        for name, parameter in model.named_parameters()
    }


def _gates(model: nn.Module) -> dict[str, int]:
    """How many matrices are stacked in each of a recurrent layer's tensors."""
    stacked = {nn.LSTM: 4, nn.GRU: 3}  # i, f, g, o; r, z, n
    return {
        f"{prefix}.{name}": stacked[type(layer)]
        for prefix, layer in model.named_modules()
        if type(layer) in stacked
        for name, _ in layer.named_parameters()
    }


def _first(
    name: str, shape: torch.Size, dtype: torch.dtype, gates: int, generator: torch.Generator
) -> Tensor:
    weight = torch.zeros(shape, dtype=dtype)
    if len(shape) < 2:
        return weight.fill_(1) if name.rpartition(".")[2] == "weight" else weight
    for gate in weight.chunk(gates):  # fan_out is a gate's, not the stack's
        nn.init.xavier_normal_(gate, generator=generator)
    if name == "embedding.weight":
        weight[0] = 0
    return weight
