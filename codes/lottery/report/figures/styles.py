"""How an arm, a verdict, a rung and a layer look and are called: apart in grey, too."""

from __future__ import annotations

import zlib
from typing import Any

from lottery.analysis import protocols, verdict
from lottery.data import title
from lottery.models import MODELS, label
from lottery.models.base import Model
from lottery.pruning.arms import ARMS
from lottery.settings import Settings

MARGIN = 100 * verdict.MARGIN  # points

Look = dict[str, Any]  # keywords of matplotlib's lines

LOOK: Look = {
    "linewidth": 1.3,
    "markersize": 5,
    "markerfacecolor": "white",
    "markeredgewidth": 1.3,
    "zorder": 4,
}
# Arms without a look of their own, and tickets made in another way, in the order they come.
STRANGERS: list[Look] = [
    {"color": "#a6761d", "linestyle": (0, (3, 1, 1, 1)), "marker": "p", "markersize": 6.5},
    {"color": "#c2185b", "linestyle": (0, (5, 1)), "marker": "<", "markersize": 6},
    {"color": "#00838f", "linestyle": (0, (1, 1)), "marker": ">", "markersize": 6},
    {"color": "#555500", "linestyle": (0, (7, 2, 1, 2)), "marker": "8", "markersize": 6},
]
VARIANTS: list[Look] = [
    {"color": "#4fa3e0", "linestyle": (0, (9, 2)), "marker": "v", "markersize": 6},
    {"color": "#b5509c", "linestyle": (0, (1, 1.2)), "marker": "P", "markersize": 6.5},
    {"color": "#7a8b00", "linestyle": (0, (5, 1, 1, 1)), "marker": "*", "markersize": 8},
    {"color": "#8d6e63", "linestyle": (0, (2, 2)), "marker": "h", "markersize": 6.5},
]
# The rungs of one ladder, from dark to light; more rungs begin anew.
RUNGS: list[Look] = [
    {"color": "#1b0c41", "linestyle": "-", "marker": "o"},
    {"color": "#5d126e", "linestyle": "--", "marker": "s"},
    {"color": "#a52c60", "linestyle": "-.", "marker": "^", "markersize": 6},
    {"color": "#dd513a", "linestyle": (0, (5, 1)), "marker": "D"},
    {"color": "#f1870c", "linestyle": ":", "marker": "v", "markersize": 6},
    {"color": "#c9a800", "linestyle": (0, (3, 1, 1, 1)), "marker": "P", "markersize": 6.5},
]
# An answer: filled, crossed or open.
STATES: dict[str, Look] = {
    "yes": {"color": "#0b5394", "marker": "o", "markersize": 7, "markerfacecolor": "#0b5394"},
    "no": {"color": "#c0392b", "marker": "X", "markersize": 7.5, "markerfacecolor": "#c0392b"},
    "open": {"color": "#7d7d7d", "marker": "D", "markersize": 6, "markerfacecolor": "white"},
}
# Which is better: a triangle up or down, a square where they are the same.
BETTER: dict[str, Look] = {
    "up": {"color": "#0b5394", "marker": "^", "markersize": 7, "markerfacecolor": "#0b5394"},
    "down": {"color": "#c0392b", "marker": "v", "markersize": 7, "markerfacecolor": "#c0392b"},
    "same": {"color": "#3d3d3d", "marker": "s", "markersize": 5.5, "markerfacecolor": "#3d3d3d"},
}
WAYS = {"rewind_step": "rewound to step", "scope global": "global pruning"}  # said and shown


def arm_look(arm: str, variant: int | None = None) -> Look:
    """An arm's look; `variant` counts the other ways in which a picture's tickets were made."""
    if variant is not None:
        return LOOK | VARIANTS[variant % len(VARIANTS)]
    # By its name, so that an arm looks the same in all pictures; crc32 is the same in all sessions.
    stranger = STRANGERS[zlib.crc32(arm.encode()) % len(STRANGERS)]
    own = ARMS[arm].look if arm in ARMS else {}
    return LOOK | stranger | {"markersize": LOOK["markersize"]} | own if own else LOOK | stranger


def rung_look(rung: int) -> Look:
    """The look of a ladder's rung, counted from 0."""
    return LOOK | RUNGS[rung % len(RUNGS)]


def arm_name(settings: Settings) -> str:
    """The arm as a picture calls it, and how else its tickets were made."""
    name = protocols.label(settings)
    for said, shown in WAYS.items():
        name = name.replace(said, shown)
    return name


def order(settings: Settings) -> tuple:
    """Where an arm stands among those of a picture: known arms first, plain ways first."""
    arms = [*ARMS, settings.arm]
    variant = protocols.variant(settings)
    return bool(variant), arms.index(settings.arm), settings.arm, protocols.words(variant)


def panel_name(dataset: str, model: str) -> str:
    """Dataset and model, e.g. "IMDb, CNN"."""
    return f"{title(dataset)}, {label(model)}"


def layer_name(tensor: str, settings: Settings) -> str:
    """A layer's name in a picture: its model's, or that of its tensor."""
    known = MODELS.get(settings.model, Model)
    return known.layer(settings, tensor)
