"""Do lottery tickets exist in text classifiers? Notebooks import `Study`, `Ticket` and `load`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Imported when asked for, because PyTorch takes seconds that `lottery --help` need not wait.
_FROM = {
    "Study": "lottery.study",
    "Ticket": "lottery.tickets.ticket",
    "load": "lottery.analysis.frame",
}

__all__ = list(_FROM)


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name]), name)
