"""Records to an answer in words: is there a winning ticket, up to where, and why?

A difference is decided when its whole 95 % interval lies on one side of the margin, and so does the
one from the test examples alone, lest seeds that agree by luck decide. Everything else is "not
decided", one seed always, because it says nothing about other seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lottery.analysis import groups
from lottery.analysis.intervals import Interval, interval, mcnemar
from lottery.data import DATASETS
from lottery.models import MODELS
from lottery.runs.record import Record
from lottery.settings import Settings

MARGIN = 0.005  # half a point: what Ma et al. (2021, section 2.2) call similar on CIFAR-10
YES, NO, UNDECIDED, NOT_RUN = "yes", "no", "not decided", "not run"
LEAST_SPARSITY = 0.6  # about where holes begin to pay on a device (Ma et al. 2021, section 2.2)
SAME_SIZE = 0.1  # a small dense network may have so much more or fewer weights than the ticket
SIZES = ("embedding_size", "filters", "hidden")  # what makes a small dense network small
MASKS = ("random_mask", "shuffled")
CONTROLS = ("random", *MASKS)
WAYS = {"rewind_step": "late rewinding to step", "scope global": "global pruning"}

# Ma et al. (2021), section 2.2, in our words.
CONDITIONS = (
    "1 sparse enough (60 %), and epochs enough",
    "2 better than a small dense network",
    "3 better than random init",
    "4 as good as dense, trained alike",
    "5 as good as dense, trained best",
)


@dataclass(frozen=True)
class Difference:
    """Test accuracy of one arm less that of another, same seeds and same test examples."""

    interval: Interval | None = None  # None: one of the two was not run
    p: float | None = None  # of McNemar's test, for a single seed

    @property
    def one_seed(self) -> bool:
        return self.interval is not None and self.interval.seeds == 1

    def above(self, bound: float) -> str:
        """Is the difference greater than `bound`? YES, NO, UNDECIDED or NOT_RUN."""
        if self.interval is None:
            return NOT_RUN
        if self.one_seed:
            return UNDECIDED
        found = self.interval
        if min(found.low, found.mean - found.of_examples) > bound:
            return YES
        return NO if max(found.high, found.mean + found.of_examples) < bound else UNDECIDED


@dataclass(frozen=True)
class Rung:
    """One ticket beside all that it is compared with."""

    sparsity: float  # asked for
    dense: Difference = Difference()  # ticket less dense; so for the others
    random: Difference = Difference()
    random_mask: Difference = Difference()
    shuffled: Difference = Difference()
    size: Difference = Difference()  # random mask less dense
    fresh: Difference = Difference()  # random init less dense
    small: Difference = Difference()  # ticket less a small dense network
    plain: Difference = Difference()  # a ticket made in another way less the plain one
    epochs_enough: bool | None = None  # None: no dense network
    unfinished: tuple[str, ...] = ()  # of `MASKS`, those whose best epoch is the last in a seed

    @property
    def ticket(self) -> str:
        """Is it a winning ticket: not worse than dense by more than the margin?"""
        return self.dense.above(-MARGIN)

    @property
    def too_large(self) -> str:
        """Does a random mask of this size do, as good as dense within the margin?"""
        return self.size.above(-MARGIN)

    @property
    def structure(self) -> str:
        """Does the structure do with new first values, as good as dense within the margin?"""
        return self.fresh.above(-MARGIN)

    @property
    def one_seed(self) -> bool:
        """Does one of the differences rest on a single seed?"""
        return any(x.one_seed for x in vars(self).values() if isinstance(x, Difference))

    def beats(self, control: str) -> str:
        """Is it better than a control by more than the margin?"""
        return getattr(self, control).above(MARGIN)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Ma et al. (2021), conditions 1 to 5.

        One recipe and one learning rate are trained: 3 and 4 are theirs at that rate only, and 5,
        against the best recipe of all, can be failed but not met.
        """
        first = NO if self.sparsity < LEAST_SPARSITY else UNDECIDED
        if first != NO and self.epochs_enough is not None:
            first = YES if self.epochs_enough else NO
        second, third = self.small.above(MARGIN), self.beats("random")
        fifth = NO if self.ticket == NO else NOT_RUN
        states = (first, second, third, self.ticket, fifth)
        return tuple(f"{UNDECIDED} ({NOT_RUN})" if s == NOT_RUN else s for s in states)

    @property
    def prize(self) -> str:
        """Their grade: a secondary prize for the first four; a fifth would make it the jackpot."""
        four = self.conditions[:4]
        if NO in four:
            return "no prize"
        return "secondary prize or more" if set(four) == {YES} else UNDECIDED


