"""Every number that can change a result. The hash of these is a run's name.

Which datasets, models, arms and scores there are is said by their own registries (`DATASETS`,
`MODELS`, `ARMS`, `SCORES`); here stand the numbers.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from lottery.files import UserError

POOLINGS = ("max", "mean", "last")
SCOPES = ("layer", "global")
SCHEDULES = ("constant", "linear")
EPOCHS_SCORED = ("last", "best")


OWN = ("dataset", "model", "arm", "ladder", "seed")  # what tells the runs of a study apart


@dataclass(frozen=True)
class Settings:
    """One run: one training of one model with one mask from one set of starting weights.

    `ladder` holds the sparsities up to and with the run's own rung, because each rung's mask
    comes from the one below; longer ladders with the same beginning share their records.
    """

    dataset: str
    model: str
    arm: str = "dense"
    ladder: tuple[float, ...] = ()  # pruned share at each rung so far; empty for dense
    seed: int = 0
    # Data
    split_seed: int = 0  # one split for all seeds: seeds then measure training, not the split
    vocabulary_size: int = 25_000  # with <pad> and <unk>
    max_tokens: int = 400  # later tokens are cut; 400 leaves 83 % of the IMDb reviews whole
    # Model
    embedding_size: int = 100
    filters: int = 100  # of each width (Kim 2014, section 3.1)
    widths: tuple[int, ...] = (3, 4, 5)
    hidden: int = 128  # per direction
    layers: int = 1
    directions: int = 2
    pooling: str = "max"  # over the LSTM's states in time
    dropout: float = 0.5  # on the pooled vector (Kim 2014, section 2.1)
    word_dropout: float = 0.0  # whole rows of the embedding (Gal & Ghahramani 2016, section 4.2)
    # Training
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 10
    schedule: str = "constant"  # the learning rate's course; linear: to zero over all steps
    weight_decay: float = 0.0  # L2 inside Adam's gradient (Desai et al. 2019 take 1e-5)
    # Pruning
    score: str = "magnitude"
    scored_at: str = "last"  # epoch whose weights are scored: the last one, or the best
    kept_dense: tuple[str, ...] = ()  # tensors never pruned, e.g. embedding.weight
    scope: str = "layer"
    output_rate: float = 0.5  # the output layer is pruned at half the rate (Frankle & Carbin 2019)
    rewind_step: int = 0  # 0 rewinds to the initial weights; k to those after k optimiser steps

    @property
    def pair(self) -> tuple[str, str]:
        """What a recipe is chosen for: dataset and model."""
        return self.dataset, self.model

    @property
    def rung(self) -> int:
        """Rounds of pruning behind this run; 0 for dense."""
        return len(self.ladder)

    @property
    def sparsity(self) -> float:
        """Share of prunable weights asked to be removed, 0 to 1."""
        return self.ladder[-1] if self.ladder else 0.0

    @property
    def is_stood_on(self) -> bool:
        """May a further rung's mask be scored on this run's trained weights?"""
        return self.arm in ("dense", "lt")

    @property
    def run(self) -> str:
        """The run's name: a hash of what differs from the defaults.

        Defaults are left out, so that a new option keeps the names of old records.
        """
        text = json.dumps(self.spoken(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def spoken(self) -> dict[str, Any]:
        """The fields that have no default or differ from it, as JSON values."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.default is MISSING or getattr(self, field.name) != field.default
        }

    def stream(self, *names: object) -> int:
        """A seed for one purpose, independent of the streams of all other names (63 bits).

        Only `seed` and `names` enter: every arm of a seed meets the same values.
        """
        text = "/".join(map(str, (self.seed, *names)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def protocol(self) -> Settings:
        """What all runs of one comparison share: these settings without arm, ladder and seed."""
        return replace(self, arm="dense", seed=0).normal()

    def normal(self) -> Settings:
        """Put options that cannot change this run at their defaults, so that it has one name."""
        changes: dict[str, Any] = {}
        if self.arm == "dense":
            changes |= {"ladder": (), "rewind_step": 0, "output_rate": 0.5}
            changes |= {"score": "magnitude", "scope": "layer"}
            changes |= {"scored_at": "last", "kept_dense": ()}
        elif self.arm != "lt" and self.rung == 1:
            changes |= {"rewind_step": 0}  # the first mask is scored on the dense weights
        if self.scope == "global":
            changes |= {"output_rate": 0.5}
        if self.model == "cnn":
            changes |= {"hidden": 128, "layers": 1, "directions": 2, "pooling": "max"}
        elif self.model == "lstm":
            changes |= {"filters": 100, "widths": (3, 4, 5)}
        return replace(self, **changes)

    def checked(self) -> Settings:
        """These settings, normal, or a UserError that names the first field out of bounds."""
        _choice("pooling", self.pooling, POOLINGS)
        _choice("scope", self.scope, SCOPES)
        _choice("schedule", self.schedule, SCHEDULES)
        _choice("scored_at", self.scored_at, EPOCHS_SCORED)
        check_ladder(self.ladder)
        if self.arm != "dense" and not self.ladder:
            raise UserError(f"arm {self.arm!r} needs a sparsity, e.g. --sparsity 0.5")
        _whole("seed", self.seed, 0, 2**32 - 1)
        _whole("split_seed", self.split_seed, 0, 2**32 - 1)
        _whole("vocabulary_size", self.vocabulary_size, 3, 10_000_000)
        _whole("max_tokens", self.max_tokens, 1, 1_000_000)
        _whole("embedding_size", self.embedding_size, 1, 65_536)
        _whole("filters", self.filters, 1, 65_536)
        _whole("hidden", self.hidden, 1, 65_536)
        _whole("layers", self.layers, 1, 64)
        _whole("directions", self.directions, 1, 2)
        _whole("batch_size", self.batch_size, 1, 1_000_000)
        _whole("epochs", self.epochs, 1, 10_000)
        _whole("rewind_step", self.rewind_step, 0, 10**9)
        if not self.widths:
            raise UserError("widths is empty: give at least one filter width, e.g. 3")
        for width in self.widths:
            _whole("widths", width, 1, 1_000)
        _share("dropout", self.dropout)
        _share("word_dropout", self.word_dropout)
        for name in self.kept_dense:
            if not isinstance(name, str):
                raise UserError(f"kept_dense {name!r} is not the name of a tensor")
        _real("learning_rate", self.learning_rate, 0.0, 10.0)
        _real("weight_decay", self.weight_decay, 0.0, 1.0, closed=True)
        _real("output_rate", self.output_rate, 0.0, 1.0, closed=True)
        reals = ("dropout", "word_dropout", "learning_rate", "weight_decay", "output_rate")
        same = {name: float(getattr(self, name)) for name in reals}  # 0 and 0.0 are one name
        ladder = tuple(float(step) for step in self.ladder)
        kept_dense = tuple(sorted(set(self.kept_dense)))
        whole = {"ladder": ladder, "widths": tuple(self.widths), "kept_dense": kept_dense}
        return replace(self, **whole, **same).normal()

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """The inverse of `to_json`; options unknown to the writer stay at their defaults."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(f"settings: unknown field {unknown[0]!r}; is this project older?")
        listed = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            return cls(**listed)
        except TypeError as error:
            raise UserError(f"settings: {error}") from None


def title(settings: Settings) -> str:
    """A run in words, e.g. "cnn lt 0.5 seed 0"."""
    rung = f" {settings.sparsity:g}" if settings.rung else ""
    return f"{settings.model} {settings.arm}{rung} seed {settings.seed}"


def check_ladder(ladder: Iterable[float]) -> tuple[float, ...]:
    """`ladder` as a tuple of floats, or a UserError if it does not rise strictly within (0, 1)."""
    steps = tuple(ladder)
    for step in steps:
        if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 < step < 1:
            raise UserError(
                f"sparsity {step!r} is outside (0, 1): it is the share of weights removed, e.g. 0.5"
            )
    for below, above in itertools.pairwise(steps):
        if above <= below:
            raise UserError(
                f"sparsities must rise, but {above} follows {below}: write {sorted(set(steps))}"
            )
    return tuple(float(step) for step in steps)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"unknown {name} {value!r}: there are {', '.join(known)}")


def _whole(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UserError(f"{name} {value!r} is not a whole number from {least} to {most}")


def _real(name: str, value: Any, least: float, most: float, closed: bool = False) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not least <= value <= most:
        raise UserError(f"{name} {value!r} is not a number from {least:g} to {most:g}")
    if value == least and not closed:
        raise UserError(f"{name} {value!r} must be greater than {least:g}")


def _share(name: str, value: Any) -> None:
    _real(name, value, 0.0, 1.0, closed=True)
    if value == 1:
        raise UserError(f"{name} 1 would drop everything: take a share below 1")
