"""What the answer stands on: every difference, the strict conditions, what a ticket saves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from lottery.analysis import costs, groups, prizes, protocols, selection, verdict
from lottery.analysis.verdict import Fact
from lottery.data import title
from lottery.pruning import arms
from lottery.report.captions import Links, picture
from lottery.report.markdown import markdown, table
from lottery.report.tables import framed, of_one_dataset
from lottery.report.words import (
    NEVER,
    dagger,
    lucky,
    never,
    p_value,
    percent,
    points,
    power,
    short,
)
from lottery.runs.record import Record

DIFFERENCES = (
    "Test accuracy in points, means over the common seeds; in brackets 95 % intervals and the "
    "number of seeds; p is McNemar's of a single seed, whose interval is that of the test examples "
    "only. A small dense network has as many weights as the ticket. Seeds to decide: whether the "
    "ticket is as good as dense; and whether its first values are better than new ones.{never}"
    "{lucky}"
)
STRICT = (
    "The five conditions of Ma et al. 2021 (arXiv 2107.00166), section 2.2: all five are a jackpot "
    "ticket, the first four a secondary prize. They ask 3 and 5 of every learning rate and of the "
    "best recipe; here there is {rates} only, so that 5 can be failed but not met. Better means by "
    "more than the margin. Epochs are enough if in every seed the dense network's best one is not "
    "the last; a small dense network has as many weights as the ticket, within {size:g} %.{falling}"
)
# Of Ma et al., in our words.
CONDITIONS = (
    "1 sparse enough (60 %), and epochs enough",
    "2 better than a small dense network",
    "3 better than random init",
    "4 as good as dense, trained alike",
    "5 as good as dense, trained best",
)
FALLING = (
    " Where the rate falls to zero the last epoch is mostly the best, and not enough by this rule."
)
PAPER = (
    "Parameters with biases, those not pruned away. Compression is old size over new, speed-up "
    "old multiply-adds over new (Blalock et al. 2020), for a text of {lengths} tokens; looking up "
    "the embedding multiplies nothing. Both are counts: a matrix with holes also stores where they "
    "are, and runs faster only where the hardware skips zeros. Where the counts differ between "
    "seeds, the first one's."
)


def section(dataset: str, records: list[Record], pictures: Links) -> list[str]:
    """What the answer on a dataset stands on; nothing without a ticket."""
    compared = differences(records)
    if not len(compared):
        return []
    lengths = sorted({costs.text_length(record) for record in selection.in_report(records)})
    shown = markdown(compared)
    blocks = [
        f"## Evidence: {title(dataset)}",
        "### Differences",
        shown,
        DIFFERENCES.format(never=never(shown), lucky=lucky(shown)),
        *table("### Strict conditions", conditions(records)),
        _strict(plain_ladders(records), records),
        *table("### Size and speed on paper", savings(records)),
        PAPER.format(lengths=" or ".join(map(str, lengths))),
    ]
    for kind in ("decay", "words", "densities"):
        blocks += picture(dataset, kind, pictures)
    return blocks


def plain_ladders(records: Iterable[Record]) -> list[verdict.Ladder]:
    """The ladders whose tickets are made in the recipe's way."""
    return [ladder for ladder in verdict.ladders(records) if not ladder.way]


def _strict(found: Sequence[verdict.Ladder], records: Iterable[Record]) -> str:
    rates = sorted({record.settings.learning_rate for record in records})
    falls = any(ladder.settings.schedule == "linear" for ladder in found)
    return STRICT.format(
        rates=" and ".join(map(power, rates)),
        size=100 * verdict.SAME_SIZE,
        falling=FALLING if falls else "",
    )


def compared() -> dict[str, str]:
    """Heads of columns, and their questions; without any other word, it is lt that is compared."""
    beside = {f"less {arms.label(arm)}": asked for arm, asked in verdict.beside_ticket().items()}
    return {
        "less dense": verdict.TICKET,
        **beside,
        "less small dense": verdict.SMALL,
        "less plain lt init": verdict.PLAIN,
        "fine-tuned less lt init": verdict.FINETUNE,
        "random init less dense": verdict.RANDOM,
        "random mask less dense": verdict.RANDOM_MASK,
    }


