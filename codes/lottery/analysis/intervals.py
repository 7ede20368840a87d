"""How sure is a difference? Intervals over seeds and test examples, and McNemar's test."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

LEVEL = 0.95
# No interval is shorter than this share of the one from the examples alone, lest seeds that agree
# by luck look like certainty. A share of 1 would cover up to 99 % where seeds do not differ
# (docs/method.md).
LEAST = 0.6
MANY = 2**20  # seeds; as good as all there are


@dataclass(frozen=True)
class MeanSquares:
    """The two-way layout's mean squares. Their expectations, with S seeds and N examples, are
    N v_seed + v_rest, S v_example + v_rest and v_rest."""

    seeds: float
    examples: float
    rest: float  # seed and example together, and chance


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and examples with its 95 % interval, as shares (0.01 is one point)."""

    mean: float
    low: float
    high: float
    seeds: int
    of_examples: float = 0.0  # half the width of the interval from the examples alone

    @property
    def is_lucky(self) -> bool:
        """Do the seeds agree better than the test examples allow?"""
        return self.high - self.mean < self.of_examples and self.seeds > 1


def mean_squares(values: np.ndarray) -> MeanSquares:
    """Mean squares of `values` (S, N), seeds by examples, from two seeds and examples on.

    Two crossed random factors without repetition (Cornfield & Tukey 1956).
    """
    seeds, examples = values.shape
    values = values.astype(np.float64)
    mean, of_seed, of_example = values.mean(), values.mean(1), values.mean(0)
    by_seed = examples * np.square(of_seed - mean).sum()
    by_example = seeds * np.square(of_example - mean).sum()
    rest = max(np.square(values - mean).sum() - by_seed - by_example, 0.0)  # rounding
    return MeanSquares(
        float(by_seed / (seeds - 1)),
        float(by_example / (examples - 1)),
        float(rest / ((seeds - 1) * (examples - 1))),
    )


def interval(values: np.ndarray) -> Interval:
    """The mean of `values` (S, N) with an interval for other seeds and other test examples.

    `values[s, i]` is what seed s scores on test example i: 1 or 0 for an arm, -1, 0 or 1 for the
    difference of two. With one seed the interval is that of the examples alone.
    """
    seeds, examples = values.shape
    mean = float(values.mean())
    if seeds == 1:
        alone = spread = margin_of_examples(float(values.var(ddof=1)), 1, examples)
    else:
        found = mean_squares(values)
        spread = margin(found, seeds, examples)
        alone = margin_of_examples(found.examples, seeds, examples)
    spread = max(spread, _floor(examples))
    return Interval(mean, mean - spread, mean + spread, seeds, alone)


def margin(found: MeanSquares, seeds: int, examples: int) -> float:
    """Half the width of the interval, for two seeds or more.

    The variance of the mean is (MS_seeds + MS_examples - MS_rest) / (S N), by the method of
    moments. Its first term has S - 1 degrees of freedom, what the examples add has N - 1; the
    quantile is the mean of both terms' quantiles, weighted by the terms (Cochran 1964, for the
    same sum of a badly and a well known variance). Satterthwaite's (1946) one number of degrees of
    freedom covers too little with 3 seeds (docs/method.md).
    """
    added = max(found.examples - found.rest, 0.0)  # a variance is not negative
    total = found.seeds + added
    least = LEAST * margin_of_examples(found.examples, seeds, examples)
    if total == 0:
        return least
    weighted = found.seeds * _quantile(seeds - 1) + added * _quantile(examples - 1)
    return max(weighted / total * math.sqrt(total / (seeds * examples)), least)


def expected(found: MeanSquares, seeds: int, more: int) -> MeanSquares:
    """The mean squares that `more` seeds should show where `seeds` showed these.

    The components of the variance stay as they are, none below zero; those of seeds and of the rest
    do not depend on the number of seeds.
    """
    of_example = max(found.examples - found.rest, 0.0) / seeds
    return MeanSquares(max(found.seeds, found.rest), more * of_example + found.rest, found.rest)


def seeds_needed(values: np.ndarray, decides: Callable[[float, float], bool]) -> int | None:
    """With how many seeds would the interval around the mean of `values` (S, N) probably decide?

    `decides` says whether an interval, low and high, does. None for one seed, which says nothing of
    others, and if the test examples alone leave it open.
    """
    seeds, examples = values.shape
    if seeds == 1:
        return None
    found, mean = mean_squares(values), float(values.mean())

    def enough(more: int) -> bool:
        spread = margin(expected(found, seeds, more), more, examples)
        spread = max(spread, _floor(examples))
        return decides(mean - spread, mean + spread)

    if not enough(MANY):
        return None
    # Margins fall with the seeds, so that the answer turns once.
    return bisect_left(range(MANY), True, lo=seeds + 1, key=enough)


def margin_of_examples(mean_square: float, seeds: int, examples: int) -> float:
    """Half the width of the interval if seeds did not differ."""
    return _quantile(examples - 1) * math.sqrt(mean_square / (seeds * examples))


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """The exact two-sided p of McNemar (1947): are two networks as often right?

    bool (N,), both on the same examples. Of those that one alone gets right, either gets half if
    the networks are equally good.
    """
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    return float(stats.binomtest(one, one + other).pvalue) if one + other else 1.0


def _floor(examples: int) -> float:
    """Never zero: as if at least one example had been scored otherwise."""
    return _quantile(examples - 1) / examples


@cache
def _quantile(freedom: int) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))
