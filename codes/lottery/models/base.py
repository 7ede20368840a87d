"""What every model says of itself, beside its logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lottery.data.batches import Batch
from lottery.settings import Settings


class Model(nn.Module):
    """A text classifier on flat batches.

    A subclass takes (settings, words, outputs), and gives logits for a batch.
    """

    label: ClassVar[str] = ""  # its name in tables and figures; empty: the one it is listed by
    # Tensors of which, with the mask now worn, only the kept weights are multiplied.
    sparse: tuple[str, ...] = ()

    def forward(self, batch: Batch, noise: torch.Generator | None = None) -> Tensor:
        """Logits (B, outputs). `noise` is the dropout's stream; without it nothing is dropped."""
        raise TypeError(f"{type(self).__name__} has no forward(batch, noise)")

    def wear(self, mask: Mapping[str, Tensor] | None) -> None:
        """Compute as pruned by `mask`, for as long as no other is worn; None: whole.

        Only to be faster: what the mask removes must be zero, and figures agree to rounding.
        """

    @classmethod
    def uses(cls, settings: Settings, name: str, tokens: int) -> int:
        """How often a text of `tokens` tokens multiplies each weight of the tensor `name`.

        Here: the embedding never, for it is looked up; the output once; others once a token.
        """
        return {"embedding.weight": 0, "output.weight": 1}.get(name, tokens)

    @classmethod
    def layer(cls, settings: Settings, name: str) -> str:
        """What people call the tensor `name`."""
        return name.removesuffix(".weight")
