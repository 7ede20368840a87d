"""Masks to tickets: a ticket is a mask and the starting weights of what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lottery.files import UserError
from lottery.pruning.masks import Mask
from lottery.pruning.transfer import Transfer

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Ticket:
    """What a run starts from. Weights that the mask removes are zero."""

    weights: Weights
    mask: Mask | None = None  # None: nothing is pruned
    transfer: Transfer | None = None  # where a mask from another dataset's ladder was placed

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping):
            raise UserError(
                f"a ticket is made of weights, not of {type(self.weights).__name__}; an arm that "
                f"asks for trained ones says so, tunes=True, where the score needs none"
            )
        # Cloned: training changes weights in place, and θ₀ must survive for the other arms.
        kept = {name: weight.detach().clone() for name, weight in self.weights.items()}
        for name, part in (self.mask or {}).items():
            kept[name].masked_fill_(~part, 0.0)  # a product would leave -0.0 here and there
        object.__setattr__(self, "weights", kept)