@dataclass(frozen=True)
class Ladder:
    """The rungs of one way to make tickets, of one dataset and model."""

    dataset: str
    model: str
    rungs: tuple[Rung, ...]
    name: str = ""  # how it differs from plain lt
    learning_rate: float = 1e-3
    generated: bool = False

    @property
    def pair(self) -> str:
        return f"{DATASETS[self.dataset].title}, {self.model.upper()}"

    @property
    def standing(self) -> str:
        """Is there a winning ticket at any sparsity?"""
        states = {rung.ticket for rung in self.rungs} or {NOT_RUN}
        if YES in states or len(states) == 1:
            return YES if YES in states else states.pop()
        return UNDECIDED


# Records to facts


def difference(first: Iterable[Record], second: Iterable[Record]) -> Difference:
    """Runs of two arms on the same texts, paired by seed; a seed that one lacks is left out."""
    others = {record.settings.seed: record for record in second}
    pairs = [
        (r.correct, others[r.settings.seed].correct) for r in first if r.settings.seed in others
    ]
    if not pairs:
        return Difference()
    ours, theirs = (np.array(side) for side in zip(*pairs, strict=True))
    p = mcnemar(ours[0], theirs[0]) if len(pairs) == 1 else None
    return Difference(interval(ours.astype(np.int8) - theirs), p)


def ladders(records: Iterable[Record]) -> list[Ladder]:
    """Every ladder of tickets in one dataset; of each model the plain one with most rungs first."""
    records = [record for record in records if not record.failed]
    chosen = groups.main(records)
    made = []
    for model in MODELS:
        own = [record for record in chosen if record.settings.model == model]
        all_of_model = [record for record in records if record.settings.model == model]
        made += _of_model(model, own, all_of_model)
    return made


def _of_model(model: str, own: list[Record], everything: list[Record]) -> list[Ladder]:
    by_settings = {record.settings: record for record in own}

    def like(runs: Sequence[Record], arm: str) -> list[Record]:
        """The runs of another arm with the same masks' making and seeds."""
        wanted = [replace(record.settings, arm=arm).normal() for record in runs]
        return [by_settings[settings] for settings in wanted if settings in by_settings]

    def plain(runs: Sequence[Record]) -> list[Record]:
        """Beside tickets made in another way, the plain ones of the same rung and seeds."""
        own = [record.settings for record in runs if groups.variant(record.settings)]
        wanted = [replace(s.protocol(), arm="lt", ladder=s.ladder, seed=s.seed) for s in own]
        return [by_settings[settings] for settings in wanted if settings in by_settings]

    def is_unfinished(runs: Sequence[Record]) -> bool:
        return any(record.best_epoch == len(record.history) for record in runs)

    def rung(runs: tuple[Record, ...]) -> Rung:
        dense, masked = like(runs, "dense"), like(runs, "random_mask")
        fresh = like(runs, "random")
        return Rung(
            sparsity=runs[0].settings.sparsity,
            dense=difference(runs, dense),
            random=difference(runs, fresh),
            random_mask=difference(runs, masked),
            shuffled=difference(runs, like(runs, "shuffled")),
            size=difference(masked, dense),
            fresh=difference(fresh, dense),
            small=difference(runs, small_dense(runs, everything)),
            plain=difference(runs, plain(runs)),
            epochs_enough=not is_unfinished(dense) if dense else None,
            unfinished=tuple(name for name in MASKS if is_unfinished(like(runs, name))),
        )

    tickets = groups.groups(record for record in own if record.settings.arm == "lt")
    by_name = defaultdict(list)
    for group in tickets:
        by_name[groups.words(groups.variant(group.settings))].append(group)
    made = []
    for name, same in by_name.items():
        chains = sorted(groups.chains(same), key=lambda c: (-len(c), c[-1].settings.ladder))
        for chain in chains:
            top = chain[-1].settings
            words = [name] if name else []
            if chain is not chains[0]:  # the same way with other steps
                words.append(groups.words({"ladder": top.ladder}))
            made.append(
                Ladder(
                    dataset=top.dataset,
                    model=model,
                    rungs=tuple(rung(group.records) for group in chain),
                    name=", ".join(words),
                    learning_rate=top.learning_rate,
                    generated=bool(chain[-1].records[0].data["generated"]),
                )
            )
    return sorted(made, key=lambda ladder: (ladder.name != "", ladder.name))


