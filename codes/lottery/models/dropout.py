"""Dropout with a random stream of its own, the same on every device."""

from __future__ import annotations

import torch
from torch import Tensor


def drop(values: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Zero each value with probability `rate`, scale the others by 1 / (1 - rate).

    Without a generator (evaluation) nothing changes. Srivastava et al. 2014, section 4, scaled
    while training instead of while testing.
    """
    if generator is None or rate == 0:
        return values
    kept = keep(values.shape, rate, generator).to(values.dtype) / (1 - rate)
    return values * kept.to(values.device, non_blocking=True)


def keep(shape: torch.Size, rate: float, generator: torch.Generator) -> Tensor:
    """What is kept, bool: where a uniform double is below 1 - rate. On the CPU, for a GPU's stream
    is another; nor may a vendor's library draw in the stream's stead, as `bernoulli_` lets it."""
    return torch.rand(shape, generator=generator, dtype=torch.float64) < 1 - rate
