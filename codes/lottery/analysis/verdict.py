"""Records to facts: what is asked at each rung, how it stands, and how many seeds would tell.

A fact's state follows from its 95 % interval alone. One seed decides nothing, because it says
nothing of others (docs/method.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lottery.analysis import groups, protocols, selection
from lottery.analysis.intervals import Interval, interval, mcnemar, seeds_needed
from lottery.data import DATASETS, title
from lottery.models import MODELS, label
from lottery.plugins.register import coded
from lottery.pruning.arms import ARMS
from lottery.recipes import Recipes
from lottery.runs.record import Record
from lottery.settings import Settings

MARGIN = 0.005  # half a point: what Ma et al. (2021, section 2.2) call similar on CIFAR-10

# Is it as good as dense? The interval lies above -MARGIN, below it, or it is open.
YES, NO, OPEN = "yes", "no", "open"
# Is it better? The interval lies above zero, below it, within the margin on both sides, or open.
UP, DOWN, SAME = "up", "down", "same"
NOT_RUN = "not run"

TICKET = "ticket"  # lt less dense
STRONGEST = "strongest"  # lt less the strongest dense
FIRST_VALUES = "lt less random"  # the first values less new ones
PLACES = "lt less random_mask"  # learned places less random ones
SHUFFLED = "lt less shuffled"
EXCHANGED = "lt less exchanged"  # learned rows less those of their like
FINETUNE = "finetune"  # finetune less lt
SMALL = "small"  # lt less a small dense network with as many weights
RANDOM = "random"  # random less dense
RANDOM_MASK = "random_mask"  # random_mask less dense
LATE = "late"  # lt rewound late less the plain lt; of the plain ladder
PLAIN = "plain"  # lt made another way less the plain lt; of that way's ladder
AS_GOOD = (TICKET, STRONGEST, RANDOM, RANDOM_MASK)  # the others ask which is better
HEADLINE = (TICKET, FIRST_VALUES)

SAME_SIZE = 0.1  # a small dense network may have so much more or fewer weights than the ticket
SIZES = ("embedding_size", "filters", "hidden")  # what makes a small dense network small


def pair_name(dataset: str, model: str) -> str:
    """Dataset and model for people, e.g. "IMDb CNN"."""
    return f"{title(dataset)} {label(model)}"


@dataclass(frozen=True)
class Fact:
    """How a question stands at a rung; the interval is of a difference of test accuracy."""

    state: str = NOT_RUN
    interval: Interval | None = None  # shares: 0.01 is one point; None: not run
    seeds: int = 0
    needed: int | None = None  # seeds that would probably decide it; None: no number that is known
    p: float | None = None  # of McNemar's test, for a single seed
    apart: int = 0  # seeds left out, because their masks are known to differ

    @property
    def is_decided(self) -> bool:
        return self.state not in (OPEN, NOT_RUN)


@dataclass(frozen=True)
class Rung:
    """What is known of the tickets of one sparsity."""

    sparsity: float  # asked for
    facts: dict[str, Fact] = field(default_factory=dict)  # every question
    epochs_enough: bool | None = None  # is dense's best epoch never the last? None: no dense

    def __getitem__(self, question: str) -> Fact:
        return self.facts.get(question, Fact())


def steps(found: Iterable[Ladder]) -> list[float]:
    """The sparsities of the rungs of ladders, or of journeys, rising."""
    return sorted({rung.sparsity for one in found for rung in one.rungs})


def at(step: float, rungs: Iterable[Rung]) -> Rung:
    """The rung of a sparsity; where there is none, one at which nothing was run."""
    return next((rung for rung in rungs if rung.sparsity == step), Rung(step))


@dataclass(frozen=True)
class Ladder:
    """The rungs of one ladder of tickets, of one dataset and model."""

    dataset: str
    model: str
    rungs: tuple[Rung, ...] = ()
    dense: Interval | None = None  # its test accuracy
    way: str = ""  # how these tickets are not the recipe's plain ones
    settings: Settings | None = None  # those of the highest rung, first seed; None: not run
    floor: float = 0.0  # test accuracy of who always says the commonest class
    generated: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.dataset, self.model

    @property
    def name(self) -> str:
        return pair_name(self.dataset, self.model)

    @property
    def has_learned(self) -> bool:
        """Is the dense network shown to know more than the commonest class? If not, nothing here
        is as good as it."""
        return self.dense is None or self.dense.low > self.floor

    @property
    def is_former(self) -> bool:
        """Is this the recipe without weight decay, where today's is another?"""
        return self.settings is not None and protocols.is_former(self.settings)

    @property
    def sparsest(self) -> Rung | None:
        """The sparsest rung at which the ticket is as good as dense."""
        return self.last_good(TICKET)

    def last_good(self, question: str) -> Rung | None:
        """The sparsest rung at which the answer to a question of AS_GOOD is yes."""
        return max(self.where(question, YES), key=lambda rung: rung.sparsity, default=None)

    def where(self, question: str, *states: str) -> list[Rung]:
        """The rungs at which a question has one of these states."""
        return [rung for rung in self.rungs if rung[question].state in states]


