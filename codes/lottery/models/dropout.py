"""Dropout with a random stream of its own, the same on every device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lottery.data.batches import Batch


def drop(values: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Zero each value with probability `rate`, scale the others by 1 / (1 - rate).

    Without a generator (evaluation) nothing changes. Srivastava et al. 2014, section 4, scaled
    while training instead of while testing.
    """
    if generator is None or rate == 0:
        return values
    keep = _keep(values.shape, rate, generator, values.dtype) / (1 - rate)
    return values * keep.to(values.device, non_blocking=True)


def word_vectors(
    embedding: Tensor, batch: Batch, rate: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Vectors (words, E) of a batch's words, and which of them each token has, int32 (T,).

    `embedding` (V, E). The same dropout for whole words: one is dropped wherever it stands. Dropped
    ones share a row of zeros, the last, so that it is computed with once. The embedding's gradient
    is sparse.
    """
    if generator is None or rate == 0:
        return functional.embedding(batch.words, embedding, sparse=True), batch.index
    keep = _keep(batch.words.shape, rate, generator, embedding.dtype) > 0
    kept = keep.nonzero().flatten().to(embedding.device, non_blocking=True)
    places = torch.where(keep, keep.cumsum(0) - 1, int(keep.sum())).to(torch.int32)
    places = places.to(embedding.device, non_blocking=True)
    rows = functional.embedding(batch.words[kept], embedding, sparse=True) * (1 / (1 - rate))
    return functional.pad(rows, (0, 0, 0, 1)), places.index_select(0, batch.index)


def _keep(shape: torch.Size, rate: float, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """1 where something is kept, else 0; on the CPU: a GPU's stream is another."""
    return torch.empty(shape, dtype=dtype).bernoulli_(1 - rate, generator=generator)
