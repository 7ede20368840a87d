"""Weights to scores: what has a low score is pruned first. A new score is one function here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

Weights = Mapping[str, Tensor]


def magnitude(weights: Weights) -> dict[str, Tensor]:
    """|w| (Han et al. 2015, section 3; Frankle & Carbin 2019, section 2)."""
    return {name: weight.abs() for name, weight in weights.items()}


SCORES: dict[str, Callable[[Weights], dict[str, Tensor]]] = {"magnitude": magnitude}
