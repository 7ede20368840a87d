"""With and without weight decay, beside the strongest dense network, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from lottery.analysis import groups, protocols, selection, shares, verdict
from lottery.analysis.groups import Group
from lottery.analysis.selection import WITH, WITHOUT
from lottery.analysis.verdict import DOWN, NO, NOT_RUN, PLACES, RANDOM_MASK, STRONGEST, TICKET, YES
from lottery.pruning.tally import VANISHED
from lottery.recipes import RECIPES, WITHOUT_DECAY
from lottery.report.grid import cell, span
from lottery.report.tables import seeds_of
from lottery.report.words import part, parts, percent, power, short
from lottery.runs.record import Record
from lottery.settings import Settings

Ways = dict[str, list[Record]]  # the plain records of one pair, by recipe
NOT_COUNTED = "not counted"

KEPT = (
    "**Which words are kept.** Of the weights in the rows of words that occur fewer than {rare} "
    "times in the training texts, and of those that occur {often} times or more, tickets keep: "
    "{each}."
)
SHARE = "{name} at {part} {rare} and {often}"
VANISH = (
    "**What training removes by itself.** Share of the dense network's prunable weights below "
    "{limit} in size after the last epoch: {each}."
)
GONE = "{name} {with_decay} with weight decay, {without} without"
GONE_ONE = "{name} {without} without weight decay, which its recipe does not have"
MASKS = (
    "**Do random places do as well?** Random masks of the ticket's size and first values, at the "
    "rungs where they were run: {each}."
)
MASK = (
    "{name} as good as dense at {yes}, worse at {no}, and worse than the ticket at {up}, better at "
    "{down}, of {run}"
)
COUNTED = "Records made before this was counted say nothing of it: they are called {words}."


def by_recipe(records: Iterable[Record], pair: tuple[str, str]) -> Ways:
    """The pair's records by today's recipe, if it is another one, and by the former."""
    return selection.by_decay(r for r in records if r.settings.pair == pair and not r.failed)


def both(records: Iterable[Record], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Dense and ticket by both recipes: a row a pair and rung, differences in points.

    Pairs of which one recipe was not run, or that have but one, are left out.
    """
    records, rows, names = list(records), [], []
    for pair in pairs:
        ways = by_recipe(records, pair)
        if not all(ways.values()):
            continue
        chosen = {
            way: verdict.pairs(ways[way], recipes)[0]
            for way, recipes in ((WITH, RECIPES), (WITHOUT, WITHOUT_DECAY))
        }
        found = {
            way: {(g.settings.arm, g.settings.sparsity): g for g in groups.groups(_of(own, some))}
            for (way, some), own in zip(ways.items(), chosen.values(), strict=True)
        }
        heads = parts(verdict.steps(chosen.values()))
        for step, head in heads.items():
            row = {"Kept": head}
            tickets = {way: found[way].get(("lt", step)) for way in found}
            dense = {way: found[way].get(("dense", 0.0)) for way in found}
            row |= {f"Dense, {w}": _accuracy(_of_seeds(dense[w], tickets[w])) for w in found}
            row |= {f"lt, {way}": _accuracy(tickets[way]) for way in found}
            for way in found:
                row[f"Less own dense, {way}"] = cell(verdict.at(step, chosen[way].rungs)[TICKET])
            counts = [seeds_of(tickets[way]) for way in found]
            rows.append(row | {"Seeds": " and ".join(counts)})
            names.append(verdict.pair_name(*pair))
    return _of_pairs(rows, names)


def facts_without(
    records: Iterable[Record], pairs: Iterable[tuple[str, str]]
) -> list[verdict.Fact]:
    """What `both` says of the former recipe, of several seeds, and the answer does not."""
    records = list(records)
    shown = {pair.key for pair in verdict.pairs(records) if pair.is_former}
    others = (by_recipe(records, pair) for pair in pairs if pair not in shown)
    found = [ways for ways in others if all(ways.values())]
    ladders = [verdict.pairs(ways[WITHOUT], WITHOUT_DECAY)[0] for ways in found]
    facts = (rung[TICKET] for ladder in ladders for rung in ladder.rungs)
    return [fact for fact in facts if fact.seeds > 1]


def has_two(pair: tuple[str, str]) -> bool:
    """Is today's recipe another than the one without weight decay?"""
    return RECIPES.get(pair) != WITHOUT_DECAY.get(pair)


