"""Ours beside others': an earlier report's figures, its authors' last claims, and other papers."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from lottery.analysis import groups, protocols, selection
from lottery.analysis.verdict import NOT_RUN, pair_name
from lottery.report.published import CLAIMED, EARLIER, PUBLISHED
from lottery.report.tables import FIVE, five, seeds_of
from lottery.report.words import percent
from lottery.runs.record import Record

OURS = "no pretrained vectors; half of the weights a round; level not picked"
THEIRS = "their pruned figures repeat one pair in every table, and are left out"


def beside(records: Iterable[Record]) -> pd.DataFrame:
    """Each pair three times: here at the claim's nearest sparsity, an earlier report, a claim."""
    found = [
        g for g in groups.groups(selection.in_report(records)) if not protocols.variant(g.settings)
    ]
    rows, names = [], []
    for pair, figures in EARLIER.items():
        own = [group for group in found if group.settings.pair == pair]
        claim = CLAIMED[pair]
        dense = next((g for g in own if g.settings.arm == "dense"), None)
        tickets = [g for g in own if g.settings.arm == "lt"]
        near = min(tickets, key=lambda g: abs(g.settings.sparsity - claim.sparsity), default=None)
        counts = dict.fromkeys(seeds_of(group) for group in (dense, near) if group)
        seeds = " and ".join(counts) or "0"  # of the dense networks and of the tickets
        none = {"Ticket Test Acc.": "–", "at sparsity": "–"}
        ours = {
            "Ticket Test Acc.": percent(near.mean("test_accuracy")) if near else NOT_RUN,
            "at sparsity": percent(near.mean("sparsity")) if near else NOT_RUN,
        }
        theirs = {"Ticket Test Acc.": claim.accuracy, "at sparsity": percent(claim.sparsity)}
        earlier = dict(zip(FIVE, figures, strict=True))
        rows += [
            {"Report": "this", **five(dense), **ours, "Seeds": seeds, "Protocol": OURS},
            {"Report": "earlier", **earlier, **none, "Seeds": "–", "Protocol": THEIRS},
            {
                "Report": "its authors' last",
                **dict.fromkeys(FIVE, "–"),
                **theirs,
                "Seeds": "1",
                "Protocol": claim.protocol,
            },
        ]
        names += 3 * [pair_name(*pair)]
    return pd.DataFrame(rows, index=names).rename_axis(columns="Pair")


def published() -> pd.DataFrame:
    """What others report, and how their protocol differs."""
    rows = [
        {"Networks": p.networks, "They report": p.finding, "Protocol": p.protocol}
        for p in PUBLISHED
    ]
    return pd.DataFrame(rows, index=[p.source for p in PUBLISHED]).rename_axis(columns="Source")