def beside_ticket() -> dict[str, str]:
    """Of every arm that the ticket is held against: its question, lt less the arm."""
    names = [name for name, arm in ARMS.items() if arm.against == "lt" and name != "finetune"]
    return {name: f"lt less {name}" for name in names}


def judged(question: str, low: float, high: float) -> str:
    """The state of a question whose interval is this."""
    if question in AS_GOOD:
        return YES if low > -MARGIN else NO if high < -MARGIN else OPEN
    if low > 0 or high < 0:
        return UP if low > 0 else DOWN
    return SAME if low >= -MARGIN and high <= MARGIN else OPEN


def of_one_mask(question: str, one: Record, other: Record) -> bool:
    """Are the masks the same where a question is of one mask, as that of first values is? Where a
    record does not say its own, those of one device count as the same, unless they keep other
    numbers of weights."""
    if question != FIRST_VALUES:
        return True
    if one.mask and other.mask:
        return one.mask == other.mask
    return (one.device, one.layers) == (other.device, other.layers)


def fact(
    question: str,
    first: Iterable[Record],
    second: Iterable[Record],
    fit: Callable[[str, Record, Record], bool] = of_one_mask,
) -> Fact:
    """Two arms on the same texts, paired by seed.

    Left out is a seed that one lacks, and one whose masks do not `fit` the question: a ticket
    trained again on another machine keeps its record and has another mask.
    """
    others = {record.settings.seed: record for record in second}
    paired = [(r, others[r.settings.seed]) for r in first if r.settings.seed in others]
    both = [(r.correct, other.correct) for r, other in paired if fit(question, r, other)]
    apart = len(paired) - len(both)
    if not both:
        return Fact(apart=apart)
    ours, theirs = (np.array(side) for side in zip(*both, strict=True))
    values = ours.astype(np.int8) - theirs
    given = interval(values)
    if given.seeds == 1:
        return Fact(OPEN, given, 1, p=mcnemar(ours[0], theirs[0]), apart=apart)
    state = judged(question, given.low, given.high)
    needed = given.seeds
    if state == OPEN:
        needed = seeds_needed(values, lambda low, high: judged(question, low, high) != OPEN)
    return Fact(state, given, given.seeds, needed, apart=apart)


def pairs(records: Iterable[Record], recipes: Recipes | None = None) -> list[Ladder]:
    """One ladder for each dataset and model that was run: the plain one with most rungs.

    Tickets made another way stand in, named in `way`, where no plain one was run. By default those
    of `selection.in_report`, else those of the recipes named.
    """
    return firsts(ladders(records, recipes))


def firsts(found: Iterable[Ladder]) -> list[Ladder]:
    """Of each dataset and model the first of these ladders."""
    leading: dict[tuple[str, str], Ladder] = {}
    for ladder in found:
        leading.setdefault(ladder.key, ladder)
    return list(leading.values())


def ladders(records: Iterable[Record], recipes: Recipes | None = None) -> list[Ladder]:
    """Every ladder of tickets, of each pair the plain one with most rungs first.

    A pair of which only dense was run is a ladder without rungs.
    """
    records = [record for record in records if not record.failed]
    chosen = selection.of_recipe(records, recipes) if recipes else selection.in_report(records)
    own, every = _by_pair(chosen), _by_pair(records)
    return [pair for key in sorted(own, key=order) for pair in _of_pair(own[key], every[key])]


