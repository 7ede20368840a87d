"""The store: one file a record, and the paths of all that belongs to a run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lottery.files import UserError, as_path, write_whole
from lottery.runs.record import Record, checksum
from lottery.settings import Settings

if TYPE_CHECKING:  # half a second to import, which a process that trains does not need
    import pandas as pd

COLUMNS = ["dataset", "model", "arm", "sparsity", "seed", "valid_accuracy", "test_accuracy"]
COLUMNS += ["macro_f1", "seconds"]  # macro-F1 of a corpus from outside

# The endings of a run's checkpoints.
WEIGHTS, TESTED = "safetensors", "tested.safetensors"
STATE, LOCK = "state.safetensors", "lock"


@dataclass(frozen=True)
class Store:
    """A results folder: `runs/` is tracked, `checkpoints/` can be made again."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", as_path("store", self.root))  # a string will do

    @property
    def checkpoints(self) -> Path:
        """Where weights, states and locks lie, a folder a dataset and in it one a model."""
        return self.root / "checkpoints"

    def record_path(self, settings: Settings) -> Path:
        return self._path("runs", settings, "json")

    def weights_path(self, settings: Settings) -> Path:
        return self._path("checkpoints", settings, WEIGHTS)

    def tested_path(self, settings: Settings) -> Path:
        """The network that was tested, packed."""
        return self._path("checkpoints", settings, TESTED)

    def rewound_path(self, dense: Settings, step: int) -> Path:
        """The weights of a dense run after so many steps."""
        return self._path("checkpoints", dense, f"step{step}.safetensors")

    def state_path(self, settings: Settings) -> Path:
        """The last finished epoch of a run that has no record yet."""
        return self._path("checkpoints", settings, STATE)

    def lock_path(self, settings: Settings) -> Path:
        """What a process holds while it is at the run."""
        return self._path("checkpoints", settings, LOCK)

    def _path(self, kind: str, s: Settings, ending: str) -> Path:
        return self.root / kind / s.dataset / s.model / f"{s.run}.{ending}"

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
        record = self._read(path)
        if record.run != Path(path).stem:
            raise UserError(f"{path}: holds run {record.run}; rename or move it")
        return record

    def misnamed(self) -> list[Record]:
        """The records that lie under another name than their run's."""
        found = []
        for path in self.paths():
            with suppress(UserError):
                record = self._read(path)
                if record.run != path.stem:
                    found.append(record)
        return found

    def _read(self, path: Path) -> Record:
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
        return record

    def paths(self, dataset: str | None = None) -> list[Path]:
        """Where there are records, readable or not, in a fixed order."""
        return sorted((self.root / "runs").glob(f"{dataset or '*'}/*/*.json"))

    def datasets(self) -> list[str]:
        """Those that have records here, readable or not."""
        return sorted({path.parent.parent.name for path in self.paths()})

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
        return sorted(good, key=in_order), bad


def in_order(record: Record) -> tuple:
    """By what records stand in their fixed order."""
    s = record.settings
    return s.dataset, s.model, s.rung, s.arm, s.ladder, s.seed, s.run


def table(records: Iterable[Record]) -> pd.DataFrame:
    """One short row per finished run, to print; `analysis.frame` has every column."""
    import pandas as pd

    rows = []
    for r in (record for record in records if not record.failed):
        s, best = r.settings, r.best.valid_accuracy
        run = s.dataset, s.model, s.arm, r.sparsity, s.seed
        rows.append((*run, best, r.test_accuracy, r.macro_f1, r.seconds))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame if frame["macro_f1"].notna().any() else frame.drop(columns="macro_f1")
