"""Rows of any length, by vectors and what is left of them."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from lottery.kernels.vectors import add_times


@njit
def added(count, x, x0, y, y0, value):
    add_times(count, x, x0, y, y0, value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 23, 31, 32, 33, 47, 100])
def test_every_number_is_added_once_and_none_beside(count, dtype):
    random = np.random.default_rng(count)
    x, y = random.standard_normal((2, 120)).astype(dtype)
    expected = x.astype(np.float64)
    expected[5 : 5 + count] += 1.5 * y[9 : 9 + count].astype(np.float64)
    added(count, x, 5, y, 9, dtype(1.5))
    np.testing.assert_allclose(x, expected, rtol=0, atol=np.finfo(dtype).eps * 8)
    assert np.array_equal(x[:5], expected[:5]) and np.array_equal(
        x[5 + count :], expected[5 + count :]
    )
