"""The store: one record a run, read as facts and as tables."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lottery.files import UserError, write_whole
from lottery.pruning.inside import Words
from lottery.pruning.masks import EMBEDDING
from lottery.settings import Settings

COLUMNS = [
    "dataset",
    "model",
    "arm",
    "sparsity",
    "seed",
    "valid_accuracy",
    "test_accuracy",
    "seconds",
]

LATER = ("host", "worker", "vanished", "words")  # fields that the first records lack


@dataclass(frozen=True)
class Epoch:
    """Means over the examples of one pass; the training figures are taken while it trains."""

    epoch: int  # from 1
    train_loss: float
    train_accuracy: float  # 0 to 1
    valid_loss: float
    valid_accuracy: float
    seconds: float


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
    data: dict[str, Any]  # source, fingerprint, generated, rows of each split
    best_epoch: int = 0  # the one of lowest validation loss
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_correct: str = ""
    seconds: float = 0.0
    failed: str = ""
    host: str = ""  # the machine's name
    worker: str = ""  # of a cluster; empty for a run in the process that asked for it
    vanished: dict[str, int] = field(default_factory=dict)  # `pruning.inside.vanished`
    words: tuple[Words, ...] = ()  # `pruning.inside.by_frequency`

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
    def sparsity(self) -> float:
        """Exact share of the prunable weights removed."""
        return _share(self.layers.values())

    @property
    def sparsity_without_embedding(self) -> float:
        """The same without the embedding, which holds most of the weights."""
        return _share(count for name, count in self.layers.items() if "embedding" not in name)

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
            raise UserError("is not a record")
        for name in cls.__dataclass_fields__:
            if name not in values and name not in LATER:
                raise UserError(f"field {name!r} is missing")
        try:
            record = cls(
                settings=Settings.from_json(values["settings"]),
                layers={k: (int(a), int(b)) for k, (a, b) in values["layers"].items()},
                history=tuple(Epoch(**epoch) for epoch in values["history"]),
                words=tuple(Words(**some) for some in values.get("words", ())),
                **{
                    name: values[name]
                    for name in cls.__dataclass_fields__
                    if name in values and name not in ("settings", "layers", "history", "words")
                },
            )
            problem = record._problem(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
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
        if self.failed:
            figures = (self.test_loss, self.test_accuracy, self.test_correct, self.best_epoch)
            return None if figures == (None, None, "", 0) else "it failed, and yet has figures"
        epochs = [epoch.epoch for epoch in self.history]
        if epochs != list(range(1, len(epochs) + 1)) or not 1 <= self.best_epoch <= len(epochs):
            return "'history' and 'best_epoch' do not fit together"
        figures = [self.test_loss, self.test_accuracy, self.seconds]
        figures += [value for epoch in self.history for value in asdict(epoch).values()]
        if not all(isinstance(f, (int, float)) and math.isfinite(f) for f in figures):
            return "a loss or an accuracy is not a finite number"
        if self.best.valid_loss > min(epoch.valid_loss for epoch in self.history):
            return "'best_epoch' is not the epoch of lowest validation loss"
        kept = {name: there - removed for name, (removed, there) in self.layers.items()}
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
        if abs(self.correct.mean() - self.test_accuracy) > 1e-9:
            return "'test_accuracy' is not the mean of 'test_correct'"
        return None


def pack(correct: np.ndarray) -> str:
    """bool (rows,) as the base64 of its bits, the form kept in records."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode()


def checksum(values: dict[str, Any]) -> str:
    """SHA-256 of a record's JSON values in one spelling, but for the checksum itself."""
    values = {name: value for name, value in values.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """A results folder: `runs/` is tracked, `checkpoints/` can be made again."""

    root: Path

    def record_path(self, settings: Settings) -> Path:
        return self._path("runs", settings, "json")

    def weights_path(self, settings: Settings) -> Path:
        return self._path("checkpoints", settings, "safetensors")

    def rewound_path(self, dense: Settings, step: int) -> Path:
        """The weights of a dense run after so many steps."""
        return self._path("checkpoints", dense, f"step{step}.safetensors")

    def state_path(self, settings: Settings) -> Path:
        """The last finished epoch of a run that has no record yet."""
        return self._path("checkpoints", settings, "state.safetensors")

    def lock_path(self, settings: Settings) -> Path:
        """What a process holds while it is at the run."""
        return self._path("checkpoints", settings, "lock")

    def _path(self, kind: str, s: Settings, ending: str) -> Path:
        return Path(self.root) / kind / s.dataset / s.model / f"{s.run}.{ending}"

    def get(self, settings: Settings) -> Record | None:
        """The record of a run, None if there is none; UserError if it cannot be read."""
        path = self.record_path(settings)
        return self.read(path) if path.exists() else None

    def put(self, record: Record) -> None:
        """Keep a new record. One that is there already is never overwritten."""
        path = self.record_path(record.settings)
        values = record.to_json()
        values["sha256"] = checksum(values)
        text = json.dumps(values, indent=1, allow_nan=False) + "\n"
        try:
            write_whole(path, text, overwrite=False)
        except FileExistsError:
            raise UserError(f"{path}: is there already and stays; move it to record anew") from None

    def read(self, path: Path) -> Record:
        """One record from its file, or a UserError that names the file and what is wrong."""
        try:
            values = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); move it away") from None
        except (ValueError, RecursionError):
            raise UserError(f"{path}: is not valid JSON; mend it or move it away") from None
        try:
            record = Record.from_json(values)
        except UserError as error:
            raise UserError(f"{path}: {error}; mend it or move it away") from None
        if values.get("sha256") != checksum(values):
            raise UserError(f"{path}: 'sha256' is not that of its content; mend it or move it away")
        if record.run != Path(path).stem:
            raise UserError(f"{path}: holds run {record.run}; rename or move it")
        return record

    def paths(self, dataset: str | None = None) -> list[Path]:
        """Where there are records, readable or not, in a fixed order."""
        return sorted((Path(self.root) / "runs").glob(f"{dataset or '*'}/*/*.json"))

    def records(self, dataset: str | None = None) -> tuple[list[Record], list[str]]:
        """All readable records in a fixed order, and a line for each that is not readable.

        Failed runs are among them.
        """
        good: list[Record] = []
        bad: list[str] = []
        for path in self.paths(dataset):
            try:
                good.append(self.read(path))
            except UserError as error:
                bad.append(str(error))
        return sorted(good, key=_order), bad


def table(records: Iterable[Record]) -> pd.DataFrame:
    """One short row per finished run, to print; `analysis.frame` has every column."""
    rows = []
    for r in (record for record in records if not record.failed):
        s, best = r.settings, r.best.valid_accuracy
        run = s.dataset, s.model, s.arm, r.sparsity, s.seed
        rows.append((*run, best, r.test_accuracy, r.seconds))
    return pd.DataFrame(rows, columns=COLUMNS)


def _share(counts: Iterable[tuple[int, int]]) -> float:
    counts = list(counts)
    total = sum(there for _, there in counts)
    return sum(removed for removed, _ in counts) / total if total else 0.0


def _order(record: Record) -> tuple:
    s = record.settings
    return s.dataset, s.model, s.rung, s.arm, s.ladder, s.seed, s.run
