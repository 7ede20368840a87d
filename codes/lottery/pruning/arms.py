"""The arms: how a ticket is made from a ladder's masks. A new arm is one object and one line here.

README ("How to read the report") says what each answers, docs/method.md of those that travel; the
report compares, labels and draws them by what stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from lottery.files import UserError, check_known
from lottery.pruning.masks import (
    Mask,
    counts,
    exchanged,
    full_mask,
    prunable,
    random_mask,
    shuffled,
)
from lottery.pruning.tickets import Ticket, Weights
from lottery.pruning.transfer import Foreign, Placed, drawn, placed, values
from lottery.settings import TRANSFERRED


@dataclass(frozen=True)
class Origins:
    """All that a ticket may be made from."""

    first: Weights  # θ₀
    mask: Mask | None = None  # the ladder's at this rung, by the run's score
    rewound: Weights | None = None  # θₖ; θ₀ when rewind_step is 0
    trained: Weights | None = None  # of the rung below; None: the score looks at θ₀ alone
    new_draw: Callable[[], Weights] | None = None  # another Xavier draw of every layer
    seed: int = 0  # of this arm's own random stream
    foreign: Foreign | None = None  # another dataset's ticket, for the arms that take its mask
    scope: str = "layer"  # does the rung count the weights of each layer, or of all ("global")?

    @property
    def stream(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class Arm:
    """One way to make tickets, and how the report speaks of it."""

    name: str
    label: str  # in tables and figures
    make: Callable[[Origins], Ticket]
    means: str  # what it is, in a few words; the report's legend
    against: str | None = None  # the arm that the report compares it with
    look: dict[str, Any] = field(default_factory=dict)  # matplotlib's words for its line
    climbs: bool = False  # may a further rung's mask be scored on its trained weights?
    tunes: bool = False  # does it go on from trained weights, whatever the mask is scored on?

    @property
    def travels(self) -> bool:
        """Does it take the mask of another dataset's ladder?"""
        return self.name.startswith(TRANSFERRED)

    def __call__(self, origins: Origins) -> Ticket:
        """A ticket of the model's own tensors; UserError for anything else."""
        made = self.make(origins)
        if not isinstance(made, Ticket):
            kind = f"{type(made).__module__}.{type(made).__qualname__}"
            raise UserError(f"arm {self.name!r} gives {kind}, not lottery.pruning.tickets.Ticket")
        for name, weight in origins.first.items():
            if name not in made.weights or made.weights[name].shape != weight.shape:
                shape = tuple(weight.shape)
                raise UserError(f"arm {self.name!r} lacks {name} {shape} among its weights")
        if origins.mask is not None and not self.travels:  # another ladder has its own counts
            self._check_counts(made.mask or {}, origins)
        return made

    def _check_counts(self, mask: Mask, origins: Origins) -> None:
        """UserError unless as many weights are kept as the rung's own mask keeps."""
        sizes = {name: part.numel() for name, part in prunable(origins.first).items()}
        own, wanted = (
            {name: size - gone.get(name, (0,))[0] for name, size in sizes.items()}
            for gone in (counts(mask), counts(origins.mask))
        )
        if origins.scope == "global":
            own, wanted = ({"all layers": sum(of.values())} for of in (own, wanted))
        for name, kept in own.items():
            if kept != wanted[name]:
                raise UserError(
                    f"arm {self.name!r} keeps {kept:,} weights of {name}, and its rung "
                    f"{wanted[name]:,}: give a mask that keeps as many"
                )


def _transferred(
    o: Origins,
    inner: bool = False,
    first: Weights | None = None,
    change: Callable[[Placed, torch.Generator], Mask] | None = None,
) -> Ticket:
    """The foreign mask, placed on this network and perhaps changed, with first values."""
    own = full_mask(o.first) | o.mask  # tensors kept dense are counted as the record counts them
    found = placed(o.foreign, own, inner)
    mask = change(found, o.stream) if change else found.mask
    return Ticket(first or o.rewound, mask, found.transfer)


