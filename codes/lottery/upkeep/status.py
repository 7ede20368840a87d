"""What is done, running, stopped and failed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lottery import files
from lottery.files import UserError
from lottery.runs.record import Record
from lottery.runs.store import LOCK, STATE, TESTED, WEIGHTS, Store
from lottery.settings import Settings, title
from lottery.upkeep.places import dataset_of, has_record, is_held, place_of

LATER = "{word}: {name}, after epoch {epochs} of {of}, {left} left"
FIRST = "{word}: {name}, before the end of its first epoch"
UNREAD = "{word}: {name}, state cannot be read"
# What takes room, by the ending of its name.
KINDS = {TESTED: "tested networks", WEIGHTS: "weights for further rungs"}
OTHER = "other files"


@dataclass(frozen=True)
class Unfinished:
    """A run without a record: a process is at it, or it was stopped."""

    name: str  # dataset and title; the path's end while it is in its first epoch
    running: bool
    epochs: int  # finished
    of: int  # asked for; 0: not known yet
    spent: float  # seconds

    @property
    def left(self) -> float:
        """Seconds it still needs if its epochs stay as long as they were."""
        return self.spent / self.epochs * (self.of - self.epochs) if self.epochs else 0.0


@dataclass
class Standing:
    """The runs of one dataset and model."""

    dataset: str
    model: str
    done: list[Record] = field(default_factory=list)
    failed: list[Record] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)

    @property
    def spent(self) -> float:
        """Seconds of training behind all that is kept; a failed run's are those of its epochs."""
        ended = sum(record.seconds for record in self.done)
        ended += sum(epoch.seconds for record in self.failed for epoch in record.history)
        return ended + sum(run.spent for run in self.unfinished)

    @property
    def left(self) -> float:
        return sum(run.left for run in self.unfinished)


def standings(store: Store) -> tuple[list[Standing], list[str]]:
    """Each dataset and model of a store, and a line for each record that cannot be read."""
    found: dict[tuple[str, str], Standing] = {}

    def of(dataset: str, model: str) -> Standing:
        return found.setdefault((dataset, model), Standing(dataset, model))

    records, unread = store.records()
    for record in records:
        standing = of(record.settings.dataset, record.settings.model)
        (standing.failed if record.failed else standing.done).append(record)
    begun = {
        place_of(store, path)
        for path in store.checkpoints.glob("*/*/*.*")
        if path.name.partition(".")[2] in (STATE, LOCK)
    }
    for place in sorted(place for place in begun if not has_record(store, place)):
        running = is_held(place.with_name(f"{place.name}.{LOCK}"))
        state = place.with_name(f"{place.name}.{STATE}")
        unfinished = _unfinished(place, state, running)
        if unfinished is not None:
            of(dataset_of(place), place.parent.name).unfinished.append(unfinished)
    return [found[key] for key in sorted(found)], unread


def _unfinished(place: Path, state: Path, running: bool) -> Unfinished | None:
    try:
        facts = files.facts_of(state)
        settings = Settings.from_json(facts["of"]["settings"])
        seconds = [epoch["seconds"] for epoch in facts["history"]]
    except (files.Damaged, UserError, KeyError, TypeError):
        if not running and not state.exists():
            return None  # a lock left behind: nothing was finished
        return Unfinished(f"{dataset_of(place)} {place.name}", running, 0, 0, 0.0)
    name = f"{settings.dataset} {title(settings)}"
    return Unfinished(name, running, len(seconds), settings.epochs, sum(seconds))


def status(store: Store) -> tuple[list[str], list[str]]:
    """Lines for a person: a table of datasets and models, then every run that is not done.

    And a line for each record that cannot be read.
    """
    found, unread = standings(store)
    if not found and not unread:
        return [f"{store.root}: nothing yet; `lottery run` begins"], []
    heads = ("", "done", "running", "stopped", "failed", "spent", "left")
    rows = [heads]
    for s in found:
        running = sum(run.running for run in s.unfinished)
        counts = (len(s.done), running, len(s.unfinished) - running, len(s.failed))
        times = (clock(s.spent), clock(s.left) if s.unfinished else "")
        rows.append((f"{s.dataset} {s.model}", *map(str, counts), *times))
    lines = aligned(rows)
    for s in found:
        for run in s.unfinished:
            word, left = "running" if run.running else "stopped", clock(run.left)
            words = LATER if run.epochs else FIRST if run.running else UNREAD
            lines.append(
                words.format(word=word, name=run.name, epochs=run.epochs, of=run.of, left=left)
            )
        lines += [f"failed: {s.dataset} {title(r.settings)}, {r.failed}" for r in s.failed]
    if room := size(store):
        lines.append(room)
    return lines, unread


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row of a table: the first column to the left, the others to the right."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], others, strict=True))]
        ).rstrip()
        for row in rows
    ]


def size(store: Store) -> str:
    """What the checkpoints take of the disk, in a line; nothing where there are none."""
    sizes = dict.fromkeys((*KINDS.values(), OTHER), 0)
    for path in store.checkpoints.glob("*/*/*"):
        kind = KINDS.get(path.name.partition(".")[2], OTHER)
        with suppress(FileNotFoundError):  # a run has ended meanwhile
            sizes[kind] += path.stat().st_size
    if not any(sizes.values()):
        return ""
    parts = ", ".join(f"{kind} {taken / 1e6:,.1f}" for kind, taken in sizes.items())
    return f"checkpoints: {sum(sizes.values()) / 1e6:,.1f} MB ({parts})"


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