def small_dense(tickets: Sequence[Record], records: Iterable[Record]) -> list[Record]:
    """Dense networks that differ from the tickets' only in width and have as many weights."""
    usual, kept = tickets[0].settings.protocol(), _kept(tickets[0])
    found: dict[Settings, list[Record]] = defaultdict(list)
    for record in records:
        protocol = record.settings.protocol()
        alike = replace(protocol, **{name: getattr(usual, name) for name in SIZES}) == usual
        if record.settings.arm != "dense" or not alike or protocol == usual:
            continue
        same_texts = groups.fingerprint(record) == groups.fingerprint(tickets[0])
        if same_texts and abs(_kept(record) - kept) <= SAME_SIZE * kept:
            found[protocol].append(record)
    nearest = sorted(found, key=lambda p: (abs(_kept(found[p][0]) - kept), p.run))
    return found[nearest[0]] if nearest else []


def _kept(record: Record) -> int:
    return sum(there - removed for removed, there in record.layers.values())


# Facts to words


def answers(found: Sequence[Ladder], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The answer in short: a line for each (dataset, model), and one for all of them."""
    plain = {pair: Ladder(*pair, rungs=()) for pair in pairs}
    for ladder in reversed(found):  # the first plain one of a pair is its longest
        if not ladder.name:
            plain[ladder.dataset, ladder.model] = ladder
    names, lines = defaultdict(list), []
    for ladder in plain.values():
        lines.append(f"**{ladder.pair}**: {headline(ladder, found)}")
        name = ladder.pair.replace(", ", " ")
        names[ladder.standing].append(name)
        if any(rung.beats("random") == YES for rung in ladder.rungs):
            names["beats"].append(name)
        elif any(rung.random.above(0) == YES for rung in ladder.rungs):
            names["some"].append(name)
    heads = {
        YES: "a winning ticket in",
        NO: "no winning ticket in",
        UNDECIDED: "not decided in",
        NOT_RUN: "not run:",
    }
    parts = [f"{head} {_and(names[key])}" for key, head in heads.items() if names[key]]
    if any(names[state] for state in (YES, NO, UNDECIDED)):
        some = f"by some amount in {_and(names['some'])}" if names["some"] else ""
        better = f"better than random init by more than {margin_words()}"
        if names["beats"]:
            last = f"{better}, at some sparsity, in {_and(names['beats'])}"
            parts.append(", and ".join(filter(None, (last, some))))
        else:
            parts.append(", yet ".join(filter(None, (f"nowhere shown to be {better}", some))))
    lines.append(f"**Together**: {'; '.join(parts)}.")
    if any(ladder.generated for ladder in found):
        lines[-1] += " These texts are generated, so this says nothing about real ones."
    return lines


def headline(ladder: Ladder, found: Sequence[Ladder] = ()) -> str:
    """One pair's answer as a sentence, with the tickets that only another way of `found` made."""
    if not ladder.rungs:
        return f"{NOT_RUN}."
    parts = [ticket_words(ladder), random_words(ladder)]
    large = [rung for rung in ladder.rungs if rung.too_large == YES]
    if large:
        parts.append(
            f"at {_at(large, ladder.rungs)} a random mask is as good as dense: the network is "
            "merely too large"
        )
    fresh = [rung for rung in ladder.rungs if rung.structure == YES]
    if fresh:
        parts.append(
            f"at {_at(fresh, ladder.rungs)} random init is as good as dense too: the structure is "
            "enough there"
        )
    plain = {rung.sparsity for rung in ladder.rungs if rung.ticket == YES}
    for other in found:
        own = [r for r in other.rungs if r.ticket == YES and r.sparsity not in plain]
        if own and other.name and other.pair == ladder.pair:
            parts.append(f"with {_way(other)} a winning ticket at {_at(own, other.rungs)}")
    if any(rung.dense.one_seed or rung.random.one_seed for rung in ladder.rungs):
        parts.append("one seed decides nothing about other seeds")
    return f"{'; '.join(parts)}."


def verdict(ladder: Ladder) -> list[str]:
    """The same in full, with the numbers at the turning points."""
    if not ladder.rungs:
        return [f"{NOT_RUN}."]
    upward = [rung.ticket == YES for rung in ladder.rungs]
    last = _leading(upward)
    dense = _numbers(ladder.rungs[max(last - 1, 0) : last + 1], "dense")
    lines = [
        f"Ticket: {ticket_words(ladder)}. {dense}",
        f"First values: {random_words(ladder)}. {_numbers(_telling(ladder), 'random')}",
        f"Structure: {structure_words(ladder)}",
        f"Controls: {control_words(ladder)}",
        f"Size: {size_words(ladder)}",
        f"Strict conditions: {prize_words(ladder)}",
    ]
    if any(rung.one_seed for rung in ladder.rungs):
        lines.append("Seeds: where there is one seed, nothing is decided about other seeds.")
    return [line.strip() for line in lines]


def _telling(ladder: Ladder) -> Sequence[Rung]:
    """The rungs where the ticket begins to beat random init; if there are none, its best one."""
    rungs = [rung for rung in ladder.rungs if rung.random.interval is not None]
    first = len(rungs) - _leading(rung.beats("random") == YES for rung in reversed(rungs))
    if first < len(rungs) or not rungs:
        return rungs[max(first - 1, 0) : first + 1]
    return [max(rungs, key=lambda rung: rung.random.interval.mean)]


def variant_words(ladder: Ladder) -> str:
    """A ladder beside the plain one as a sentence."""
    parts = [ticket_words(ladder), random_words(ladder), plain_words(ladder)]
    return f"{_capital(_way(ladder))}: {'; '.join(filter(None, parts))}."


def _way(ladder: Ladder) -> str:
    """How its tickets are made, e.g. "late rewinding to step 438"."""
    said = ladder.name
    for name, words in WAYS.items():
        said = said.replace(name, words)
    return said


def missing_ways(found: Iterable[Ladder]) -> list[str]:
    """A sentence for each other way of making tickets that was not run."""
    ran = " ".join(ladder.name for ladder in found)
    missing = [words.removesuffix(" to step") for name, words in WAYS.items() if name not in ran]
    return [f"{_capital(words)}: {NOT_RUN}." for words in missing]


def plain_words(ladder: Ladder) -> str:
    """Where tickets made in another way are better or worse than the plain ones; "" if not run."""
    rungs = [rung for rung in ladder.rungs if rung.plain.interval is not None]
    if not rungs:
        return ""
    parts = [
        ("better", _above_zero(rungs, "plain", YES)),
        ("worse", _above_zero(rungs, "plain", NO)),
    ]
    said = [f"{word} at {_at(some, ladder.rungs)}" for word, some in parts if some]
    if said:
        return f"beside plain lt init, {' and '.join(said)}"
    end = ", one seed" if all(rung.plain.one_seed for rung in rungs) else ""
    return f"no difference from plain lt init is shown ({_at(rungs, ladder.rungs)}{end})"


def ticket_words(ladder: Ladder) -> str:
    """Up to which sparsity the ticket wins: every rung up to there is not worse than dense."""
    rungs = ladder.rungs
    said = [_said(rung.dense, rung.ticket) for rung in rungs]
    first = _leading(rung.ticket == YES for rung in rungs)
    if first == len(rungs):
        if len(rungs) == 1:
            return f"a winning ticket at {_at(rungs, rungs)} sparsity, the only one that was run"
        return f"a winning ticket up to {_at(rungs[-1:])} sparsity, the highest that was run"
    if first:
        top = _at(rungs[first - 1 : first])
        return f"a winning ticket up to {top} sparsity ({_listed(rungs[first:], said[first:])})"
    if {rung.ticket for rung in rungs} == {NOT_RUN}:
        return "dense was not run, so nothing is known of a winning ticket"
    if len(set(said)) == 1:
        if rungs[0].ticket == NO:
            return f"no winning ticket at {_at(rungs, rungs)} sparsity"
        return f"{said[0]} whether there is a winning ticket ({_at(rungs, rungs)} sparsity)"
    if any(rung.ticket == YES for rung in rungs):
        return f"a winning ticket, but not from the lowest sparsity on ({_listed(rungs, said)})"
    return f"no winning ticket is shown ({_listed(rungs, said)})"


def random_words(ladder: Ladder) -> str:
    """From which sparsity on the ticket beats random init by more than the margin, or by less."""
    rungs = [rung for rung in ladder.rungs if rung.beats("random") != NOT_RUN]
    if not rungs:
        return "random init was not run"
    states = [rung.beats("random") for rung in rungs]
    less, worse = _by_some_amount(rungs, "random")
    parts = [_margin_words(ladder, rungs, states)]
    if less:
        link = "and" if YES in states else "yet"
        parts.append(f"{link} better by some amount at {_at(less, ladder.rungs)}")
    if worse:
        parts.append(f"and worse by some amount at {_at(worse, ladder.rungs)}")
    return ", ".join(parts)


def _by_some_amount(rungs: Sequence[Rung], name: str) -> tuple[list[Rung], list[Rung]]:
    """Where the ticket is better than another arm, but not by the margin; and where it is worse."""
    better = [rung for rung in _above_zero(rungs, name, YES) if rung.beats(name) != YES]
    return better, _above_zero(rungs, name, NO)


def _above_zero(rungs: Sequence[Rung], name: str, state: str) -> list[Rung]:
    """Where "the difference `name` is greater than zero" has this outcome."""
    return [rung for rung in rungs if getattr(rung, name).above(0) == state]


def _margin_words(ladder: Ladder, rungs: Sequence[Rung], states: Sequence[str]) -> str:
    """The same by the margin alone; `rungs` are those that ran random init."""
    better = f"better than random init by more than {margin_words()}"
    every = [_said(rung.random, rung.beats("random")) for rung in ladder.rungs]
    said = [word for word in every if word != NOT_RUN]
    at = _at(rungs, ladder.rungs)
    if len(rungs) == 1 < len(ladder.rungs):
        at += ", the only one that was run"
    start = len(rungs) - _leading(state == YES for state in reversed(states))
    if start == 0:
        return f"{better} at {at}"
    if start < len(rungs):
        claimed = rungs[start:]
        pairs = [(r, word) for r, word in zip(ladder.rungs, every, strict=True) if r not in claimed]
        where = f"from {_at(claimed[:1])} on"
        if len(claimed) == 1:
            where = f"at {_at(claimed)}, the highest that was run"
        return f"{better} {where} ({_listed(*zip(*pairs, strict=True), ladder.rungs)})"
    if len(set(said)) == 1:
        if states[0] == NO:
            return f"not {better} at {at}"
        return f"{said[0]} whether it is {better} ({at})"
    listed = _listed(ladder.rungs, every)
    if YES in states:
        return f"{better}, but not up to the highest sparsity ({listed})"
    return f"not shown to be {better} ({listed})"


def structure_words(ladder: Ladder) -> str:
    """Does the ticket's structure do as well with new first values?"""
    words = {
        YES: f"random init is not worse than dense by more than {margin_words()}: the structure is "
        "enough",
        NO: f"random init is worse than dense by more than {margin_words()}",
        UNDECIDED: "not decided whether random init is as good as dense",
    }
    return _by_outcome(ladder, "fresh", lambda rung: words.get(rung.structure))


def control_words(ladder: Ladder) -> str:
    """Do random init, the random mask and the shuffled mask tell the same?

    The two masks are two draws of one distribution: where one is beaten and the other is not, that
    is chance, and nothing is decided.
    """
    rungs = [r for r in ladder.rungs if {r.beats("random_mask"), r.beats("shuffled")} != {NOT_RUN}]
    if not rungs:
        return f"{NOT_RUN}."
    parts = []
    for name in CONTROLS:
        ran = [rung for rung in rungs if rung.beats(name) != NOT_RUN]
        said = [_said(getattr(rung, name), rung.beats(name)) for rung in ran]
        if ran:
            parts.append(f"{groups.ARM_LABELS[name]} {_listed(ran, said, ladder.rungs)}")
    ends = _listed(rungs, [_agreement(rung) for rung in rungs], ladder.rungs)
    lines = [f"beaten by more than {margin_words()}: {'; '.join(parts)}.", f"{_capital(ends)}."]
    return " ".join(lines + [line for name in MASKS for line in _mask_words(ladder, name)])


def _mask_words(ladder: Ladder, name: str) -> list[str]:
    """Where a random mask differs from the ticket by some amount, or would have learnt on."""
    label, lines = groups.ARM_LABELS[name], []
    for word, some in zip(("better", "worse"), _by_some_amount(ladder.rungs, name), strict=True):
        if some:
            at = _at(some, ladder.rungs)
            lines.append(f"The ticket is {word} than a {label} by some amount at {at}.")
    if late := [rung for rung in ladder.rungs if name in rung.unfinished]:
        lines.append(
            f"The best epoch of a {label} is the last in a seed at {_at(late, ladder.rungs)}: "
            "more might be better."
        )
    return lines


def _agreement(rung: Rung) -> str:
    masks = {rung.beats("random_mask"), rung.beats("shuffled")} - {NOT_RUN}
    states = {rung.beats("random"), *masks} - {NOT_RUN}
    ran = sum(rung.beats(name) != NOT_RUN for name in CONTROLS)
    if UNDECIDED in states or len(masks) == 2:
        return "not all is decided"
    if len(states) == 2:
        return "they disagree"
    return "they agree" if ran > 1 else "no other control to agree with"


def size_words(ladder: Ladder) -> str:
    """Is the network merely too large, so that any mask of that size would do?"""

    def words(rung: Rung) -> str | None:
        ticket = rung.ticket == YES
        return {
            YES: f"a random mask is not worse than dense by more than {margin_words()}: the "
            f"network is merely too large{', and a good ticket says little' if ticket else ''}",
            NO: f"a random mask is worse than dense by more than {margin_words()}"
            f"{': size alone does not explain the ticket' if ticket else ''}",
            UNDECIDED: "not decided whether a random mask is as good as dense",
        }.get(rung.too_large)

    return _by_outcome(ladder, "size", words)


def _by_outcome(ladder: Ladder, name: str, words: Callable[[Rung], str | None]) -> str:
    """A sentence an outcome, with its rungs and their numbers; `words` None: not run."""
    together: dict[str, list[Rung]] = defaultdict(list)
    for rung in ladder.rungs:
        said = words(rung)
        if said:
            end = " (one seed)" if getattr(rung, name).one_seed else ""
            together[said + end].append(rung)
    sentences = []
    for said, rungs in together.items():
        numbers = ", ".join(_points(getattr(rung, name), seeds=False) for rung in rungs)
        sentences.append(f"at {_at(rungs, ladder.rungs)}, {said} ({numbers}).")
    if not sentences:
        return f"{NOT_RUN}."
    return " ".join([sentences[0], *map(_capital, sentences[1:])])


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def prize_words(ladder: Ladder) -> str:
    """The grade of each rung, and the conditions that it fails for."""
    won = [rung for rung in ladder.rungs if rung.prize not in ("no prize", UNDECIDED)]
    lost = [rung for rung in ladder.rungs if rung.prize == "no prize"]
    open_ = [rung for rung in ladder.rungs if rung.prize == UNDECIDED]
    parts = []
    if won:
        rate = power(ladder.learning_rate)
        parts.append(
            f"a secondary prize or more at {_at(won, ladder.rungs)}, at learning rate {rate}"
        )
    if open_:
        said = [f"for want of {_numbered(rung, UNDECIDED)}" for rung in open_]
        parts.append(f"{UNDECIDED} {_listed(open_, said, ladder.rungs)}")
    if lost:
        said = [f"for {_numbered(rung, NO)}" for rung in lost]
        where = "no prize" if parts else "no prize at any sparsity:"
        parts.append(f"{where} {_listed(lost, said, ladder.rungs)}")
    end = ""
    if any(rung.epochs_enough is False for rung in ladder.rungs):
        end = " The dense network's best epoch is the last in a seed: more might be better."
    return f"{'; '.join(parts)}.{end}"


def _numbered(rung: Rung, state: str) -> str:
    """ "conditions 2 and 3": those of the first four in this state."""
    states = [s.removesuffix(f" ({NOT_RUN})") for s in rung.conditions[:4]]
    numbers = [str(number) for number, s in enumerate(states, start=1) if s == state]
    return f"condition{'s' * (len(numbers) > 1)} {_and(numbers)}"


def _numbers(rungs: Sequence[Rung], against: str) -> str:
    """The ticket's difference at these rungs, where it was measured."""
    found = [(rung, getattr(rung, against)) for rung in rungs]
    parts = [f"{_points(d)} at {_at([rung])}" for rung, d in found if d.interval is not None]
    name = groups.ARM_LABELS[against]
    return f"Ticket less {name}, in points: {'; '.join(parts)}." if parts else ""


def _points(found: Difference, seeds: bool = True) -> str:
    """A difference in points with its interval: "+0.12 [−0.10 to +0.34; 3 seeds]"."""
    given, end = found.interval, f"; {found.interval.seeds} seeds"
    if found.one_seed:
        end = f"; 1 seed: test examples only, McNemar p {p_value(found.p)}"
    elif not seeds:
        end = ""
    return f"{points(given.mean)} [{points(given.low)} to {points(given.high)}{end}]"


def p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def points(share: float) -> str:
    """0.0012 as "+0.12"; no minus before a zero."""
    text = f"{100 * share:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def percent(sparsity: float) -> str:
    """0.9375 as "93.75"."""
    return f"{100 * sparsity:.4g}"


def power(value: float) -> str:
    """0.001 as "1e-3"."""
    digits, power = f"{value:.15e}".split("e")
    short = f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return short if float(short) == value else repr(value)


def margin_words() -> str:
    return f"{100 * MARGIN:g} points"


def _said(found: Difference, state: str) -> str:
    if state == UNDECIDED and found.one_seed:
        return f"{UNDECIDED} on one seed"
    return state


def _leading(flags: Iterable[bool]) -> int:
    """How many are true before the first that is not."""
    count = 0
    for flag in flags:
        if not flag:
            break
        count += 1
    return count


def _listed(rungs: Sequence[Rung], said: Sequence[str], among: Sequence[Rung] = ()) -> str:
    """ "at 50 and 75 % no, at 87.5 % not decided"; rungs of one word together."""
    together: dict[str, list[Rung]] = defaultdict(list)
    for rung, word in zip(rungs, said, strict=True):
        together[word].append(rung)
    among = among or rungs
    return ", ".join(f"at {_at(same, among)} {word}" for word, same in together.items())


def _at(rungs: Sequence[Rung], among: Sequence[Rung] = ()) -> str:
    """ "50, 75 and 87.5 %"; four or more neighbours `among` a ladder's are "50 to 93.75 %"."""
    names = [percent(rung.sparsity) for rung in rungs]
    steps = [rung.sparsity for rung in among]
    if len(rungs) > 3 and steps:
        first = steps.index(rungs[0].sparsity)
        if steps[first : first + len(rungs)] == [rung.sparsity for rung in rungs]:
            return f"{names[0]} to {names[-1]} %"
    return f"{_and(names)} %"


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
