"""Facts to the report: the answer's grid, tables, figures, the page. Nothing is decided here.

What stands here is what a notebook shows of its records.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

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
    return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
