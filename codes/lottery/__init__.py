"""Do lottery tickets exist in text classifiers? Notebooks import what is named here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Imported when asked for, because PyTorch takes seconds that `lottery --help` need not wait.
_FROM = {
    "Study": "lottery.study",
    "Ticket": "lottery.tickets.ticket",
    "load": "lottery.analysis.frame",
    "verdicts": "lottery.analysis.verdicts",
    # To plug in what is your own (docs/extend.md)
    "score": "lottery.plugins.register",
    "arm": "lottery.plugins.register",
    "model": "lottery.plugins.register",
    "Model": "lottery.models.base",
}

__all__ = list(_FROM)


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name]), name)