def former(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """What the former recipe of each pair has otherwise than today's, where there are two."""
    said = []
    for pair in pairs:
        ticket = {"arm": "lt", "ladder": (0.5,)}
        ways = [
            Settings(*pair, **ticket, **some.get(pair, {})) for some in (WITHOUT_DECAY, RECIPES)
        ]
        if apart := protocols.differences(*ways):
            said.append(f"{verdict.pair_name(*pair)} {protocols.words(apart)}")
    return said


def strongest(records: Iterable[Record]) -> pd.DataFrame:
    """The main tables' tickets beside the strongest dense network, where it is not their own."""
    records = [record for record in records if not record.failed]
    main = selection.in_report(records)
    found = [pair for pair in verdict.pairs(records) if not verdict.owns_strongest(pair)]
    heads = parts(verdict.steps(found))
    rows = []
    for pair in found:
        own = [record for record in main if record.settings.pair == pair.key]
        dense = groups.groups(verdict.strongest(own, records))
        recipe = protocols.stronger(pair.settings)
        differs = protocols.differences(recipe, pair.settings.protocol)
        row = {
            "Recipe": protocols.words(differs),
            "Dense": _accuracy(dense[0] if dense else None),
            "Its seeds": seeds_of(dense[0] if dense else None),
        }
        rungs = pair.rungs
        row |= {head: cell(verdict.at(step, rungs)[STRONGEST]) for step, head in heads.items()}
        counts = {rung[STRONGEST].seeds for rung in pair.rungs} - {0}
        rows.append(row | {"Seeds": span(counts)})
    return _of_pairs(rows, [pair.name for pair in found])


def why(records: Iterable[Record], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Three sentences: which words are kept, what decay removes, and what random places do."""
    records = list(records)
    main = selection.in_report(r for r in records if not r.failed)
    facts = {pair.key: pair for pair in verdict.pairs(records)}
    kept, gone, masks = [], [], []
    for pair in pairs:
        own = facts.get(pair, verdict.Ladder(*pair))
        name = own.name
        kept.append(_kept(own, [r for r in main if r.settings.pair == pair]))
        vanished = [_vanished(some) for some in by_recipe(records, pair).values()]
        said = GONE if has_two(pair) else GONE_ONE
        gone.append(said.format(name=name, with_decay=vanished[0], without=vanished[1]))
        run = len(own.rungs) - len(own.where(RANDOM_MASK, NOT_RUN))
        counts = {"yes": own.where(RANDOM_MASK, YES), "no": own.where(RANDOM_MASK, NO)}
        counts |= {"up": own.where(PLACES, verdict.UP), "down": own.where(PLACES, DOWN)}
        lengths = {word: len(some) for word, some in counts.items()}
        masks.append(MASK.format(name=name, run=run, **lengths) if run else f"{name} {NOT_RUN}")
    lines = [
        KEPT.format(rare=shares.RARE, often=shares.OFTEN, each="; ".join(kept)),
        VANISH.format(limit=power(VANISHED), each="; ".join(gone)),
        MASKS.format(each="; ".join(masks)),
    ]
    if any(NOT_COUNTED in line for line in lines):
        lines.append(COUNTED.format(words=NOT_COUNTED))
    return lines


def _of(pair: verdict.Ladder, records: Iterable[Record]) -> list[Record]:
    """Those on the pair's own ladder: another may end at the same sparsity."""
    top = pair.settings.ladder if pair.settings else ()
    return [r for r in records if r.settings.ladder == top[: r.settings.rung]]


def _kept(pair: verdict.Ladder, records: Iterable[Record]) -> str:
    """The shares at the sparsest good ticket; without one, at the sparsest that was counted."""
    counted: dict[float, list[Record]] = {}
    for record in _of(pair, records):
        if record.settings.arm == "lt" and record.words and not protocols.variant(record.settings):
            counted.setdefault(record.settings.sparsity, []).append(record)
    step = pair.sparsest.sparsity if pair.sparsest else max(counted, default=0.0)
    if step not in counted:
        return f"{pair.name} {NOT_COUNTED}"
    rare = _share(shares.kept(counted[step], 0, shares.RARE))
    often = _share(shares.kept(counted[step], shares.OFTEN, float("inf")))
    return SHARE.format(name=pair.name, part=part(step), rare=rare, often=often)


def _vanished(records: Iterable[Record]) -> str:
    """Of the dense networks among some records."""
    dense = [record for record in records if record.settings.arm == "dense"]
    return _share(shares.vanished(dense)) if dense else NOT_RUN


def _share(value: float | None) -> str:
    return NOT_COUNTED if value is None else short(round(value, 3))


def _of_seeds(dense: Group | None, tickets: Group | None) -> Group | None:
    """The dense networks of the tickets' seeds; all, where there are no tickets."""
    if dense is None or tickets is None:
        return dense
    seeds = {record.settings.seed for record in tickets.records}
    own = tuple(record for record in dense.records if record.settings.seed in seeds)
    return Group(own) if own else None


def _accuracy(group: Group | None) -> str:
    return percent(group.mean("test_accuracy")) if group else NOT_RUN


def _of_pairs(rows: list[dict[str, str]], names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, index=names).rename_axis(columns="Pair")
