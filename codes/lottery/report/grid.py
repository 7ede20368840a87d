"""The answer on one screen: a sentence, a table of marks, and what was found and how sure it is.

Words stand in templates; what fills them is counted from the facts of `analysis.verdict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from lottery.analysis import verdict
from lottery.analysis.travel import Journey
from lottery.analysis.verdict import Fact, Ladder, Rung
from lottery.files import amount
from lottery.report.markdown import bulleted, markdown
from lottery.report.words import dagger, lucky, margin, part, parts, percent, points
from lottery.runs.record import Record

SYMBOLS = {
    verdict.YES: "✓",
    verdict.NO: "✗",
    verdict.OPEN: "?",
    verdict.UP: "↑",
    verdict.DOWN: "↓",
    verdict.SAME: "=",
}
SOON = 20  # seeds that a pair may still get
FORMER = " (without weight decay)"

SOME = (
    "**Winning tickets exist in {found} of {pairs} pairs, the sparsest with {part} of the weights "
    "({where}); where each is sparsest, its first values are better than new ones in {first} of "
    "{found}. {decided} of {asked} questions are decided.**"
)
NONE = (
    "**No winning ticket is shown (0 of {pairs} pairs): it is worse than dense at {no} of {run} "
    "rungs, open at {open}; {decided} of {asked} questions are decided.**"
)
NOTHING = "**No ticket was run yet.**"
LEGEND = (
    "Test accuracy in points, means over the seeds with <sub>95 % intervals</sub>. ✓ as good as "
    "dense: the interval lies above −{margin}; ✗ worse: below −{margin}. ↑ better, ↓ worse: above, "
    "below zero; = the same within {margin}. ? open; with one seed always. Seeds are the tickets'. "
    "*First values less new*: lt init less random init; *learned places less random*: lt init less "
    "random mask; both at the sparsest ✓, of the seeds that have both; – without one. The "
    "questions, at each rung: is the ticket as good as dense, are its first values better than new?"
)
UNLEARNED = (
    "{name}: the dense network ({dense}) is not shown to do better than always saying the "
    "commonest class of the test texts ({floor}). To be as good as that is nothing: no ✓ before it "
    "learns more, or more seeds show that it has."
)
STRONGER = (
    "Beside another recipe's dense network, stronger on validation than the ticket's own: {each}."
)
STRONGER_AT = "{name} {cell} {reach}"
STRONGER_NONE = "{name} no ✓"
STRONGER_OPEN = "{name} open, with one seed"
DOWN_TO, ONLY_AT = "down to {part}", "at {part}"
LATE_AT = "{name} {reach} ({way}; seeds: {seeds})"
OF_SEEDS = ", seeds: {seeds}"
AT = ", at {place}, seeds: {seeds}"
NOT_AT = "not at {place}; {each}"
ELSEWHERE = "{mark} at {place}"
FOUND = "**Found.** A ticket as good as its dense network within {margin}: {where} of the weights."
FOUND_NONE = "**Found.** No ticket is shown to be as good as its dense network within {margin}."
FOUND_LATE = "With late rewinding also: {where}."
NOT_FOUND = (
    "**Not found.** At {no} of the {run} rungs that were run the ticket is worse than its dense "
    "network by more than {margin}; {more} open."
)
AT_RUNGS = (
    "at {up} of {run} rungs, worse at {down}, the same within {margin} at {same}, open at {open}."
)
FIRST = f"**First values** beside new ones, in the ticket's places: better {AT_RUNGS}"
LEARNED = f"**Learned places** beside random ones, with the first values: better {AT_RUNGS}"
ROWS = (
    "**Learned rows** beside the same rows given to other words as frequent, other filters and "
    f"other units: better {AT_RUNGS}"
)
OPEN_ONES = (
    " Of the open ones {soon} would probably be decided by {few} seeds, {late} by more, and "
    "{never} by no number while their means stay as they are; {single} rest on one seed, which "
    "decides nothing, and {unrun} were not run."
)
SURE = (
    "**How sure.** {decided} of {asked} headline decisions are decided (pairs: {pairs}; rungs: "
    "{rungs}; ticket and first values at each), seeds: {seeds}.{others}"
)
LIMITS = (
    "**Where.** {corpora}; small models trained from nothing, one tokeniser, one vocabulary, one "
    "split: what holds here need not hold for larger or pretrained networks or for other texts.",
    "**What is pruned.** Most weights are the embedding's, so a sparsity is mostly one of word "
    "vectors.",
    "{recipes}",
    "**Seeds** are few ({seeds} for a headline question, {fewest} or more for another) and say "
    "little of how seeds differ: most intervals are wide for it, and seeds needed, which are "
    "extrapolated from them, are rough.",
    "**The margin** of {margin} is a convention, and another one gives other marks.",
    "**Many intervals.** The ladders hold {intervals} intervals of several seeds; where other "
    "tables hold more, they say how many. Each is 95 % by itself, not adjusted for their number: "
    "about one in twenty misses by chance, more where seeds were added after a look "
    "(docs/method.md, Seeds that are added).{by_luck}",
)
BY_LUCK = (
    " {lucky} of the {decided} decided questions rest on seeds that agree better than their test "
    "texts allow, and such intervals hold the truth less often."
)
CHOSEN = (
    "**Recipes** were chosen on validation with one seed, for IMDb's LSTM and in close cases its "
    "CNN two, by authors who had seen test figures of earlier recipes; one learning rate was tried."
)
UNCHOSEN = (
    "**No recipe** was chosen for these texts: settings are the defaults but where they are named, "
    "and a better dense network may be found. The marks are of accuracy; where classes are uneven, "
    "look at macro-F1, too."
)
GENERATED = "These texts are generated: nothing here is a result on real ones."
BEGIN, END = "<!-- answer: written by `lottery report` -->", "<!-- end of the answer -->"


class Answer(str):
    """Markdown that a notebook shows as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


