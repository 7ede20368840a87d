"""One record a run: all that it leaves, and whether it agrees with itself."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lottery.data.balance import macro_f1
from lottery.files import UserError
from lottery.pruning.masks import EMBEDDING
from lottery.pruning.tally import Words
from lottery.pruning.transfer import Transfer
from lottery.settings import Settings
from lottery.training.epoch import Epoch

OBJECTS = ("settings", "layers", "versions", "data")
READ = ("settings", "layers", "history", "words", "transfer")  # fields that are no JSON values


@dataclass(frozen=True)
class Record:
    """All that one run leaves behind.

    `layers` counts, for each prunable tensor, the weights removed and the weights there were.
    `test_correct` holds one bit for each test example, in the corpus's order (see `correct`).
    A run whose loss did not stay finite says so in `failed` and has no figures.
    """

    settings: Settings
    layers: dict[str, tuple[int, int]]
    history: tuple[Epoch, ...]
    device: str
    threads: int
    versions: dict[str, str]
    commit: str
    # Source, fingerprint, generated, rows of each split, repeats; `Corpus.own`
    data: dict[str, Any]
    best_epoch: int = 0  # the one of lowest validation loss
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_correct: str = ""
    seconds: float = 0.0
    failed: str = ""
    # From here on the first records lack it (`LATER`).
    host: str = ""  # the machine's name
    worker: str = ""  # of a cluster; empty for a run in the process that asked for it
    vanished: dict[str, int] = field(default_factory=dict)  # `pruning.tally.vanished`
    words: tuple[Words, ...] = ()  # `pruning.tally.by_frequency`
    # Of each class, in the order of `data`, how often it was "said" of a test text and how often
    # that was "right"; of a corpus from outside alone.
    by_class: dict[str, list[int]] = field(default_factory=dict)
    # Tensors of which the kept weights alone were multiplied (`models.base.Model.sparse`)
    sparse: list[str] = field(default_factory=list)
    transfer: Transfer | None = None  # of a run with a mask from another dataset's ladder
    mask: str = ""  # `pruning.masks.digest`: two runs with one of these have the same mask

    @property
    def run(self) -> str:
        return self.settings.run

    @property
    def outcome(self) -> str:
        """In words: the test figures, or why there are none."""
        if self.failed:
            return f"no figures ({self.failed})"
        return f"test accuracy {self.test_accuracy:.4f} and loss {self.test_loss:.4f}"

    @property
    def best(self) -> Epoch:
        """The epoch whose weights were tested."""
        return self.history[self.best_epoch - 1]

    @property
    def kept(self) -> dict[str, int]:
        """How many weights of each prunable tensor are left."""
        return {name: there - removed for name, (removed, there) in self.layers.items()}

    @property
    def sparsity(self) -> float:
        """Exact share of the prunable weights removed."""
        return _share(self.layers.values())

    @property
    def sparsity_without_embedding(self) -> float:
        """The same without the embedding, which holds most of the weights."""
        return _share(count for name, count in self.layers.items() if name != EMBEDDING)

    @property
    def classes(self) -> list[str]:
        """Those of a corpus from outside; of the project's own none."""
        return self.data.get("classes", [])

    @property
    def macro_f1(self) -> float | None:
        """On the test set, 0 to 1; None if the classes were not counted."""
        if not self.by_class:
            return None
        texts = self.data["labels"]["test"]
        return macro_f1(texts, self.by_class["said"], self.by_class["right"])

    @property
    def correct(self) -> np.ndarray:
        """bool (test rows,): was each test example classified correctly?"""
        packed = np.frombuffer(base64.b64decode(self.test_correct, validate=True), np.uint8)
        return np.unpackbits(packed, count=self.data["rows"]["test"]).astype(bool)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, the derived sparsities spelled out for other readers."""
        values = asdict(self) | {"run": self.run, "settings": self.settings.to_json()}
        return {"format": 1, **values, **self._derived()}

    def _derived(self) -> dict[str, Any]:
        return {
            "rung": self.settings.rung,
            "sparsity": self.sparsity,
            "sparsity_without_embedding": self.sparsity_without_embedding,
            "sparsity_by_layer": {k: _share([count]) for k, count in self.layers.items()},
        }

    @classmethod
    def from_json(cls, values: Any) -> Record:
        """The inverse of `to_json`. UserError names the first field that is missing or wrong."""
        if not isinstance(values, dict):
            raise UserError("is no JSON object, as a record is")
        for name in FIELDS:
            if name not in values and name not in LATER:
                raise UserError(f"field {name!r} is missing")
        for name in OBJECTS:
            if not isinstance(values[name], dict):
                raise UserError(f"{name!r} is no JSON object")
        try:
            record = cls(
                settings=Settings.from_json(values["settings"]),
                layers={k: (int(a), int(b)) for k, (a, b) in values["layers"].items()},
                history=tuple(Epoch(**epoch) for epoch in values["history"]),
                words=tuple(Words(**some) for some in values.get("words", ())),
                transfer=Transfer.from_json(values.get("transfer")),
                **{name: values[name] for name in FIELDS if name in values and name not in READ},
            )
            problem = record._problem(values)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(f"has a field of the wrong shape ({error})") from None
        if problem:
            raise UserError(problem)
        return record

    def _problem(self, values: dict[str, Any]) -> str | None:
        """The first way in which the record contradicts itself."""
        if values["run"] != self.run:
            return f"'run' says {values['run']}, but the settings' name is {self.run}"
        for name in ("source", "fingerprint", "generated", "rows"):
            if name not in self.data:
                return f"'data' lacks {name!r}"
        if set(self.data["rows"]) != {"train", "valid", "test"}:
            return "'rows' in 'data' must count train, valid and test"
        for name, value in self._derived().items():
            if name not in values:
                return f"field {name!r} is missing"
            if values[name] != value:
                return f"{name!r} does not match the settings and the counts in 'layers'"
        if problem := self._problem_of_transfer():
            return problem
        if self.failed:
            figures = (self.test_loss, self.test_accuracy, self.test_correct, self.best_epoch)
            return None if figures == (None, None, "", 0) else "it failed, and yet has figures"
        epochs = [epoch.epoch for epoch in self.history]
        if epochs != list(range(1, len(epochs) + 1)) or not 1 <= self.best_epoch <= len(epochs):
            return "'history' and 'best_epoch' do not fit together"
        figures = {n: getattr(self, n) for n in ("test_loss", "test_accuracy", "seconds")}
        for epoch in self.history:
            figures |= {f"{n} of epoch {epoch.epoch}": v for n, v in asdict(epoch).items()}
        for name, value in figures.items():
            if not (isinstance(value, (int, float)) and math.isfinite(value)):
                return f"{name} is not a finite number"
        if self.best.valid_loss > min(epoch.valid_loss for epoch in self.history):
            return "'best_epoch' is not the epoch of lowest validation loss"
        kept = self.kept
        if any(not 0 <= count <= kept.get(name, -1) for name, count in self.vanished.items()):
            return "'vanished' counts more weights than 'layers' leaves"
        if (
            self.words
            and self.vanished
            and (
                sum(some.kept for some in self.words) != kept.get(EMBEDDING)
                or sum(some.vanished for some in self.words) != self.vanished.get(EMBEDDING)
            )
        ):
            return "'words' does not add up to what 'layers' and 'vanished' say of the embedding"
        if pack(self.correct) != self.test_correct:
            return "'test_correct' does not hold one bit for each test row"
        if self.by_class and not self._counts_add_up():
            return "'by_class' does not add up to the test rows and the right ones"
        if abs(self.correct.mean() - self.test_accuracy) > 1e-9:
            return "'test_accuracy' is not the mean of 'test_correct'"
        return None

    def _problem_of_transfer(self) -> str | None:
        if self.transfer is None:
            wanted = self.settings.source and not self.failed
            return "'transfer' is missing, though the mask came from elsewhere" if wanted else None
        one = self.transfer
        kept = self.kept
        sums = sum(kept.values()), sum(kept.values()) - kept.get(EMBEDDING, 0)
        parts = all(0 <= some <= of for some, of in one.counts)
        words = 0 <= one.shared <= one.words and 0 <= one.own_inner <= one.own
        if not self.settings.source or not parts or not words or (one.kept, one.inner) != sums:
            return "'transfer' does not add up to what 'layers' says"
        return None

    def _counts_add_up(self) -> bool:
        texts, said, right = (
            np.array(counts)
            for counts in (self.data["labels"]["test"], *map(self.by_class.get, ("said", "right")))
        )
        one = len(texts) == len(said) == len(right) == len(self.classes)
        return bool(
            one
            and texts.sum() == said.sum() == len(self.correct)
            and right.sum() == self.correct.sum()
            and (right >= 0).all()
            and (right <= np.minimum(texts, said)).all()
        )


FIELDS = tuple(Record.__dataclass_fields__)
LATER = FIELDS[FIELDS.index("host") :]


def pack(correct: np.ndarray) -> str:
    """bool (rows,) as the base64 of its bits, the form kept in records."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode()


def checksum(values: dict[str, Any]) -> str:
    """SHA-256 of a record's JSON values in one spelling, but for the checksum itself."""
    values = {name: value for name, value in values.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _share(counts: Iterable[tuple[int, int]]) -> float:
    counts = list(counts)
    total = sum(there for _, there in counts)
    return sum(removed for removed, _ in counts) / total if total else 0.0
