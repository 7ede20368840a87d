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
    kept = keep(values.shape, rate, generator, values.dtype) / (1 - rate)
    return values * kept.to(values.device, non_blocking=True)


def keep(shape: torch.Size, rate: float, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """1 where something is kept, else 0; on the CPU: a GPU's stream is another."""
    # Tensor.bernoulli_'s numbers where no vendor's library draws them, in half of its time.
    drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (drawn < 1 - rate).to(dtype)