# Dark or light, filled or open, and each with dashes and a marker of its own: apart in grey, too.
ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(
            "dense",
            "dense",
            lambda o: Ticket(o.first),
            "the whole network",
            look={"color": "black", "linestyle": "-", "marker": "_", "markersize": 9},
            climbs=True,
        ),
        Arm(
            "lt",
            "lt init",
            lambda o: Ticket(o.rewound, o.mask),
            "pruned, with its first values",
            against="dense",
            look={
                "color": "#0b3c8c",
                "linestyle": "-",
                "marker": "o",
                "markerfacecolor": "#0b3c8c",
            },
            climbs=True,
        ),
        Arm(
            "random",
            "random init",
            lambda o: Ticket(o.new_draw(), o.mask),
            "the same places with new values",
            against="lt",
            look={"color": "#e07b00", "linestyle": "--", "marker": "s"},
        ),
        Arm(
            "random_mask",
            "random mask",
            lambda o: Ticket(o.first, random_mask(o.mask, o.stream)),
            "as many weights of each layer in random places, with their first values",
            against="lt",
            look={"color": "#2a8f5b", "linestyle": "-.", "marker": "^", "markersize": 6},
        ),
        Arm(
            "shuffled",
            "shuffled mask",
            lambda o: Ticket(o.first, shuffled(o.mask, o.stream)),
            "the mask's places in each layer in another order, with their first values",
            against="lt",
            look={"color": "#8f4fa8", "linestyle": ":", "marker": "D"},
        ),
        Arm(
            "exchanged",
            "rows exchanged",
            lambda o: Ticket(o.first, exchanged(o.mask, o.stream)),
            "the mask with whole rows exchanged among words of like frequency, among filters, or "
            "among a gate's units, with their first values",
            against="lt",
            look={"color": "#b5527f", "linestyle": (0, (3, 1, 1, 1)), "marker": "p"},
        ),
        Arm(
            "finetune",
            "fine-tuned",
            lambda o: Ticket(o.trained, o.mask),
            "pruned and trained on",
            against="lt",
            look={"color": "#6a6a6a", "linestyle": (0, (6, 2)), "marker": "x", "markersize": 5.5},
            tunes=True,
        ),
        Arm(
            "transferred",
            "transferred",
            lambda o: _transferred(o),
            "the mask of another dataset's ladder, word vectors by word, with this dataset's first "
            "values",
            look={"color": "#006d77", "linestyle": "-", "marker": "h", "markersize": 6.5},
        ),
        Arm(
            "transferred_weights",
            "transferred with values",
            lambda o: _transferred(o, first=values(o.foreign, o.rewound)),
            "the same with the other's first values, of words by word",
            look={"color": "#9c6615", "linestyle": "--", "marker": "*", "markersize": 8},
        ),
        Arm(
            "transferred_inner",
            "transferred but for words",
            lambda o: _transferred(o, inner=True),
            "the same with the word vectors' mask of this dataset's own ticket",
            look={"color": "#5f4bb6", "linestyle": "-.", "marker": "P", "markersize": 6.5},
        ),
        Arm(
            "transferred_shuffled",
            "transferred, rows shuffled",
            lambda o: _transferred(o, change=lambda it, by: exchanged(it.mask, by, it.came)),
            "the transferred mask with whole rows exchanged among words of like frequency, among "
            "filters, or among a gate's units: what a row keeps stays, and goes to the wrong one",
            look={"color": "#b23a6b", "linestyle": ":", "marker": "v", "markersize": 6},
        ),
        Arm(
            "transferred_random",
            "transferred, at random",
            lambda o: _transferred(o, change=drawn),
            "as many weights of each layer as the foreign mask brings, in random places",
            look={"color": "#74842a", "linestyle": (0, (5, 1)), "marker": "<", "markersize": 6},
        ),
    )
}


def check_arms(names: tuple[str, ...]) -> tuple[str, ...]:
    """`names`, or a UserError that names the first that is no arm."""
    return tuple(check_known("arm", name, ARMS) for name in names)


def label(name: str) -> str:
    """An arm's name in tables and figures."""
    return ARMS[name].label if name in ARMS else name.replace("_", " ")
