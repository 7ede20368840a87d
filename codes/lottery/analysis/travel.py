"""Do tickets travel? Records of foreign masks to facts, by source, dataset and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from lottery.analysis import protocols, selection, verdict
from lottery.analysis.verdict import Fact, Rung
from lottery.data import DATASETS, title
from lottery.models import label
from lottery.plugins.register import coded, is_here
from lottery.pruning.masks import EMBEDDING
from lottery.pruning.transfer import Transfer
from lottery.runs.record import Record
from lottery.settings import TRANSFERRED, Settings

OWN_MASK = "transferred less lt"
SHUFFLED = "transferred less transferred_shuffled"
RANDOM = "transferred less transferred_random"
DENSE = "transferred less dense"
VALUES = "transferred_weights less transferred"
INNER = "transferred_inner less lt"
ASKED = (OWN_MASK, SHUFFLED, RANDOM, DENSE, VALUES, INNER)
OF_ONE_TICKET = (SHUFFLED, RANDOM, VALUES, INNER)  # both masks are made of the same two tickets
# Arms whose records say where what they keep came from: the first that was run is asked. All but
# the last have the same mask.
PLACED = (
    *(TRANSFERRED, "transferred_weights", "transferred_shuffled", "transferred_random"),
    "transferred_inner",
)


@dataclass(frozen=True)
class Journey:
    """The tickets of one source, dataset and model, of one ladder."""

    source: str
    dataset: str
    model: str
    way: str = ""  # how these tickets are not the recipe's plain ones
    rungs: tuple[Rung, ...] = ()  # of the questions in ASKED
    # What travelled, by the rung's sparsity, of every seed
    transfers: dict[float, list[Transfer]] = field(default_factory=dict)

    @property
    def apart(self) -> int:
        """Pairs of runs that are not compared, because their masks are not of one ticket."""
        return sum(fact.apart for rung in self.rungs for fact in rung.facts.values())

    @property
    def name(self) -> str:
        way = f" ({self.way})" if self.way else ""
        return f"{title(self.source)} → {title(self.dataset)} {label(self.model)}{way}"


def journeys(records: Iterable[Record]) -> list[Journey]:
    """Every source, dataset and model of which a foreign mask was run by the main protocol.

    Known datasets and models first, in their order.
    """
    by_settings = {record.settings: record for record in _compared(records)}
    found: dict[tuple[str, str, str, str], dict[Settings, None]] = defaultdict(dict)
    for settings in by_settings:
        if _is_abroad(settings):
            way = {k: v for k, v in protocols.variant(settings).items() if k != "source"}
            key = *settings.pair, settings.source, protocols.words(way)
            found[key][_with(settings, TRANSFERRED)] = None

    def order(key: tuple[str, str, str, str]) -> tuple:
        dataset, model, source, way = key
        return verdict.order((dataset, model)), [*DATASETS, source].index(source), source, way

    made = []
    for key in sorted(found, key=order):
        ladders, way = _ladders(found[key]), key[-1]
        for ladder, own in ladders:
            if len(ladders) > 1:  # told apart by their steps
                steps = f"ladder {' '.join(f'{step:g}' for step in ladder)}"
                way = ", ".join(filter(None, (key[-1], steps)))
            made.append(_journey((*key[:-1], way), own, by_settings))
    return made


def foreign(records: Iterable[Record]) -> list[Record]:
    """The runs with a foreign mask that `journeys` compares."""
    return [record for record in _compared(records) if _is_abroad(record.settings)]


def _compared(records: Iterable[Record]) -> list[Record]:
    """The records of the main protocols, foreign masks among them."""
    records = [r for r in records if not r.failed and is_here(r.settings)]
    main = {protocols.identity(record) for record in selection.in_report(records)}
    return [record for record in records if protocols.identity(record) in main]


def _is_abroad(settings: Settings) -> bool:
    """Is its mask another dataset's? One sent home is the ticket itself, and tells nothing."""
    return settings.source not in ("", settings.dataset)


def _with(settings: Settings, arm: str) -> Settings:
    """The same run by another arm."""
    return coded(replace(settings, arm=arm).normal())


def _ladders(runs: Iterable[Settings]) -> list[tuple[tuple[float, ...], list[Settings]]]:
    """The runs by the longest ladder that begins as theirs."""
    found: dict[tuple[float, ...], list[Settings]] = {}
    for settings in sorted(runs, key=lambda s: (-s.rung, s.ladder, s.seed)):
        begun = [top for top in found if top[: settings.rung] == settings.ladder]
        found.setdefault(begun[0] if begun else settings.ladder, []).append(settings)
    return list(found.items())


def _journey(
    key: tuple[str, str, str, str],
    own: list[Settings],
    by_settings: dict[Settings, Record],
) -> Journey:
    dataset, model, source, way = key
    rungs, transfers = [], {}
    for step in sorted({settings.sparsity for settings in own}):
        runs = [settings for settings in own if settings.sparsity == step]

        def of(arm: str, runs: list[Settings] = runs) -> list[Record]:
            wanted = (_with(settings, arm) for settings in runs)
            return [by_settings[settings] for settings in wanted if settings in by_settings]

        rungs.append(Rung(step, {asked: _fact(asked, of) for asked in ASKED}))
        placed = next(filter(None, map(of, PLACED)), [])
        transfers[step] = [record.transfer for record in placed if record.transfer]
    return Journey(source, dataset, model, way, tuple(rungs), transfers)


def _fact(asked: str, of: Callable[[str], list[Record]]) -> Fact:
    """Two arms of a rung; beside dense: is one as good?"""
    first, second = map(of, asked.split(" less "))
    return verdict.fact(verdict.TICKET if asked == DENSE else asked, first, second, _are_of_one)


def _are_of_one(asked: str, one: Record, other: Record) -> bool:
    """Are the masks of the same tickets, where a comparison asks for it?

    Trained again on another machine, a ticket keeps its record and has another mask.
    """
    if asked not in OF_ONE_TICKET or one.transfer is None:
        return True
    mine, theirs = one.transfer, other.transfer
    if asked == INNER and mine.own_mask and other.mask:
        return mine.own_mask == other.mask
    if asked != INNER and mine.mask and theirs.mask:
        return mine == theirs
    if one.device != other.device:  # counts are the same where each layer keeps its share
        return False
    if asked != INNER:
        return mine.counted == theirs.counted
    kept = sum(count for name, count in other.kept.items() if name != EMBEDDING)
    return mine.own_inner == kept
