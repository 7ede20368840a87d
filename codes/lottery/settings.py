"""Every number that can change a result. The hash of these is a run's name.

A field is told here once: default, bounds, help and whom it belongs to. What is checked, what has
no say in a run, the command line, the table in docs/settings.md and the columns of the tables are
made from that. Which datasets, models, arms and scores there are is said by their registries.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from functools import cached_property, lru_cache
from numbers import Integral
from numbers import Real as RealNumber
from typing import Any

from lottery.files import UserError, check_known, shown

# What tells the runs of a study apart; nobody sets it by hand.
OF_RUN = ("dataset", "model", "arm", "ladder", "seed", "code")
OF_CORPUS = ("split_seed", "vocabulary_size")  # what makes a corpus, as `data.load` takes it


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def __call__(self, name: str, value: Any) -> int:
        whole = isinstance(value, Integral) and not isinstance(value, bool)  # NumPy's, too
        if not whole or not self.least <= value <= self.most:
            raise UserError(
                f"{name} {shown(value)} is not a whole number from {self.least} to {self.most}"
            )
        return int(value)

    def __str__(self) -> str:
        return f"{self.least} to {self.most:,}"


@dataclass(frozen=True)
class Real:
    """A number from `least` to `most`, or greater than `least` where that is `open`."""

    least: float
    most: float
    open: bool = False

    def __call__(self, name: str, value: Any) -> float:
        if isinstance(value, RealNumber) and not isinstance(value, (Integral, float)):
            # 1e-3 in 32 bits is another number
            raise UserError(f"{name} {shown(value)} is no number of Python: write float(…)")
        number = isinstance(value, (Integral, float)) and not isinstance(value, bool)
        if not number or not self.least <= value <= self.most or not math.isfinite(value):
            raise UserError(
                f"{name} {shown(value)} is not a number from {self.least:g} to {self.most:g}"
            )
        if value == self.least and self.open:
            raise UserError(f"{name} {shown(value)} must be greater than {self.least:g}")
        return float(value) + 0.0  # 0, 0.0 and -0.0 are one name

    def __str__(self) -> str:
        return f"{'above ' if self.open else ''}{self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class Rate(Real):
    """A share that is dropped, below 1."""

    least: float = 0.0
    most: float = 1.0

    def __call__(self, name: str, value: Any) -> float:
        share = super().__call__(name, value)
        if share == 1:
            raise UserError(f"{name} 1 would drop everything: take a share below 1")
        return share

    def __str__(self) -> str:
        return "0 to below 1"


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def __call__(self, name: str, value: Any) -> str:
        return check_known(name, value, self.words)

    def __str__(self) -> str:
        return ", ".join(self.words)


@dataclass(frozen=True)
class Several:
    """A list, each of which is checked."""

    each: Callable[[str, Any], Any]
    least: int = 0
    sort: bool = False  # the order means nothing

    def __call__(self, name: str, values: Any) -> tuple:
        checked = tuple(self.each(name, value) for value in values)
        if len(checked) < self.least:
            raise UserError(f"{name} is empty: give at least one, e.g. 3")
        return tuple(sorted(set(checked))) if self.sort else checked

    def __str__(self) -> str:
        return f"list, each {self.each}"


@dataclass(frozen=True)
class Name:
    """A name that another part of the program knows."""

    of: str

    def __call__(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise UserError(f"{name} {shown(value)} is not the name of {self.of}")
        return value

    def __str__(self) -> str:
        return f"the name of {self.of}"


@dataclass(frozen=True)
class Belongs:
    """Whom a setting belongs to; in other runs it has no say and stays at its default."""

    to: str
    test: Callable[[Settings], bool]


CNN = Belongs("cnn", lambda s: s.model == "cnn")
LSTM = Belongs("lstm", lambda s: s.model == "lstm")
PRUNED = Belongs("pruned runs", lambda s: s.arm != "dense")
GRADED = Belongs(
    "scores other than magnitude", lambda s: s.arm != "dense" and s.score != "magnitude"
)
LAYER = Belongs("scope layer", lambda s: s.arm != "dense" and s.scope == "layer")
# Arms that take another dataset's mask, one's own among them, are known by their names.
TRANSFERRED = "transferred"
TRAVELS = Belongs(f"arms called {TRANSFERRED}", lambda s: s.arm.startswith(TRANSFERRED))
# Arms that do not look at what is rewound, and what of `pruning.arms.Origins` they start from. An
# arm departs from `lt` in one thing: one that starts from other than first values has its mask.
STARTS = dict.fromkeys(("random_mask", "shuffled", "exchanged"), "first")
STARTS |= {"random": "new_draw", "finetune": "trained"}
# The first mask is scored on the dense weights, whatever the tickets are rewound to.
REWOUND = Belongs(
    "lt, and what stands on it",
    lambda s: s.arm != "dense" and (s.rung > 1 or s.arm not in STARTS),
)


def setting(default: Any, bounds: Any, said: str, of: Belongs | None = None) -> Any:
    """A field of Settings: its default, what it may be, what it is, and whom it belongs to."""
    return field(default=default, metadata={"bounds": bounds, "help": said, "of": of})


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
    seed: int = setting(0, Whole(0, 2**32 - 1), "names first weights, order of the data, dropout")
    # Data. One split for all seeds: seeds then measure training, not the split.
    split_seed: int = setting(
        0, Whole(0, 2**32 - 1), "names the division into train, validation and test"
    )
    vocabulary_size: int = setting(25_000, Whole(3, 10**7), "words kept, with <pad> and <unk>")
    # 400 leaves 83 % of the IMDb reviews whole
    max_tokens: int = setting(400, Whole(1, 10**6), "later tokens of a text are cut")
    # Model
    embedding_size: int = setting(100, Whole(1, 65_536), "numbers that stand for a word")
    # Kim 2014, section 3.1
    filters: int = setting(100, Whole(1, 65_536), "filters of each width", CNN)
    widths: tuple[int, ...] = setting(
        (3, 4, 5), Several(Whole(1, 1_000), least=1), "words a filter sees", CNN
    )
    hidden: int = setting(128, Whole(1, 65_536), "units per direction", LSTM)
    layers: int = setting(1, Whole(1, 64), "stacked layers", LSTM)
    directions: int = setting(2, Whole(1, 2), "2 reads the text both ways", LSTM)
    pooling: str = setting("max", Choice(("max", "mean", "last")), "of the states over time", LSTM)
    # Kim 2014, section 2.1
    dropout: float = setting(0.5, Rate(), "share of the pooled features dropped in training")
    # Whole rows of the embedding (Gal & Ghahramani 2016, section 4.2)
    word_dropout: float = setting(0.0, Rate(), "share of words dropped in training")
    # Training
    learning_rate: float = setting(1e-3, Real(0.0, 10.0, open=True), "Adam's")
    batch_size: int = setting(64, Whole(1, 10**6), "texts a step")
    epochs: int = setting(10, Whole(1, 10_000), "passes over the training texts")
    schedule: str = setting(
        "constant",
        Choice(("constant", "linear")),
        "the learning rate's course: constant, or linear to zero",
    )
    # Desai et al. 2019 take 1e-5
    weight_decay: float = setting(0.0, Real(0.0, 1.0), "L2 inside Adam's gradient")
    # Pruning
    score: str = setting(
        "magnitude", Name("a score"), "what has a low score is pruned first", PRUNED
    )
    # A fifth of AG-news: words that the sample lacks have no gradient
    score_texts: int = setting(
        16_384, Whole(1, 10**9), "training texts whose gradient a score may ask for", GRADED
    )
    scored_at: str = setting(
        "last", Choice(("last", "best")), "epoch whose weights are scored", PRUNED
    )
    kept_dense: tuple[str, ...] = setting(
        (), Several(Name("a tensor"), sort=True), "tensors never pruned", PRUNED
    )
    scope: str = setting(
        "layer",
        Choice(("layer", "global")),
        "prune each layer by itself (layer) or all together (global)",
        PRUNED,
    )
    # Frankle & Carbin 2019: half the rate
    output_rate: float = setting(
        0.5, Real(0.0, 1.0), "the output layer's share of each round's rate", LAYER
    )
    rewind_step: int = setting(
        0, Whole(0, 10**9), "lt starts from the weights after so many steps; 0: θ₀", REWOUND
    )
    source: str = setting("", Name("a dataset"), "the dataset whose ladder gave the mask", TRAVELS)

    # Filled by `plugins.register`: an edited rule is another run
    code: tuple[str, ...] = setting(
        (), Several(Name("a source"), sort=True), "what is not the package's own, with its digest"
    )

    @property
    def pair(self) -> tuple[str, str]:
        """What a recipe is chosen for: dataset and model."""
        return self.dataset, self.model

    @property
    def of_corpus(self) -> dict[str, int]:
        """The settings of OF_CORPUS."""
        return {name: getattr(self, name) for name in OF_CORPUS}

    @property
    def rung(self) -> int:
        """Rounds of pruning behind this run; 0 for dense."""
        return len(self.ladder)

    @property
    def sparsity(self) -> float:
        """Share of prunable weights asked to be removed, 0 to 1."""
        return self.ladder[-1] if self.ladder else 0.0

    @cached_property
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

    @cached_property
    def protocol(self) -> Settings:
        """What all runs of one comparison share: these settings without arm, ladder and seed."""
        return replace(self, arm="dense", seed=0).normal()

    def normal(self) -> Settings:
        """Put options that cannot change this run at their defaults, so that it has one name."""
        return _normal(self, tuple(type(getattr(self, f.name)) for f in fields(self)))

    def checked(self) -> Settings:
        """These settings, normal, or a UserError that names the first field out of bounds."""
        ladder = check_ladder(self.ladder)
        if self.arm != "dense" and not ladder:
            raise UserError(f"arm {self.arm!r} needs a sparsity, e.g. --sparsity 0.5")
        if TRAVELS.test(self) and not self.source:
            raise UserError(
                f"arm {self.arm!r} needs the dataset whose ladder gives its mask, e.g. "
                f"--source agnews"
            )
        values = {
            f.name: f.metadata["bounds"](f.name, getattr(self, f.name)) for f in options(type(self))
        }
        return replace(self, ladder=ladder, **values).normal()

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


# A report asks for the same few hundred, tens of thousands of times. `kinds` are the fields' types:
# 1 and 1.0 are equal, but give a run two names.
@lru_cache(maxsize=2**14)
def _normal(settings: Settings, kinds: tuple[type, ...]) -> Settings:
    made = replace(settings, ladder=()) if settings.arm == "dense" else settings
    owned = [f for f in options(type(settings)) if f.metadata["of"]]
    idle = {f.name: f.default for f in owned if not f.metadata["of"].test(made)}
    used = [("model", made.model), ("arm", made.arm)]
    used += [("score", made.score)] * (made.arm != "dense")
    code = tuple(part for part in made.code if tuple(part.split(" ")[:2]) in used)
    return replace(made, code=code, **idle)


def options(of: type[Settings] | None = None) -> list[Field]:
    """The fields that have bounds: all but dataset, model, arm and ladder."""
    return [f for f in fields(of or Settings) if f.metadata]


def settable() -> list[Field]:
    """The options that a person gives by name; seeds are listed, and code is found."""
    return [f for f in options() if f.name not in OF_RUN]


def told(f: Field) -> tuple[str, str, str, str]:
    """A field for people: its default, what it may be, what it is, whom it belongs to."""
    default = f.default if not isinstance(f.default, tuple) else " ".join(map(str, f.default))
    owner = f.metadata["of"].to if f.metadata["of"] else ""
    return str(default) or "none", str(f.metadata["bounds"]), f.metadata["help"], owner


def table() -> str:
    """All settings as a markdown table, that of docs/settings.md."""
    rows = [("setting", "default", "may be", "what it is", "of"), ("---",) * 5]
    rows += [(f"`{f.name}`", *told(f)) for f in options()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def title(settings: Settings) -> str:
    """A run in words, e.g. "cnn lt 0.5 seed 0"."""
    rung = f" {settings.sparsity:g}" if settings.rung else ""
    origin = f" from {settings.source}" if settings.source else ""
    return f"{settings.model} {settings.arm}{origin}{rung} seed {settings.seed}"


def check_ladder(ladder: Iterable[float]) -> tuple[float, ...]:
    """`ladder` as a tuple of floats, or a UserError if it does not rise strictly within (0, 1)."""
    steps = tuple(ladder)
    for step in steps:
        if isinstance(step, bool) or not isinstance(step, (int, float)):
            raise UserError(f"sparsity {shown(step)} is not a number; write one, e.g. 0.5")
        if not 0 < step < 1:
            raise UserError(
                f"sparsity {shown(step)} is outside (0, 1): it is the share of weights removed, "
                f"e.g. 0.5"
            )
    for below, above in itertools.pairwise(steps):
        if above <= below:
            raise UserError(
                f"sparsities must rise, but {above} follows {below}: write {sorted(set(steps))}"
            )
    return tuple(float(step) for step in steps)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
