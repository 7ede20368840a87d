"""Weights to scores: what has a low score is pruned first. A new score is one function here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lottery.data import Corpus
from lottery.files import UserError
from lottery.pruning.masks import Mask, prunable

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Context:
    """All that a score may look at. Tensors are named and shaped as the model's parameters."""

    weights: Weights  # to be scored: trained ones, or θ₀ as `mask` leaves it; zero where pruned
    first: Weights  # θ₀, whole
    rewound: Weights  # what the network below began with: θ₀, or θₖ where a ladder is rewound
    mask: Mask  # of the rung below, True where a weight remains
    corpus: Corpus  # token ids and labels, texts cut as they are trained on
    slope: Callable[[Weights], Weights]  # ∂L/∂w at any weights, see `training.slope`
    seed: int = 0  # of this seed's and rung's own random stream, the same for all arms

    @cached_property
    def gradients(self) -> Weights:
        """∂L/∂w at `weights`, a mean over the sample of training texts; computed when asked for."""
        return self.slope(self.weights)

    @property
    def stream(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class Score:
    """One way to say which weights matter."""

    name: str
    make: Callable[[Context], Mapping[str, Tensor]]
    means: str  # what it is, in a few words
    of_first: bool = False  # scores θ₀: nothing need be trained before it prunes

    def __call__(self, context: Context) -> dict[str, Tensor]:
        """A finite or infinite score for each weight of the mask; UserError for anything else."""
        found = self.make(context)
        if not isinstance(found, Mapping):
            raise UserError(f"score {self.name!r} gives {type(found).__name__}, not a dict")
        for name, part in prunable(context.mask).items():
            own = found.get(name)
            if not isinstance(own, Tensor) or own.shape != context.mask[name].shape:
                shape = tuple(context.mask[name].shape)
                raise UserError(f"score {self.name!r} gives no tensor {shape} for {name}")
            if prunable({name: own})[name][part].isnan().any():
                raise UserError(f"score {self.name!r} of {name} holds NaN, which has no order")
        return {name: found[name].detach() for name in context.mask}


def magnitude(context: Context) -> dict[str, Tensor]:
    """|w| (Han et al. 2015, section 3; Frankle & Carbin 2019, section 2)."""
    return {name: weight.abs() for name, weight in context.weights.items()}


def movement(context: Context) -> dict[str, Tensor]:
    """|w − w₀|, how far training moved a weight from its first value (Zhou et al. 2019, section 2,
    mask criterion "movement"). Not the movement pruning of Sanh et al. 2020."""
    return {name: (w - context.first[name]).abs() for name, w in context.weights.items()}


def magnitude_increase(context: Context) -> dict[str, Tensor]:
    """|w| − |w₀|, how much larger training made a weight (Zhou et al. 2019, section 2, mask
    criterion "magnitude increase")."""
    return {name: w.abs() - context.first[name].abs() for name, w in context.weights.items()}


def sensitivity(context: Context) -> dict[str, Tensor]:
    """|w ∂L/∂w|, to first order how much the loss changes if a weight is removed.

    Of the first values it is SNIP (Lee et al. 2019, section 4.1, whose division by the sum of all
    changes no order); of trained ones the first-order Taylor criterion (Molchanov et al. 2019,
    section 3.1, for single weights).
    """
    slopes = context.gradients
    return {name: (w * slopes[name]).abs() for name, w in context.weights.items()}


def grasp(context: Context) -> dict[str, Tensor]:
    """w · Hg, half of what the gradient flow ‖g‖² loses with a weight (GraSP, Wang et al. 2020,
    section 4, which removes the highest of −w · Hg).

    H is the Hessian of the loss and g its gradient, by all parameters. Hg is the central difference
    of the gradient along g, in double precision, over a step of 1e-5 of the weights' length: short,
    lest a maximum over time change its place.
    """
    weights = {name: w.double() for name, w in context.weights.items()}
    along = context.slope(weights)
    length = _length(along)
    step = 1e-5 * _length(weights) / length if length else 0.0
    if not step:  # nowhere to go: nothing is lost with any weight
        return {name: torch.zeros_like(w) for name, w in weights.items()}
    ahead = context.slope({name: w + step * along[name] for name, w in weights.items()})
    behind = context.slope({name: w - step * along[name] for name, w in weights.items()})
    return {name: w * (ahead[name] - behind[name]) / (2 * step) for name, w in weights.items()}


def random(context: Context) -> dict[str, Tensor]:
    """By lot, in alphabetical order of the tensors: what any other score must beat."""
    stream = context.stream
    return {
        name: torch.rand(part.shape, generator=stream, dtype=torch.float64)
        for name, part in sorted(context.mask.items())
    }


def _length(tensors: Weights) -> float:
    return math.sqrt(sum(float(part.double().square().sum()) for part in tensors.values()))


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score("magnitude", magnitude, "size after training"),
        Score("movement", movement, "way from the first value"),
        Score("magnitude_increase", magnitude_increase, "growth since the first value"),
        Score("taylor", sensitivity, "weight times gradient, after training"),
        Score("snip", sensitivity, "weight times gradient, of the first values", of_first=True),
        Score("grasp", grasp, "gradient flow lost, of the first values", of_first=True),
        Score("random", random, "by lot", of_first=True),
    )
}
