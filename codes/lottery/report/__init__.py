"""Facts to the report: the answer's grid, tables, figures, the page. Nothing is decided here.

What stands here is what a notebook shows of its records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from importlib import import_module
from typing import Any

from lottery.files import UserError

# Imported when asked for: who only wants the words of a number need not wait for matplotlib.
_FROM = {
    "after": "tables",
    "answer": "grid",
    "before": "tables",
    "conditions": "evidence",
    "differences": "evidence",
    "learning_curves": "figures.learning",
    "rungs": "tables",
    "savings": "evidence",
    "scores": "scored",
    "sparsity_curve": "figures.accuracy",
    "travel_answer": "travel",
    "travelled": "travel",
    "word_curve": "figures.words",
}

__all__ = list(_FROM)


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _of_records(getattr(import_module(f"{__name__}.{_FROM[name]}"), name))


def _of_records(show: Callable) -> Callable:
    """`show`, which refuses what is no list of records."""
    from lottery.runs.record import Record

    @wraps(show)
    def guarded(records, *more, **named):
        found = list(records) if isinstance(records, Iterable) else [records]
        if not all(isinstance(one, Record) for one in found):
            raise UserError(
                f"report.{show.__name__} takes a list of records, as study.records() gives it, not "
                f"this {type(records).__name__}"
            )
        return show(found, *more, **named)

    return guarded
