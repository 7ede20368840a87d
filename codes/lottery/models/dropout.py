"""Dropout with a random stream of its own, the same on every device."""

from __future__ import annotations

import torch
from torch import Tensor


def drop(values: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Zero each value with probability `rate`, scale the others by 1 / (1 - rate).

    Without a generator (evaluation) nothing changes. Srivastava et al. 2014, section 4, scaled
    while training instead of while testing.
    """
    return values if generator is None or rate == 0 else values * _keep(values, rate, generator)


def drop_rows(values: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """The same for whole rows: a word of the batch is dropped wherever it stands."""
    if generator is None or rate == 0:
        return values
    return values * _keep(values[:, :1], rate, generator)


def _keep(like: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    # Drawn on the CPU: a GPU's generator would give another stream for the same seed.
    keep = torch.empty(like.shape, dtype=like.dtype).bernoulli_(1 - rate, generator=generator)
    return (keep / (1 - rate)).to(like.device, non_blocking=True)