def answer(records: Iterable[Record]) -> Answer:
    """What these records say, for a notebook: the sentence, the grid, and what was found."""
    records = list(records)
    ladders = verdict.ladders(records)
    found = verdict.firsts(ladders)
    blocks = [GENERATED] if any(pair.generated for pair in found) else []
    blocks += [top(found), bulleted(bullets(found, ladders))]
    return Answer("\n\n".join(filter(None, blocks)))


def top(found: Sequence[Ladder]) -> str:
    """The sentence, the grid and its legend, as markdown."""
    if not found:
        return NOTHING
    table = markdown(grid(found))
    stronger = _stronger(found)
    legend = LEGEND.format(margin=margin()) + lucky("".join([table, *stronger]))
    unlearned = [
        UNLEARNED.format(name=p.name, dense=percent(p.dense.mean), floor=percent(p.floor))
        for p in found
        if not p.has_learned
    ]
    return "\n\n".join([headline(found), *unlearned, table, legend, *stronger])


def _stronger(found: Iterable[Ladder]) -> list[str]:
    """How far down tickets are as good as a dense network that is stronger than their own."""
    each = []
    for pair in found:
        counts = {rung[verdict.STRONGEST].seeds for rung in pair.rungs} - {0}
        if verdict.owns_strongest(pair) or not counts:
            continue
        if max(counts) == 1:
            each.append(STRONGER_OPEN.format(name=pair.name))
            continue
        good = pair.last_good(verdict.STRONGEST)
        if good is None:
            each.append(STRONGER_NONE.format(name=pair.name))
            continue
        last = good[verdict.STRONGEST]
        shown = cell(last, OF_SEEDS.format(seeds=last.seeds))
        reach = _reach(pair, verdict.STRONGEST)
        each.append(STRONGER_AT.format(name=pair.name, cell=shown, reach=reach))
    return [STRONGER.format(each="; ".join(each))] if each else []


def _reach(pair: Ladder, question: str = verdict.TICKET) -> str:
    """How sparse a good ticket is: "down to 1/16", or "at" it, if one with more weights is not."""
    good = pair.last_good(question).sparsity
    above = [rung[question].state for rung in pair.rungs if rung.sparsity < good]
    said = DOWN_TO if all(state == verdict.YES for state in above) else ONLY_AT
    return said.format(part=part(good))


def headline(found: Sequence[Ladder]) -> str:
    """Do tickets exist here, how sparse, how sure?"""
    counts = counted(found)
    if not counts["run"]:
        return NOTHING
    best = [(pair, rung) for pair in found if (rung := pair.sparsest)]
    if not best:
        return NONE.format(**counts)
    top = max(rung.sparsity for _, rung in best)
    where = [pair.name for pair, rung in best if rung.sparsity == top]
    first = sum(rung[verdict.FIRST_VALUES].state == verdict.UP for _, rung in best)
    return SOME.format(**counts, part=part(top), where=", ".join(where), first=first)


