"""The strict conditions of Ma et al. (2021, arXiv 2107.00166), section 2.2, and their grades."""

from __future__ import annotations

from lottery.analysis import verdict
from lottery.analysis.verdict import Fact, Rung

LEAST_SPARSITY = 0.6  # about where holes begin to pay on a device
NO_PRIZE, SECONDARY = "no prize", "secondary prize or more"
NOTHING = f"{verdict.OPEN} ({verdict.NOT_RUN})"


def conditions(rung: Rung) -> tuple[str, ...]:
    """The state of each condition; better means by more than the margin.

    One learning rate is trained: 3 and 4 are theirs at that rate only, and 5, against the best
    recipe of all, can be failed but not met.
    """
    first = verdict.NO if rung.sparsity < LEAST_SPARSITY else NOTHING
    if first != verdict.NO and rung.epochs_enough is not None:
        first = verdict.YES if rung.epochs_enough else verdict.NO
    second, third = better(rung[verdict.SMALL]), better(rung[verdict.FIRST_VALUES])
    fourth = rung[verdict.TICKET].state
    best = rung[verdict.STRONGEST].state
    fifth = NOTHING if best == verdict.NOT_RUN else verdict.OPEN
    if verdict.NO in (fourth, best):
        fifth = verdict.NO
    return first, second, third, NOTHING if fourth == verdict.NOT_RUN else fourth, fifth


def better(fact: Fact) -> str:
    """Does the interval lie above the margin, below it, or on both sides? One seed decides not."""
    if fact.interval is None:
        return NOTHING
    if fact.seeds > 1 and fact.interval.low > verdict.MARGIN:
        return verdict.YES
    return verdict.NO if fact.seeds > 1 and fact.interval.high < verdict.MARGIN else verdict.OPEN


def prize(rung: Rung) -> str:
    """A secondary prize for the first four conditions; a fifth would make it the jackpot."""
    four = conditions(rung)[:4]
    if verdict.NO in four:
        return NO_PRIZE
    return SECONDARY if set(four) == {verdict.YES} else verdict.OPEN
