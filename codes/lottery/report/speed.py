"""What dense network and ticket take of a machine, as `benchmarks/tickets.py` measured it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from lottery.analysis.verdict import order, pair_name
from lottery.files import UserError
from lottery.report.words import percent, short
from lottery.runs.record import Record
from lottery.runs.store import Store

WAYS = {"torch": "dense, PyTorch's layers", "dense": "dense", "ticket": "ticket"}
WORDS = (
    "On {cpu} with {threads} threads, PyTorch {torch}, on the pair's test texts, medians of "
    "{rounds} rounds. *Disk*: weights and mask; *memory*: the peak of a process that loads the "
    "network and answers 64 texts, Python and PyTorch among it; *a second*: texts, in batches of "
    "256. PyTorch's layers get padded texts: the 64 as drawn, the 256 of like length. *Accuracy*: "
    "of this one run. Measured by `benchmarks/tickets.py`."
)


@dataclass(frozen=True)
class Measured:
    """One way of one network."""

    dataset: str
    model: str
    way: str  # of WAYS
    run: str
    bytes: int  # on disk
    mib: float | None  # peak memory of a process; None where the system does not say
    ms_1: float  # for one text
    ms_64: float  # for 64 at once
    texts_a_second: float


@dataclass(frozen=True)
class Speed:
    """All that was measured, and on what."""

    machine: dict
    rounds: int
    rows: tuple[Measured, ...]

    @property
    def caption(self) -> str:
        facts = {name.removeprefix("machine."): value for name, value in self.machine.items()}
        return WORDS.format(rounds=self.rounds, **facts)


def read(store: Store) -> Speed | None:
    """A store's speed.json, None if there is none; UserError if it cannot be read."""
    path = store.root / "speed.json"
    try:
        found = json.loads(path.read_bytes())
        rows = tuple(Measured(**row) for row in found["rows"])
        speed = Speed(found["machine"], found["rounds"], rows)
        if not all(row.way in WAYS for row in rows):
            raise ValueError
        speed.caption  # noqa: B018
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        remedy = "run `python benchmarks/tickets.py` again, or remove it"
        raise UserError(f"{path}: is not what the benchmark writes; {remedy}") from None
    return speed


def matched(speed: Speed | None, records: Iterable[Record]) -> list[tuple[Measured, Record]]:
    """What was measured of these records' runs, pair by pair; what has no record is not shown."""
    if speed is None:
        return []
    known = {(r.settings.dataset, r.settings.model, r.run): r for r in records if not r.failed}
    found = [(row, known.get((row.dataset, row.model, row.run))) for row in speed.rows]
    shown = [(row, record) for row, record in found if record is not None]
    return sorted(shown, key=lambda two: order((two[0].dataset, two[0].model)))


def table(speed: Speed | None, records: Iterable[Record]) -> pd.DataFrame:
    """One row a pair and way: what it takes, and its test accuracy."""
    found = matched(speed, records)
    rows = [
        {
            "Network": WAYS[row.way],
            "Sparsity": short(record.settings.sparsity),
            "Test Acc.": percent(record.test_accuracy),
            "Disk, MB": f"{row.bytes / 1e6:.2f}",
            "Memory, MiB": "–" if row.mib is None else f"{row.mib:,.0f}",
            "1 text, ms": f"{row.ms_1:.2f}",
            "64 texts, ms": f"{row.ms_64:.2f}",
            "A second": f"{row.texts_a_second:,.0f}",
        }
        for row, record in found
    ]
    return pd.DataFrame(
        rows, index=[pair_name(row.dataset, row.model) for row, _ in found]
    ).rename_axis(columns="Pair")
