"""Nothing that a test registers outlives it."""

from __future__ import annotations

import pytest

from helpers.plugins import nothing_left


@pytest.fixture(autouse=True)
def forgotten():
    with nothing_left():
        yield
