"""Numbers as the report writes them."""

from __future__ import annotations

from collections.abc import Iterable
from math import log2


def points(share: float) -> str:
    """0.0012 as "+0.12"; no minus before a zero."""
    text = f"{100 * share:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def percent(share: float) -> str:
    """0.8998 as "89.98 %"."""
    return f"{100 * share:.2f} %"


def short(sparsity: float) -> str:
    """0.9375 as "93.75 %", 0.5 as "50 %"."""
    return f"{100 * sparsity:.4g} %"


def part(sparsity: float) -> str:
    """What a sparsity leaves: 0.875 as "1/8", 0.969 as "1/32", 0.7 as "30 %".

    A ladder that halves is written with rounded sparsities, so a twentieth more or less is none.
    """
    left = 1 / (1 - sparsity)
    near = (
        whole for whole in (2 ** round(log2(left)), round(left)) if abs(left / whole - 1) < 0.05
    )
    whole = next(near, 1)
    return f"1/{whole}" if whole > 1 else short(1 - sparsity)


def parts(sparsities: Iterable[float]) -> dict[float, str]:
    """`part` of each rung of a table or axis: all in fractions or all in percent, no two alike."""
    steps = list(dict.fromkeys(sparsities))
    names = [part(step) for step in steps]
    if all("/" in name for name in names) and len(set(names)) == len(names):
        return dict(zip(steps, names, strict=True))
    for digits in range(3, 18):  # a float has no more
        names = [f"{100 * (1 - step):.{digits}g} %" for step in steps]
        if len(set(names)) == len(names):
            break
    return dict(zip(steps, names, strict=True))


def power(value: float) -> str:
    """0.001 as "1e-3"."""
    digits, power = f"{value:.15e}".split("e")
    brief = f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return brief if float(brief) == value else repr(value)


def p_value(p: float) -> str:
    """0.0001 as "< 0.001"."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


LUCKY = (
    "† The seeds agree better than the test examples allow: such an interval is short by luck and "
    "holds the truth less often."
)


def dagger(is_lucky: bool) -> str:
    """The mark of `LUCKY`, to stand after an interval."""
    return " †" if is_lucky else ""


def lucky(table: str) -> str:
    """What the mark means, to stand behind other words, if a table has it."""
    return f" {LUCKY}" if dagger(True) in table else ""


NEVER = "never"  # of seeds that would decide a question
NEVER_MEANS = (
    "*never*: around this mean no number of seeds would, for the test examples alone leave it "
    "open; with more seeds the mean itself may move."
)


def never(table: str) -> str:
    """What the word means, to stand behind other words, if a table has it."""
    return f" {NEVER_MEANS}" if NEVER in table else ""


def margin() -> str:
    """The margin, as in "worse by more than 0.5 points"."""
    from lottery.analysis.verdict import MARGIN  # SciPy takes its time

    return f"{100 * MARGIN:g} points"
