"""One step of Adam on the rows of a matrix, all of their weights or the kept ones alone."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_PIECE = 16384  # weights, kept or not, in one piece of work
_STREAMED = 4096  # the same where all are moved: their slopes stay in the nearest cache
SMALL = 4096  # weights up to which waking other threads takes longer than to move them


@njit(cache=True, nogil=True)
def find(words, found):
    """Note where each row's gradient lies. Undone, and False, if a row comes twice."""
    for place, word in enumerate(words):
        if found[word] >= 0:
            for other in words[:place]:
                found[other] = -1
            return False
        found[word] = place
    return True


@njit(cache=True, nogil=True)
def forget(words, found):
    for word in words:
        found[word] = -1


@njit(inline="always")
def moved(w, g, m, v, beta1, beta2, rate, narrow, epsilon, decay, nothing, vanished):
    """One weight w and its moments m, v after a step with gradient g (`training.adam.Adam`).

    `rate` is α / (1 - β₁ᵗ), `narrow` 1 / √(1 - β₂ᵗ). What falls below `nothing` (a moment) or
    `vanished` (a weight) is put to zero.
    """
    zero, one = beta1 - beta1, beta1 / beta1
    g = g + decay * w
    m = m + (one - beta1) * (g - m)
    v = (one - beta2) * g * g + beta2 * v
    m = zero if abs(m) < nothing else m
    v = zero if v < nothing else v
    w = w - rate * (m / (np.sqrt(v) * narrow + epsilon))
    return zero if abs(w) < vanished else w, m, v


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def step_some(weights, firsts, seconds, masks, moving, slopes, found, size, numbers, begin, end):
    """`step_rows` for the rows begin to end - 1, on this thread alone."""
    beta1, beta2, rate, spread, epsilon, decay, nothing, vanished = numbers
    zero, one = beta1 - beta1, beta1 / beta1
    narrow = one / spread  # a product costs less than the quotient it replaces
    last = begin
    while last < end:
        begin = last
        while last < end:  # all rows, or without decay as far as they move
            moving[last] = moving[last] or found[last] >= 0
            if not (moving[last] or decay != zero):
                break
            last += 1
        there = (last - begin) * size
        slope = np.zeros(there, weights.dtype)
        for row in range(begin, last):
            if found[row] >= 0:
                place, at = (row - begin) * size, found[row] * size
                slope[place : place + size] = slopes[at : at + size]
        own = slice(begin * size, begin * size + there)
        weight, first, second = weights[own], firsts[own], seconds[own]
        if len(masks) > 0:
            mask = masks[own]
            for i in range(there):
                w, m, v = moved(
                    weight[i], slope[i] if mask[i] else zero, first[i], second[i], beta1,
                    beta2, rate, narrow, epsilon, decay, nothing, vanished)  # fmt: skip
                weight[i], first[i], second[i] = w if mask[i] else zero, m, v
        else:
            for i in range(there):
                weight[i], first[i], second[i] = moved(
                    weight[i], slope[i], first[i], second[i], beta1, beta2, rate, narrow,
                    epsilon, decay, nothing, vanished)  # fmt: skip
        last += 1  # the row that stays


@njit(parallel=True, cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def step_rows(weights, firsts, seconds, masks, moving, slopes, found, size, numbers):
    """Move `weights` in place; found[row] is the row of `slopes` or -1 for gradient zero.

    All but `moving` and `found` are flat, rows of `size`; `masks` is empty if nothing is pruned.
    Without decay a row that never had a gradient (`moving`) stays.

    Some rows at a time, their slopes put side by side, zeros among them: a loop over many rows is
    all whole vectors, and one that knew a gradient to be zero would sum in another order.
    """
    count = len(found)
    rows = max(1, _STREAMED // max(size, 1))
    for piece in prange((count + rows - 1) // rows):
        step_some(weights, firsts, seconds, masks, moving, slopes, found, size, numbers,
                  piece * rows, min((piece + 1) * rows, count))  # fmt: skip


@njit(parallel=True, cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def step_kept(
    weights, firsts, seconds, starts, places, moving, slopes, size, found, numbers
):  # fmt: skip
    """The same for the kept weights alone; `weights` and `slopes` are flat, rows of `size`.

    Some rows at a time: their kept weights and slopes are gathered, moved side by side, put back.
    """
    beta1, beta2, rate, spread, epsilon, decay, nothing, vanished = numbers
    zero, one = beta1 - beta1, beta1 / beta1
    narrow = one / spread
    count = len(found)
    rows = max(1, _PIECE // max(size, 1))
    for piece in prange((count + rows - 1) // rows):
        begin, end = piece * rows, min((piece + 1) * rows, count)
        least = starts[begin]
        there = starts[end] - least
        still = decay == zero
        slope = np.zeros(there, weights.dtype)
        for row in range(begin, end):
            at = found[row]
            if at >= 0:
                moving[row] = True
                shift = (row - at) * size
                for k in range(starts[row] - least, starts[row + 1] - least):
                    slope[k] = slopes[places[least + k] - np.uint64(shift)]
            still = still and not moving[row]
        if still or there == 0:
            continue
        place, first, second = (
            places[least : least + there],
            firsts[least : least + there],
            seconds[least : least + there],
        )
        weight = np.empty(there, weights.dtype)
        for k in range(there):
            weight[k] = weights[place[k]]
        for k in range(there):
            weight[k], first[k], second[k] = moved(
                weight[k], slope[k], first[k], second[k], beta1, beta2, rate, narrow, epsilon,
                decay, nothing, vanished)  # fmt: skip
        for k in range(there):
            weights[place[k]] = weight[k]
