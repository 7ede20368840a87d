"""Masks to tickets: a ticket is a mask and the starting weights of what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lottery.pruning.masks import Mask, random_mask, shuffled

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Ticket:
    """What a run starts from. Weights that the mask removes are zero."""

    weights: Weights
    mask: Mask | None = None  # None: nothing is pruned

    def __post_init__(self) -> None:
        # Cloned: training changes weights in place, and θ₀ must survive for the other arms.
        kept = {name: weight.detach().clone() for name, weight in self.weights.items()}
        for name, part in (self.mask or {}).items():
            kept[name].masked_fill_(~part, 0.0)  # a product would leave -0.0 here and there
        object.__setattr__(self, "weights", kept)


@dataclass(frozen=True)
class Origins:
    """All that a ticket may be made from."""

    first: Weights  # θ₀
    mask: Mask | None = None  # the ladder's magnitude mask at this rung
    rewound: Weights | None = None  # θₖ; θ₀ when rewind_step is 0
    trained: Weights | None = None  # those the mask was scored on; for FROM_TRAINED alone
    new_draw: Callable[[], Weights] | None = None  # another Xavier draw of every layer
    seed: int = 0  # of this arm's own random stream


ARMS: dict[str, Callable[[Origins], Ticket]] = {
    "dense": lambda o: Ticket(o.first),
    "lt": lambda o: Ticket(o.rewound, o.mask),
    "random": lambda o: Ticket(o.new_draw(), o.mask),
    "random_mask": lambda o: Ticket(o.first, random_mask(o.mask, _stream(o))),
    "shuffled": lambda o: Ticket(o.first, shuffled(o.mask, _stream(o))),
    "finetune": lambda o: Ticket(o.trained, o.mask),
}

# Those that start from the trained weights: to them alone these are handed.
FROM_TRAINED = {"finetune"}


def _stream(origins: Origins) -> torch.Generator:
    return torch.Generator().manual_seed(origins.seed)
