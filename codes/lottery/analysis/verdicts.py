"""What the report's marks stand for, as one tidy DataFrame: a row a question that was run.

    >>> from lottery import verdicts
    >>> found = verdicts()
    >>> found[(found.question == "ticket") & (found.state == "yes")]

`results/verdicts.csv` is this frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lottery.analysis import verdict
from lottery.analysis.frame import records_of
from lottery.runs.record import Record

COLUMNS = ["dataset", "model", "tickets", "sparsity", "question", "state", "mean", "low", "high"]
COLUMNS += ["seeds", "needed", "lucky", "apart"]


def verdicts(results: str | Path = "results") -> pd.DataFrame:
    """The verdicts of a results folder; a relative one is the repository's.

    `question`: a difference of test accuracies at a rung, `ticket` for lt less dense and so on as
    `analysis.verdict` lists them, with its `mean` and 95 % interval (`low`, `high`) as shares: 0.01
    is one point. `state`: yes, no (as good as dense?), up, down, same (better?) or open. `seeds` it
    rests on, and how many would probably decide it (`needed`; empty: decided, or no number known).
    `lucky`: †, the seeds agree better than the examples allow. `apart`: seeds left out, for their
    masks differ. `tickets`: how they are not the recipe's, e.g. "rewind_step 438"; empty: they are.
    UserError for no results folder.
    """
    return table(records_of(results))


def table(records: Iterable[Record]) -> pd.DataFrame:
    """The same of records at hand."""
    rows = [
        {
            "dataset": ladder.dataset,
            "model": ladder.model,
            "tickets": ladder.way,
            "sparsity": rung.sparsity,
            "question": question,
            "state": fact.state,
            "mean": fact.interval.mean,
            "low": fact.interval.low,
            "high": fact.interval.high,
            "seeds": fact.seeds,
            "needed": fact.needed,
            "lucky": fact.interval.is_lucky,
            "apart": fact.apart,
        }
        for ladder in verdict.ladders(records)
        for rung in ladder.rungs
        for question, fact in rung.facts.items()
        if fact.interval is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"needed": "Int64"})