def grid(found: Sequence[Ladder]) -> pd.DataFrame:
    """A row a pair: marks and differences at each rung, then why, at the sparsest good ticket."""
    heads = parts(verdict.steps(found))
    rows = []
    for pair in found:
        row = {"Dense": percent(pair.dense.mean) if pair.dense else verdict.NOT_RUN}
        for number, (step, head) in enumerate(heads.items()):
            one = verdict.at(step, pair.rungs)[verdict.TICKET]
            row[head if number else f"{head} of the weights"] = cell(one)
        for head, question in (
            ("First values less new", verdict.FIRST_VALUES),
            ("Learned places less random", verdict.PLACES),
        ):
            rung = pair.sparsest
            row[head] = _why(pair, question, heads) if rung else "–"
        rows.append(row | {"Seeds": span(_seeds([pair], [verdict.TICKET]))})
    ways = [f" ({pair.way})" if pair.way else "" for pair in found]
    names = [f"{p.name}{FORMER * p.is_former}{way}" for p, way in zip(found, ways, strict=True)]
    return pd.DataFrame(rows, index=names).rename_axis(columns="Pair")


def cell(fact: Fact, end: str = "") -> str:
    """ "✓ −0.13 <sub>−0.20 to −0.06</sub>"."""
    if fact.interval is None:
        return verdict.NOT_RUN
    given = fact.interval
    around = f"{points(given.low)} to {points(given.high)}{dagger(given.is_lucky)}{end}"
    return f"{SYMBOLS[fact.state]} {points(given.mean)} <sub>{around}</sub>"


def _why(pair: Ladder, question: str, heads: Mapping[float, str]) -> str:
    """A cell of the sparsest good ticket; where that was not run, the marks of where it was."""
    fact, place = pair.sparsest[question], heads[pair.sparsest.sparsity]
    each = [
        ELSEWHERE.format(mark=SYMBOLS[rung[question].state], place=heads[rung.sparsity])
        for rung in pair.where(question, *SYMBOLS)
    ]
    if fact.state == verdict.NOT_RUN and each:
        return NOT_AT.format(place=place, each=", ".join(each))
    return cell(fact, AT.format(place=place, seeds=fact.seeds))


def bullets(found: Sequence[Ladder], ladders: Iterable[Ladder]) -> list[str]:
    """What was found, what was not, why, and how sure; none where no ticket was run."""
    counts = counted(found)
    if not counts["run"]:
        return []
    best = [f"{pair.name} {_reach(pair)}" for pair in found if pair.sparsest]
    first = (FOUND if best else FOUND_NONE).format(margin=margin(), where=", ".join(best))
    late = _late(found, ladders)
    lines = [f"{first} {FOUND_LATE.format(where=', '.join(late))}" if late else first]
    more = amount(counts["open"], "more is", "more are")
    lines.append(NOT_FOUND.format(**counts, more=more))
    asked = {
        FIRST: verdict.FIRST_VALUES,
        LEARNED: verdict.PLACES,
        ROWS: verdict.EXCHANGED,
    }
    for template, question in asked.items():
        standings = states(found, question)
        if standings["run"]:
            lines.append(template.format(**standings, margin=margin()))
    return [*lines, SURE.format(**counts, others=open_ones(counts))]


def limits(
    found: Sequence[Ladder],
    ladders: Iterable[Ladder],
    corpora: Iterable[str],
    chosen: bool = True,
) -> list[str]:
    """What a careful reader should hold against all this; `corpora` are titles.

    `chosen`: was a recipe chosen for them?
    """
    facts = [fact for ladder in ladders for rung in ladder.rungs for fact in _different(rung)]
    decided, counts = [fact for fact in _headline(found) if fact.is_decided], counted(found)
    lucky = sum(fact.interval.is_lucky for fact in decided)
    known = counts | {
        "recipes": CHOSEN if chosen else UNCHOSEN,
        "corpora": " and ".join(corpora),
        "intervals": sum(fact.seeds > 1 for fact in facts),
        "fewest": min((fact.seeds for fact in facts if fact.seeds), default=0),
        "by_luck": BY_LUCK.format(lucky=lucky, decided=len(decided)) if decided else "",
    }
    return [line.format(**known) for line in LIMITS]


