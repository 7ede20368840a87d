"""How often do 95 % intervals hold the truth? python benchmarks/intervals.py prints a table.

With --looks: how often does a study err that gets seeds until its question is decided?

Networks of two arms are imagined, not trained. Network (arm, seed) is right on an example if a
normal score is positive: a part of the example that all networks share, parts of the arm, of the
seed and of chance, and a shift of each seed's own. Accuracies are near 0.9, as in the records, and
so are the shares of examples on which two arms differ. A new draw has new seeds and new examples.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lottery.analysis import intervals as evidence
from lottery.analysis.intervals import MeanSquares

SEEDS = (2, 3, 5, 10)
LOOKS = {
    "10 seeds at once": (10,),
    "at 3, 5, 8 and 10": (3, 5, 8, 10),
    "at each of 3 to 10": range(3, 11),
}
SPREADS = (0.0, 0.0015, 0.005)  # deviation of the difference over seeds
EXAMPLES = 7_600


@dataclass(frozen=True)
class World:
    """Shares of a score's variance; what is left is chance, new for every network and example."""

    example: float = 0.8  # shared by all networks
    arm: float = 0.02  # of an arm on an example, over all seeds
    seed: float = 0.05  # of a seed on an example, over both arms


WORLDS = {
    "as the records": World(0.85, 0.01, 0.05),
    "arms differ": World(0.8, 0.05, 0.05),
    "arms alike": World(0.8, 0.0, 0.05),
}
ACCURACIES = (0.9, 0.905)


def draw(
    noise: np.random.Generator,
    repeats: int,
    seeds: int,
    examples: int,
    world: World,
    spread: float,
) -> tuple[np.ndarray, float]:
    """Differences (repeats, seeds, examples) of two arms, in -1, 0, 1, and their true mean."""

    def normal(variance: float, *shape: int) -> np.ndarray:
        drawn = noise.standard_normal((repeats, *shape), dtype=np.float32)
        return drawn * np.float32(np.sqrt(variance))

    chance = 1 - world.example - world.arm - world.seed
    heights = stats.norm.ppf(ACCURACIES)
    # A shift moves the accuracy by the normal density at the height; two arms, so two shifts.
    shift = (spread / (stats.norm.pdf(heights.mean()) * np.sqrt(2))) ** 2
    shared = normal(world.example, 1, examples) + normal(world.seed, seeds, examples)
    right = [
        height
        + shared
        + normal(world.arm, 1, examples)
        + normal(shift, seeds, 1)
        + normal(chance, seeds, examples)
        > 0
        for height in heights.astype(np.float32)
    ]
    truth = stats.norm.cdf(heights / np.sqrt(1 + shift))
    return right[1].astype(np.int8) - right[0], float(truth[1] - truth[0])


def satterthwaite(found: MeanSquares, seeds: int, examples: int) -> float:
    """Half the width by one number of degrees of freedom for the whole variance."""
    total = max(found.seeds + found.examples - found.rest, 1e-12)
    parts = found.seeds**2 / (seeds - 1) + found.examples**2 / (examples - 1)
    parts += found.rest**2 / ((seeds - 1) * (examples - 1))
    # Two great mean squares can leave a small sum with next to no degrees of freedom.
    freedom = max(total**2 / parts, seeds - 1)
    return float(stats.t.ppf(0.975, freedom) * np.sqrt(total / (seeds * examples)))


def seeds_alone(found: MeanSquares, seeds: int, examples: int) -> float:
    """Half the width if the test examples were all there are."""
    return float(stats.t.ppf(0.975, seeds - 1) * np.sqrt(found.seeds / (seeds * examples)))


def examples_alone(found: MeanSquares, seeds: int, examples: int) -> float:
    return evidence.margin_of_examples(found.examples, seeds, examples)


WAYS = {
    "ours": evidence.margin,
    "Satterthwaite": satterthwaite,
    "seeds alone": seeds_alone,
    "examples alone": examples_alone,
}
LEAST = "ours at least width"


def coverage(
    repeats: int, seeds: int, examples: int, world: World, spread: float, number: int = 0
) -> dict[str, tuple[float, float]]:
    """For each way the share of intervals that hold the truth, and their mean half width.

    Then of ours at their least width: how many they are, and how many of them hold the truth.
    """
    noise = np.random.default_rng(number)
    held = dict.fromkeys(WAYS, 0)
    widths = dict.fromkeys(WAYS, 0.0)
    least = least_held = 0
    at_once = max(1, 2_000_000 // (seeds * examples))
    for first in range(0, repeats, at_once):
        drawn, truth = draw(noise, min(at_once, repeats - first), seeds, examples, world, spread)
        for values in drawn:
            found, mean = evidence.mean_squares(values), values.mean()
            half = {way: width(found, seeds, examples) for way, width in WAYS.items()}
            for way, width in half.items():
                held[way] += abs(mean - truth) <= width
                widths[way] += width
            if half["ours"] == evidence.LEAST * half["examples alone"]:
                least += 1
                least_held += abs(mean - truth) <= half["ours"]
    found = {way: (held[way] / repeats, widths[way] / repeats) for way in WAYS}
    return found | {LEAST: (least / repeats, least_held / max(least, 1))}


def wrong(
    repeats: int, looks: Sequence[int], examples: int, world: World, spread: float, number: int = 0
) -> tuple[float, float]:
    """Shares of studies that are decided wrongly at the margin: ✓ and ✗.

    A study has its interval drawn after so many seeds as `looks` says, one after the other, and
    ends with the first that decides. Its true difference is the margin itself, so that both are.
    """
    noise = np.random.default_rng(number)
    above = below = 0
    at_once = max(1, 2_000_000 // (max(looks) * examples))
    for first in range(0, repeats, at_once):
        count = min(at_once, repeats - first)
        drawn, truth = draw(noise, count, max(looks), examples, world, spread)
        for values in drawn:
            for seeds in looks:
                some = values[:seeds]
                half = evidence.margin(evidence.mean_squares(some), seeds, examples)
                if abs(some.mean() - truth) > half:
                    above += some.mean() > truth
                    below += some.mean() < truth
                    break
    return above / repeats, below / repeats


def print_looks(repeats: int) -> None:
    """How often a study errs that is looked at while seeds are added."""
    print("| spread | looks | wrong ✓ | wrong ✗ |")
    print("| ---: | --- | ---: | ---: |")
    for spread in SPREADS:
        for title, looks in LOOKS.items():
            shares = wrong(repeats, looks, EXAMPLES, WORLDS["as the records"], spread)
            cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"| {100 * spread:.2f} | {title} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4_000)
    parser.add_argument("--looks", action="store_true", help="at the margin, seed after seed")
    parsed = parser.parse_args()
    repeats = parsed.repeats
    if parsed.looks:
        print_looks(repeats)
        return
    print(f"| world | seeds | spread | {' | '.join(WAYS)} | {LEAST} |")
    print(f"| --- | ---: | ---: |{' ---: |' * (len(WAYS) + 1)}")
    for title, world in WORLDS.items():
        for seeds in SEEDS:
            for spread in SPREADS:
                found = coverage(repeats, seeds, EXAMPLES, world, spread)
                share, sure = found.pop(LEAST)
                last = f"{100 * sure:.0f} % of {100 * share:.1f} %"
                cells = [f"{100 * held:.1f} % (±{100 * w:.2f})" for held, w in found.values()]
                cells = [title, str(seeds), f"{100 * spread:.2f}", *cells, last]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
