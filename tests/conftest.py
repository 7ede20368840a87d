"""A small corpus, the threads of the tests and how examples are drawn."""

from __future__ import annotations

import pytest
from hypothesis import settings

from helpers.corpora import make_corpus
from lottery.data import Corpus
from lottery.training.device import use

# The same examples every time: a change fails for what it did. `pytest --hypothesis-profile search`
# looks for new ones. A first example compiles kernels, so none has a time limit.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests start processes come first, lest a long one is left at the end."""
    items.sort(key=lambda item: item.get_closest_marker("process") is None)


@pytest.fixture(autouse=True)
def _two_threads():
    use("cpu", 2)


@pytest.fixture
def corpus() -> Corpus:
    return make_corpus()
