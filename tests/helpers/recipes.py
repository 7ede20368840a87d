"""The recipes that synthetic records are written to."""

from __future__ import annotations

import pytest

from lottery import recipes

FIRST = {
    ("imdb", "cnn"): {"max_tokens": 5_000, "word_dropout": 0.4},
    ("imdb", "lstm"): {"max_tokens": 5_000, "word_dropout": 0.4, "dropout": 0.1},
    ("agnews", "cnn"): {"word_dropout": 0.3},
    ("agnews", "lstm"): {"word_dropout": 0.4, "dropout": 0.3},
}


@pytest.fixture(autouse=True)
def same_recipes(monkeypatch):
    """One recipe for both studies and no stronger dense: today's choice changes no test."""
    for known in (recipes.RECIPES, recipes.WITHOUT_DECAY, recipes.STRONGEST_DENSE):
        for pair in list(known):
            monkeypatch.delitem(known, pair)
    for known in (recipes.RECIPES, recipes.WITHOUT_DECAY):
        for pair, recipe in FIRST.items():
            monkeypatch.setitem(known, pair, recipe)