def differences(records: Iterable[Record]) -> pd.DataFrame:
    """One row a ladder's rung: differences in points, with 95 % intervals."""
    rows, models, asked = [], [], compared()
    for ladder in verdict.ladders(of_one_dataset(records)):
        for rung in ladder.rungs:
            facts = [rung[question] for question in asked.values()]
            decide = [needed(rung[question]) for question in verdict.HEADLINE]
            rows.append(
                {
                    "Arm": ", ".join(filter(None, (arms.label("lt"), ladder.way))),
                    "Sparsity": short(rung.sparsity),
                    **dict(zip(asked, map(difference, facts), strict=True)),
                    "Seeds to decide": "; ".join(decide),
                }
            )
            models.append(ladder.model)
    frame = framed(rows, models)
    unrun = [
        head for head in [*asked][1:] if head in frame and (frame[head] == verdict.NOT_RUN).all()
    ]
    return frame.drop(columns=unrun)


def difference(fact: Fact) -> str:
    """ "+0.12 (−0.10 to +0.34; 5)", McNemar's p for a single seed, † if seeds agree by luck."""
    given = fact.interval
    if given is None:
        return verdict.NOT_RUN
    p = f", p {p_value(fact.p)}" if fact.p is not None else ""
    around = f"{points(given.low)} to {points(given.high)}; {fact.seeds}"
    return f"{points(given.mean)} ({around}){p}{dagger(given.is_lucky)}"


def needed(fact: Fact) -> str:
    """Seeds that would decide it: "decided", "about 7", "never" if none would, "–" if not run.

    One seed says nothing of others, so that of their number only the least is known.
    """
    if fact.is_decided:
        return "decided"
    if fact.seeds < 2:
        return "at least 2" if fact.seeds else "–"
    return f"about {fact.needed:,}" if fact.needed else NEVER


def conditions(records: Iterable[Record]) -> pd.DataFrame:
    """The strict conditions of Ma et al. (2021): a row each and their grade, a column a rung."""
    found = plain_ladders(of_one_dataset(records))
    steps = verdict.steps(found)
    rows, models = [], []
    for ladder in found:
        here = f", at {power(ladder.settings.learning_rate)}"
        by_step = {rung.sparsity: rung for rung in ladder.rungs}
        states = {step: (*prizes.conditions(r), prizes.prize(r)) for step, r in by_step.items()}
        for number, condition in enumerate((*CONDITIONS, "prize")):
            row = {"Condition": condition}
            for step in steps:
                state = states[step][number] if step in states else verdict.NOT_RUN
                # One learning rate was tried; of it alone 3 to 5 can tell.
                row[short(step)] = state + here * (
                    2 <= number <= 4 and state in (verdict.YES, verdict.NO)
                )
            rows.append(row)
            models.append(ladder.model)
    return framed(rows, models)


def savings(records: Iterable[Record]) -> pd.DataFrame:
    """Parameters and multiply-adds of dense network and tickets (Blalock et al. 2020)."""
    records = [record for record in of_one_dataset(records) if not record.failed]
    found = [
        g for g in groups.groups(selection.in_report(records)) if g.settings.arm in ("dense", "lt")
    ]
    seen, rows, models = set(), [], []
    for group in found:
        one = group.records[0]
        kept = one.settings.model, tuple(sorted(one.layers.items()))
        if kept in seen:  # other starting weights, or another seed, in masks of the same sizes
            continue
        seen.add(kept)
        about = costs.text_length(one), costs.outputs(one)
        now = costs.cost(one.settings, one.layers, *about)
        was = costs.cost(one.settings, costs.full(one.layers), *about)
        rows.append(
            {
                "Arm": protocols.label(one.settings),
                "Sparsity": percent(one.sparsity),
                "Parameters": f"{now.parameters:,}",
                "Compression": _times(was.parameters, now.parameters),
                "Without embedding": f"{now.others:,}",
                "Its compression": _times(was.others, now.others),
                "Multiply-adds": f"{now.multiply_adds / 1e6:,.2f} M",
                "Speed-up": _times(was.multiply_adds, now.multiply_adds),
            }
        )
        models.append(one.settings.model)
    return framed(rows, models)


def _times(was: int, now: int) -> str:
    return f"{was / now:.2f}" if now else "–"
