"""Word ids to vectors, with dropout of whole words."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lottery.data.batches import Batch
from lottery.models.dropout import keep


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
    stays = keep(batch.words.shape, rate, generator)
    kept = stays.nonzero().flatten().to(embedding.device, non_blocking=True)
    places = torch.where(stays, stays.cumsum(0) - 1, int(stays.sum())).to(torch.int32)
    places = places.to(embedding.device, non_blocking=True)
    rows = functional.embedding(batch.words[kept], embedding, sparse=True) * (1 / (1 - rate))
    return functional.pad(rows, (0, 0, 0, 1)), places.index_select(0, batch.index)
