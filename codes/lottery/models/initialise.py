"""Xavier normal on every weight matrix, each LSTM gate by itself; biases zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def xavier(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """New first weights for every parameter of `model`, in its order, on the CPU.

    Weights ~ N(0, 2 / (fan_in + fan_out)) (Glorot & Bengio 2010, equation 12, as a normal).
    Biases are zero, and so is row 0 of the embedding, `<pad>`.
    """
    return {
        name: _first(name, parameter.shape, parameter.dtype, generator)
        for name, parameter in model.named_parameters()
    }


def _first(name: str, shape: torch.Size, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    weight = torch.zeros(shape, dtype=dtype)
    if len(shape) < 2:
        return weight
    # An LSTM's matrix is four stacked ones (i, f, g, o): fan_out is a gate's, not the stack's.
    gates = weight.chunk(4) if "lstm." in name else [weight]
    for gate in gates:
        nn.init.xavier_normal_(gate, generator=generator)
    if name == "embedding.weight":
        weight[0] = 0
    return weight
