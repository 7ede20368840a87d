"""Records to one tidy DataFrame, with every setting as a column.

    >>> from lottery import load
    >>> runs = load()
    >>> runs[runs.in_report].groupby(["dataset", "model", "label", "rung"]).test_accuracy.mean()

`results/<dataset>.csv` is this frame; a list stands there as Python writes it, for
`ast.literal_eval`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.analysis import groups, protocols, selection
from lottery.files import UserError, as_path, root
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.settings import Settings

SETTINGS = [field.name for field in fields(Settings)]
# Of each run. Sparsities are exact shares of the prunable weights, 0 to 1; losses and accuracies
# are means over examples, those on training and validation texts of the best epoch.
FIGURES = ["sparsity", "sparsity_without_embedding", *groups.OF_BEST, "test_loss", "test_accuracy"]
FIGURES += ["best_epoch", "seconds"]
COLUMNS = [*SETTINGS, "rung", "label", "in_report", *FIGURES, "texts", "device", "commit", "run"]
OF_EPOCH = ["epoch", *groups.OF_BEST, "seconds"]


def load(
    results: str | Path = "results", epochs: bool = False, correct: bool = False
) -> pd.DataFrame:
    """All finished runs of a results folder, a row each.

    Records that cannot be read are left out, each with a warning.

    Args:
        results: the folder; a relative one is the repository's.
        epochs: a row for each run and epoch instead, with that epoch's figures and seconds.
        correct: one more column, a bool array (test rows,) a run: which texts it got right
    """
    return frame(records_of(results), epochs, correct)


def records_of(results: str | Path) -> list[Record]:
    """The records of a results folder; those that cannot be read are left out with a warning.

    UserError if it is none.
    """
    folder = root() / as_path("results", results)
    if not (folder / "runs").is_dir():
        raise UserError(f"results {str(results)!r}: is no results folder; name one with runs/")
    records, unreadable = Store(folder).records()
    for line in unreadable:
        warnings.warn(line, stacklevel=3)
    return records


def frame(records: Iterable[Record], epochs: bool = False, correct: bool = False) -> pd.DataFrame:
    """The same of records at hand. `in_report`: does it stand in the report's main tables?

    `label` is the arm as the report calls it, `texts` the fingerprint of the data, `device` what
    trained it (rounding differs between them) and `commit` by which code.
    """
    records = [record for record in records if not record.failed]
    shown = {record.run for record in selection.in_report(records)}
    rows = [row for r in records for row in _rows(r, r.run in shown, epochs, correct)]
    columns = list(COLUMNS)
    if epochs:
        columns = [name for name in columns if name not in (*groups.OF_BEST, "seconds")] + OF_EPOCH
    if any(record.by_class for record in records):
        columns.insert(columns.index("test_accuracy") + 1, "macro_f1")
    return pd.DataFrame(rows, columns=columns + ["correct"] * correct)


def _rows(record: Record, shown: bool, epochs: bool, correct: bool) -> list[dict[str, Any]]:
    row = asdict(record.settings) | {
        "rung": record.settings.rung,
        "label": protocols.label(record.settings),
        "in_report": shown,
        "texts": protocols.fingerprint(record)[:12],
        "device": record.device,
        "commit": record.commit,
        "run": record.run,
    }
    row |= {name: groups.figure(record, name) for name in FIGURES}
    if record.by_class:
        row["macro_f1"] = record.macro_f1
    if correct:
        row["correct"] = record.correct
    return [row | asdict(epoch) for epoch in record.history] if epochs else [row]
