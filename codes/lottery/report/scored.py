"""Tickets of one ladder by one score and another, beside dense."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from lottery.analysis import groups, protocols, selection, verdict
from lottery.analysis.verdict import DOWN, OPEN, PLAIN, SAME, TICKET, UP, Fact, pair_name
from lottery.pruning.scores import SCORES
from lottery.report.evidence import difference
from lottery.report.markdown import markdown
from lottery.report.words import lucky, margin, percent, short
from lottery.runs.record import Record
from lottery.settings import Settings

CAPTION = (
    "Tickets with their first values, pruned by what has the lowest score: {means}. Test accuracy "
    "is the mean over the ticket's seeds; differences are points over the common seeds, in "
    "brackets 95 % intervals and the number of seeds. {counts} A ladder of one sparsity is pruned "
    "in one round, and of several round by round. These are {intervals} more intervals. Where "
    "magnitude was run, too, the other scores are in no other table, figure or count.{lucky}"
)
COUNTS = (
    "Beside magnitude, of {asked} rows: better {up}, worse {down}, the same within {margin} "
    "{same}, open {open}."
)


@dataclass(frozen=True)
class Row:
    """Tickets by one score, and what they are held against."""

    settings: Settings
    tickets: Sequence[Record]
    usual: Sequence[Record]  # those by the recipe's score, perhaps the same; empty: not run
    dense: Sequence[Record]

    @property
    def less_dense(self) -> Fact:
        return verdict.fact(TICKET, self.tickets, self.dense)

    @property
    def less_usual(self) -> Fact | None:
        """None: they are by the usual score."""
        return None if self.usual is self.tickets else verdict.fact(PLAIN, self.tickets, self.usual)


def scores(records: Iterable[Record]) -> pd.DataFrame:
    """A row a pair, ladder and score; empty where nobody has run another score than the usual."""
    return _table(_compared(records))


def _table(found: Iterable[Row]) -> pd.DataFrame:
    rows, names = [], []
    for row in found:
        settings, tickets, beside = row.settings, row.tickets, row.less_usual
        rows.append(
            {
                "Score": protocols.words(protocols.variant(settings)).removeprefix("score ")
                or settings.score,
                "Of": "first values" if _of_first(settings) else "trained",
                "Ladder": ", ".join(map(short, settings.ladder)),
                "Ticket Test Acc.": percent(sum(r.test_accuracy for r in tickets) / len(tickets)),
                "less dense": difference(row.less_dense),
                "less magnitude": difference(beside) if beside else "–",
                "Seeds": str(len(tickets)),
            }
        )
        names.append(pair_name(*settings.pair))
    return pd.DataFrame(rows, index=names).rename_axis(columns="Pair")


def section(records: Iterable[Record]) -> list[str]:
    """The table under its heading, with its caption; nothing without a row."""
    records = list(records)
    found = _compared(records)
    if not found:
        return []
    table = markdown(_table(found))
    beside = [fact for row in found if (fact := row.less_usual)]
    main = {record.run for record in selection.in_report(records)}  # their ladders are counted
    less = [row.less_dense for row in found if row.tickets[0].run not in main]
    states = [fact.state for fact in beside]
    counts = {name: states.count(name) for name in (UP, DOWN, SAME, OPEN)}
    asked = sum(counts.values())
    told = COUNTS.format(asked=asked, margin=margin(), **counts) if asked else ""
    used = [name for name in SCORES if any(row.settings.score == name for row in found)]
    several = sum(fact.seeds > 1 for fact in [*beside, *less])
    means = ", ".join(f"*{name}* {SCORES[name].means}" for name in used)
    return [
        "## Scores",
        table,
        CAPTION.format(means=means, counts=told, intervals=several, lucky=lucky(table)),
    ]


def _compared(records: Iterable[Record]) -> list[Row]:
    """What is compared, in the table's order."""
    found = []
    everything, own = selection.scored([record for record in records if not record.failed])
    by_name = {group.settings: group.records for group in groups.groups(own)}

    def order(s: Settings) -> tuple:
        return verdict.order(s.pair), s.ladder, [*SCORES, s.score].index(s.score), s.score_texts

    for settings in sorted(by_name, key=order):
        tickets = by_name[settings]
        plain = protocols.plain(settings)
        usual = next((r for s, r in by_name.items() if replace(s, seed=plain.seed) == plain), ())
        same = protocols.identity(tickets[0])
        dense = [
            r for r in everything if r.settings.arm == "dense" and protocols.identity(r) == same
        ]
        found.append(Row(settings, tickets, usual, dense))
    return found


def _of_first(settings: Settings) -> bool:
    return settings.score in SCORES and SCORES[settings.score].of_first