def _by_pair(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        found[record.settings.pair].append(record)
    return found


def order(pair: tuple[str, str]) -> tuple[int, str, int]:
    """Where a dataset and model stand: the known ones first, in their order."""
    dataset, model = pair
    return [*DATASETS, dataset].index(dataset), dataset, [*MODELS, model].index(model)


def _of_pair(own: list[Record], everything: list[Record]) -> list[Ladder]:
    """The ladders of one pair's protocol, beside networks from among `everything` of the pair."""
    by_settings = {record.settings: record for record in own}
    tickets = groups.groups(record for record in own if record.settings.arm == "lt")
    dense = [r for r in sorted(own, key=lambda r: r.settings.seed) if r.settings.arm == "dense"]
    late = _late(tickets)

    def like(runs: Sequence[Record], change: Callable[[Settings], Settings]) -> list[Record]:
        wanted = [change(record.settings) for record in runs]
        return [by_settings[settings] for settings in wanted if settings in by_settings]

    def rung(runs: Sequence[Record]) -> Rung:
        arms = {
            name: like(runs, lambda s, arm=name: coded(replace(s, arm=arm).normal()))
            for name, known in ARMS.items()
            if name != "lt" and not known.travels
        }
        is_plain = not protocols.variant(runs[0].settings)
        plain = [] if is_plain else like(runs, protocols.plain)
        rewound = like(runs, lambda s: replace(s, rewind_step=late)) if is_plain and late else []
        compared = {
            TICKET: (runs, arms["dense"]),
            STRONGEST: (runs, strongest(arms["dense"] or dense, everything)),
            **{question: (runs, arms[name]) for name, question in beside_ticket().items()},
            FINETUNE: (arms["finetune"], runs),
            SMALL: (runs, small_dense(runs, everything)),
            RANDOM: (arms["random"], arms["dense"]),
            RANDOM_MASK: (arms["random_mask"], arms["dense"]),
            LATE: (rewound, runs),
            PLAIN: (runs, plain),
        }
        ends = [record.best_epoch == len(record.history) for record in arms["dense"]]
        facts = {question: fact(question, *two) for question, two in compared.items()}
        if not base.has_learned:
            facts = {question: _beside_nothing(known) for question, known in facts.items()}
        return Rung(runs[0].settings.sparsity, facts, not any(ends) if ends else None)

    first = own[0].settings
    base = Ladder(
        first.dataset,
        first.model,
        dense=interval(np.array([r.correct for r in dense])) if dense else None,
        settings=first,
        generated=bool(own[0].data["generated"]),
        floor=floor(own[0]),
    )
    by_way = defaultdict(list)
    for group in tickets:
        by_way[protocols.words(protocols.variant(group.settings))].append(group)
    made = []
    for way, same in by_way.items():
        chains = sorted(groups.chains(same), key=lambda c: (-len(c), c[-1].settings.ladder))
        for chain in chains:
            top, words = chain[-1].settings, [way] if way else []
            if chain is not chains[0]:  # the same way with other steps
                words.append(protocols.words({"ladder": top.ladder}))
            rungs = tuple(rung(group.records) for group in chain)
            made.append(replace(base, rungs=rungs, way=", ".join(words), settings=top))
    return sorted(made, key=lambda pair: (pair.way != "", pair.way)) or [base]


def floor(record: Record) -> float:
    """Test accuracy of a network that always says the commonest class of the test texts."""
    if record.classes:
        texts = record.data["labels"]["test"]
        return max(texts) / sum(texts)
    return 1 / len(DATASETS[record.settings.dataset].classes)  # as many texts in each, or nearly


def _beside_nothing(known: Fact) -> Fact:
    """As good as a network that has learned nothing is no answer."""
    return replace(known, state=OPEN, needed=None) if known.state == YES else known


def _late(tickets: Sequence[groups.Group]) -> int:
    """The step of late rewinding that most rungs were run with; 0 if none was."""
    ways = [protocols.variant(group.settings) for group in tickets]
    steps = [way["rewind_step"] for way in ways if list(way) == ["rewind_step"]]
    return max(sorted(set(steps)), key=steps.count, default=0)


def strongest(runs: Sequence[Record], records: Iterable[Record]) -> list[Record]:
    """The dense networks of the pair's strongest recipe on the same texts as `runs`.

    `runs` themselves, where there is none stronger than their recipe's.
    """
    wanted = protocols.stronger(runs[0].settings) if runs else None
    if wanted is None:
        return list(runs)
    texts = protocols.fingerprint(runs[0])
    own = (r for r in records if r.settings.arm == "dense" and protocols.fingerprint(r) == texts)
    return [record for record in own if record.settings.protocol == wanted]


def owns_strongest(pair: Ladder) -> bool:
    """Is the pair's own dense network the strongest there is?"""
    return pair.settings is None or protocols.stronger(pair.settings) is None


def small_dense(tickets: Sequence[Record], records: Iterable[Record]) -> list[Record]:
    """Dense networks that differ from the tickets' only in width and have as many weights."""
    usual, kept = tickets[0].settings.protocol, _kept(tickets[0])
    found: dict[Settings, list[Record]] = defaultdict(list)
    for record in records:
        protocol = record.settings.protocol
        if record.settings.arm != "dense" or protocol == usual:
            continue
        if replace(protocol, **{name: getattr(usual, name) for name in SIZES}) != usual:
            continue
        same_texts = protocols.fingerprint(record) == protocols.fingerprint(tickets[0])
        if same_texts and abs(_kept(record) - kept) <= SAME_SIZE * kept:
            found[protocol].append(record)
    nearest = sorted(found, key=lambda p: (abs(_kept(found[p][0]) - kept), p.run))
    return found[nearest[0]] if nearest else []


def _kept(record: Record) -> int:
    return sum(record.kept.values())
