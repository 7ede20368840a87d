"""Do tickets travel? The section of tickets with a mask from another dataset's ladder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

import pandas as pd

from lottery.analysis import travel, verdict
from lottery.analysis.travel import Journey
from lottery.data import title
from lottery.pruning.arms import ARMS
from lottery.report.captions import Links, picture
from lottery.report.evidence import needed
from lottery.report.grid import AT_RUNGS, Answer, cell, open_ones, span, standing, states
from lottery.report.markdown import bulleted, markdown
from lottery.report.sections import spent
from lottery.report.words import lucky, margin, never, parts, percent
from lottery.runs.record import Record

HEADS = {
    travel.OWN_MASK: "foreign mask less own mask",
    travel.SHUFFLED: "less its rows shuffled",
    travel.RANDOM: "less random places",
    travel.DENSE: "less dense",
    travel.VALUES: "with the other's values less without",
    travel.INNER: "foreign but for words less own mask",
}
ANSWER = (
    "**Do tickets travel?** At {up} of {run} rungs (of {journeys}) a network does better with the "
    "other dataset's mask than with that mask's rows shuffled, and at {down} worse; at {own_down} "
    "of {own_run} it does worse than with its own ticket's mask. {decided} of {asked} comparisons "
    "are decided."
)
LEGEND = (
    "Marks, differences and intervals as in the answer's grid: ✓ and ✗ beside dense, else ↑, ↓ "
    "and =; ? is open, and last stands which rungs are decided, and how many seeds would probably "
    "decide the others. {arms}{never}{lucky}"
)
BESIDE_OWN = f"**Beside the own mask**, the foreign one is better {AT_RUNGS}"
CONTROLS = (
    "**Beside its controls**, it is better than its rows shuffled at {up} of {run} rungs and worse "
    "at {down}; better than as many random places at {drawn_up} of {drawn_run} and worse at "
    "{drawn_down}; the rest is open or the same within {margin}."
)
BESIDE_DENSE = (
    "**Beside dense**, it is as good within {margin} at {yes} of {run} rungs, worse at {no}, open "
    "at {open}."
)
BUT_WORDS = (
    "**But for the words**, with the foreign mask of filters and gates alone and the word vectors' "
    f"of its own ticket, a network is better than with its own mask {AT_RUNGS}"
)
SURE = "**How sure.** {decided} of {asked} comparisons are decided, with {seeds} seeds.{others}"
APART = (
    "**Left out**: {pairs} pairs of runs of one seed. Tickets of theirs were trained again on "
    "another machine, so that their masks are not the same."
)
ORIGINS = (
    "*Kept*: weights that the foreign mask keeps; *own ticket*: what this dataset's own keeps; "
    "then the same outside the word vectors. The last four columns say where the kept places come "
    "from."
)
LIMITS = (
    "{corpora} are {count} datasets: what travels between them need not travel elsewhere. Of a "
    "vocabulary's words {shared} are in the other, too; the rows of the rest are kept at random, "
    "as many of their weights as the own ticket keeps, and are {drawn} of the weights kept. Where "
    "shapes differ, as in the output of other classes, the own ticket's mask stands. A foreign "
    "ticket's layers are of its own sizes: outside the word vectors it keeps {inner} of what "
    "the own ticket keeps there, so that beside the own mask size counts, too; beside the "
    "controls it does not. With vocabularies of one size a seed draws the same first values in "
    "both networks where shapes agree: filters and gates arrive, in every arm, with the values on "
    "which their mask was found, and a word's row only where its values travel, too. No mask of "
    "filters was tried on other values. Both ways a dataset has its own recipe. These are "
    "{intervals} more intervals, each 95 % by itself; {lucky} of the {decided} decided comparisons "
    "rest on seeds that agree better than their test texts allow."
)


def travelled(records: Iterable[Record]) -> pd.DataFrame:
    """A row a journey and comparison, a column a rung; empty where no foreign mask was run."""
    found = travel.journeys(records)
    steps = verdict.steps(found)
    heads = list(parts(steps).values())
    rows, names = [], []
    for journey in found:
        for asked, head in HEADS.items():
            facts = [verdict.at(step, journey.rungs)[asked] for step in steps]
            if not any(fact.seeds for fact in facts):
                continue
            cells = dict(zip(heads, map(cell, facts), strict=True))
            seeds = span({fact.seeds for fact in facts if fact.seeds})
            decide = "; ".join(needed(fact) for fact in facts)
            rows.append({"Difference": head} | cells | {"Seeds": seeds, "Seeds to decide": decide})
            names.append(journey.name)
    return pd.DataFrame(rows, index=names).rename_axis(columns="From → to")


def travel_answer(records: Iterable[Record]) -> Answer:
    """The sentence, the grid and its legend; "" where no foreign mask was run."""
    records = list(records)
    frame = travelled(records)
    if not len(frame):
        return Answer("")
    used = {record.settings.arm for record in travel.foreign(records)}
    arms = " ".join(f"*{arm.label}*: {arm.means}." for arm in ARMS.values() if arm.name in used)
    table = markdown(frame)
    legend = LEGEND.format(arms=arms, never=never(table), lucky=lucky(table))
    return Answer("\n\n".join([sentence(records), table, legend]))


def sentence(records: Iterable[Record]) -> str:
    """The answer in one sentence; "" where no foreign mask was run."""
    found = travel.journeys(records)
    facts = _facts(found)
    if not any(fact.seeds for fact in facts):
        return ""
    own = {f"own_{state}": n for state, n in states(found, travel.OWN_MASK).items()}
    names = ", ".join(journey.name for journey in found)
    counts = states(found, travel.SHUFFLED) | own | standing(facts)
    return ANSWER.format(journeys=names, **counts)


def origins(found: Iterable[Journey]) -> pd.DataFrame:
    """Where the kept weights of the foreign masks come from, means over the seeds."""
    rows, names = [], []
    for journey in found:
        heads = parts(journey.transfers)
        for step, placed in journey.transfers.items():
            if not placed:
                continue
            one = placed[0]
            rows.append(
                {
                    "Weights": heads[step],
                    "Words in both": f"{one.shared:,} of {one.words:,}",
                    "Kept": _mean(one.kept for one in placed),
                    "Own ticket": _mean(one.own for one in placed),
                    "Outside word vectors": _mean(one.inner for one in placed),
                    "Own ticket there": _mean(one.own_inner for one in placed),
                    "Words' rows": _share(placed, "by_word"),
                    "Other layers": _share(placed, "as_found"),
                    "At random": _share(placed, "at_random"),
                    "Own ticket's": _share(placed, "from_own"),
                }
            )
            names.append(journey.name)
    return pd.DataFrame(rows, index=names).rename_axis(columns="From → to")


def section(records: Iterable[Record], pictures: Links) -> list[str]:
    """Grid, sentences, figure and limits; nothing without a comparison."""
    records = list(records)
    said = travel_answer(records)
    if not said:
        return []
    found = travel.journeys(records)
    blocks = ["## Do tickets travel?", said, bulleted(bullets(found))]
    blocks += [markdown(origins(found)), ORIGINS, limits(found), *picture("", "travel", pictures)]
    return [*blocks, bulleted([spent(travel.foreign(records))])]


def bullets(found: Sequence[Journey]) -> list[str]:
    """What was found beside the own mask, the controls and dense, and how sure."""
    drawn = {f"drawn_{state}": n for state, n in states(found, travel.RANDOM).items()}
    facts = _facts(found)
    counts = standing(facts)
    seeds = span({fact.seeds for fact in facts if fact.seeds})
    inner = states(found, travel.INNER)
    apart = sum(journey.apart for journey in found)
    return [
        BESIDE_OWN.format(**states(found, travel.OWN_MASK), margin=margin()),
        CONTROLS.format(**states(found, travel.SHUFFLED), **drawn, margin=margin()),
        BESIDE_DENSE.format(**states(found, travel.DENSE), margin=margin()),
        *([BUT_WORDS.format(**inner, margin=margin())] if inner["run"] else []),
        SURE.format(**counts, seeds=seeds, others=open_ones(counts)),
        *([APART.format(pairs=apart)] if apart else []),
    ]


def limits(found: Sequence[Journey]) -> str:
    """What a careful reader should hold against these journeys."""
    corpora = list(dict.fromkeys(name for one in found for name in (one.dataset, one.source)))
    facts = _facts(found)
    placed = [one for journey in found for each in journey.transfers.values() for one in each]
    return LIMITS.format(
        corpora=" and ".join(map(title, corpora)),
        count=len(corpora),
        shared=_ends(one.shared / one.words for one in placed),
        drawn=_ends(_part(one, "at_random") for one in placed),
        inner=_ends(one.inner / one.own_inner for one in placed),
        intervals=sum(fact.seeds > 1 for fact in facts),
        lucky=sum(fact.is_decided and fact.interval.is_lucky for fact in facts),
        decided=sum(fact.is_decided for fact in facts),
    )


def _facts(found: Iterable[Journey]) -> list[verdict.Fact]:
    """Of the comparisons that were run, of each journey by itself, at every rung of it."""
    return [
        rung[asked]
        for one in found
        for asked in travel.ASKED
        if any(rung[asked].seeds for rung in one.rungs)
        for rung in one.rungs
    ]


def _part(one: travel.Transfer, name: str) -> float:
    """The share of the kept weights that come from somewhere."""
    return getattr(one, name)[0] / one.kept


def _mean(counts: Iterable[int]) -> str:
    return f"{fmean(counts):,.0f}"


def _share(placed: Sequence[travel.Transfer], name: str) -> str:
    return percent(fmean(_part(one, name) for one in placed))


def _ends(shares: Iterable[float]) -> str:
    """Shares in percent: the least to the greatest, or the one that there is."""
    found = sorted(shares) or [0.0]
    return " to ".join(dict.fromkeys(map(percent, (found[0], found[-1]))))