def counted(found: Sequence[Ladder]) -> dict[str, object]:
    """What the templates ask for. A rung that a pair lacks counts as asked and not run."""
    tickets = states(found, verdict.TICKET)
    return standing(_headline(found)) | {
        "pairs": len(found),
        "rungs": len(verdict.steps(found)),
        "found": sum(pair.sparsest is not None for pair in found),
        "run": tickets["run"],
        "no": tickets[verdict.NO],
        "open": tickets[verdict.OPEN],
        "seeds": span(_seeds(found, verdict.HEADLINE)),
        "margin": margin(),
    }


def open_ones(counts: Mapping[str, object]) -> str:
    """What would decide the rest, to stand behind other words; "" if all are decided."""
    return OPEN_ONES.format(**counts) if counts["decided"] != counts["asked"] else ""


def standing(facts: Sequence[Fact]) -> dict[str, int]:
    """How many facts were asked for, are decided, and would be by how many seeds."""
    open_ = [fact for fact in facts if fact.state == verdict.OPEN and fact.seeds > 1]
    return {
        "asked": len(facts),
        "decided": sum(fact.is_decided for fact in facts),
        "soon": sum(fact.needed is not None and fact.needed <= SOON for fact in open_),
        "late": sum(fact.needed is not None and fact.needed > SOON for fact in open_),
        "never": sum(fact.needed is None for fact in open_),
        "single": sum(fact.state == verdict.OPEN and fact.seeds == 1 for fact in facts),
        "unrun": sum(fact.state == verdict.NOT_RUN for fact in facts),
        "few": SOON,
    }


def into(text: str, found: Sequence[Ladder], also: str = "") -> str:
    """A text with the answer, and what is said with it, between its two marks, if it has them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    said = "\n\n".join(filter(None, (top(found), also)))
    return f"{before}{begin}\n{said}\n{end}{after}" if end else text


def _headline(found: Sequence[Ladder]) -> list[Fact]:
    """The facts of the headline's questions at every rung of every pair."""
    steps = verdict.steps(found)
    rungs = [verdict.at(step, pair.rungs) for pair in found for step in steps]
    return [rung[question] for rung in rungs for question in verdict.HEADLINE]


def _different(rung: Rung) -> list[Fact]:
    """A rung's facts, each comparison once: verdict.LATE is PLAIN of another ladder."""
    facts = {question: fact for question, fact in rung.facts.items() if question != verdict.LATE}
    if rung[verdict.STRONGEST] == rung[verdict.TICKET]:  # its own dense is the strongest
        del facts[verdict.STRONGEST]
    return list(facts.values())


def states(found: Iterable[Ladder | Journey], question: str) -> dict[str, int]:
    """How many rungs are in each state, and how many were run."""
    states = [rung[question].state for pair in found for rung in pair.rungs]
    counts = {state: states.count(state) for state in SYMBOLS}
    return counts | {"run": len(states) - states.count(verdict.NOT_RUN)}


def _late(found: Iterable[Ladder], ladders: Iterable[Ladder]) -> list[str]:
    """Where late rewinding makes a good ticket at a sparser rung than plain rewinding does."""
    plain = {pair.key: pair for pair in found}
    said = []
    for ladder in ladders:
        own = plain.get(ladder.key)
        better = ladder.way.startswith("rewind_step") and ladder.sparsest
        here = own.sparsest.sparsity if own and own.sparsest else 0.0
        if better and better.sparsity > here:
            seeds = span({better[verdict.TICKET].seeds})
            where = {"name": ladder.name, "way": ladder.way, "seeds": seeds}
            said.append(LATE_AT.format(reach=_reach(ladder), **where))
    return said


def _seeds(found: Iterable[Ladder], questions: Iterable[str]) -> set[int]:
    return {f.seeds for p in found for r in p.rungs for q in questions if (f := r[q]).seeds}


def span(numbers: set[int]) -> str:
    """{3} as "3", {3, 5} as "3 to 5"."""
    ends = sorted({min(numbers), max(numbers)}) if numbers else [0]
    return " to ".join(map(str, ends))
