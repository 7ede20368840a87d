"""What a mask keeps and what training left of it, counted; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lottery.pruning.masks import EMBEDDING, Mask, prunable

VANISHED = 1e-6  # a weight below this is as good as pruned; trained ones lie around 0.01 to 0.1


@dataclass(frozen=True)
class Words:
    """The words that occur `least` to 2 `least` - 1 times in the training texts (or never: 0)."""

    least: int
    words: int
    kept: int  # weights of their rows that the mask keeps
    vanished: int  # of these, weights below VANISHED after the last epoch


def vanished(weights: Mapping[str, Tensor], mask: Mask) -> dict[str, int]:
    """For each prunable tensor the kept weights that training has brought below VANISHED."""
    kept = prunable(mask)
    return {
        name: int(((weight.abs() < VANISHED) & kept[name]).sum())
        for name, weight in prunable(weights).items()
    }


def by_frequency(weights: Mapping[str, Tensor], mask: Mask, tokens: np.ndarray) -> list[Words]:
    """What is kept of the embedding, the words grouped by how often they occur in `tokens`.

    tokens: int (T,), all ids of the training texts. The `<pad>` row is left out.
    """
    kept = prunable(mask)[EMBEDDING].numpy()
    small = (prunable(weights)[EMBEDDING].abs() < VANISHED).numpy() & kept
    often = np.bincount(tokens, minlength=len(kept) + 1)[1:]
    least = np.where(often > 0, 2 ** np.floor(np.log2(np.maximum(often, 1))), 0).astype(int)
    return [
        Words(
            int(low),
            int((least == low).sum()),
            int(kept[least == low].sum()),
            int(small[least == low].sum()),
        )
        for low in np.unique(least)
    ]
