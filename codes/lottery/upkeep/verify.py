"""What is done and what is not, what no record needs, and whether the records are true."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from lottery.files import UserError, unwritable
from lottery.pruning.masks import removed_by_layer
from lottery.report import figures
from lottery.report import page as report
from lottery.runs import checkpoints
from lottery.runs.store import Record, Store
from lottery.settings import Settings, title

# A table, a figure or the report is written in moments: its temporary file, once older than this
# many seconds, has been left by a process that was killed.
LEFT_BEHIND = 600
# Kinds of files, as `_kind` names them, that a run with a record and one without do not need.
NEEDLESS = ("temporary files", "damaged files", "locks", "states of finished runs")
NEEDLESS_WITHOUT_RECORD = ("temporary files", "damaged files", "checkpoints without a record")
NEEDED_VERSIONS = ("python", "torch", "numpy")


# Status


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
    recorded = {(path.parent.parent.name, path.stem) for path in store.paths()}
    begun = {}
    for path in sorted(_checkpoints(store).glob("*/*/*.*")):
        kind = path.name.partition(".")[2]
        if kind in ("state.safetensors", "lock") and (_dataset(path), _run(path)) not in recorded:
            begun[path.parent / _run(path)] = path.parent
    for place, folder in begun.items():
        lock, state = place.with_name(f"{place.name}.lock"), f"{place.name}.state.safetensors"
        unfinished = _unfinished(place, folder / state, running=is_held(lock))
        if unfinished is not None:
            of(folder.parent.name, folder.name).unfinished.append(unfinished)
    return [found[key] for key in sorted(found)], unread


def _unfinished(place: Path, state: Path, running: bool) -> Unfinished | None:
    try:
        facts = checkpoints.facts_of(state)
        settings = Settings.from_json(facts["of"]["settings"])
        seconds = [epoch["seconds"] for epoch in facts["history"]]
    except (checkpoints.Damaged, UserError, KeyError, TypeError):
        if not running and not state.exists():
            return None  # a lock left behind: nothing was finished
        return Unfinished(f"{place.parent.parent.name} {place.name}", running, 0, 0, 0.0)
    name = f"{settings.dataset} {title(settings)}"
    return Unfinished(name, running, len(seconds), settings.epochs, sum(seconds))


def status(store: Store) -> list[str]:
    """Lines for a person: a table of datasets and models, then every run that is not done."""
    found, unread = standings(store)
    if not found and not unread:
        return [f"{store.root}: nothing yet; `lottery run` begins"]
    heads = ("", "done", "running", "stopped", "failed", "spent", "left")
    rows = [heads]
    for s in found:
        running = sum(run.running for run in s.unfinished)
        counts = (len(s.done), running, len(s.unfinished) - running, len(s.failed))
        times = (clock(s.spent), clock(s.left) if s.unfinished else "")
        rows.append((f"{s.dataset} {s.model}", *map(str, counts), *times))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
    for s in found:
        for run in s.unfinished:
            word = "running" if run.running else "stopped"
            if run.epochs:
                at = f"after epoch {run.epochs} of {run.of}, {clock(run.left)} left"
            else:
                at = "before the end of its first epoch" if run.running else "state cannot be read"
            lines.append(f"{word}: {run.name}, {at}")
        lines += [f"failed: {s.dataset} {title(r.settings)}, {r.failed}" for r in s.failed]
    return [*lines, *unread]


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


# Locks


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a run's lock if there is one and no other process holds it; gives whether it is free."""
    if not path.exists():
        yield True
        return
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # a lock that we may not even open is another's
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Is a living process at the run of this lock?"""
    with held(path) as free:
        return not free


# Clean


def clean(store: Store, dry_run: bool = False) -> dict[str, tuple[int, int]]:
    """Remove what no record needs; give the number of files and bytes of each kind.

    Never a record, the state of a stopped run, the weights of a recorded one, or anything of a run
    that a process is at.
    """
    removed: dict[str, tuple[int, int]] = {}

    def remove(kind: str, path: Path) -> None:
        try:
            size = path.stat().st_size
            if not dry_run:
                path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise unwritable(path, error) from None
        count, total = removed.get(kind, (0, 0))
        removed[kind] = count + 1, total + size

    recorded = {_place(store, path) for path in store.paths()}
    runs: dict[Path, list[tuple[str, Path]]] = {}  # by place: kind and path
    for path in sorted(_checkpoints(store).glob("*/*/*")):
        if path.is_file():
            runs.setdefault(_place(store, path), []).append((_kind(path), path))
    for path in sorted((Path(store.root) / "runs").glob("*/*/.*.tmp")):
        runs.setdefault(_place(store, path), []).append(("temporary files", path))
    for place, files in runs.items():
        with held(place.with_name(f"{place.name}.lock")) as free:
            for kind, path in files if free else ():
                if kind in (NEEDLESS if place in recorded else NEEDLESS_WITHOUT_RECORD):
                    remove(kind, path)
    root = Path(store.root)
    beside = [root, root / "figures", report.path_of(store).parent]
    for path in sorted({path for folder in beside for path in folder.glob(".*.tmp")}):
        if re.match(r"\.(.+\.(csv|png|svg)|week9\.md|README\.md)\.", path.name):
            try:
                age = time.time() - path.stat().st_mtime
            except FileNotFoundError:
                continue
            if age > LEFT_BEHIND:
                remove("temporary files", path)
    return removed


def _kind(path: Path) -> str:
    name = path.name
    if name.endswith(".tmp"):
        return "temporary files"
    if name.endswith(".damaged"):
        return "damaged files"
    if name.endswith(".lock"):
        return "locks"
    if name.endswith(".state.safetensors"):
        return "states of finished runs"
    return "checkpoints without a record" if name.endswith(".safetensors") else "other files"


def _checkpoints(store: Store) -> Path:
    return Path(store.root) / "checkpoints"


def _run(path: Path) -> str:
    """The run that a file belongs to: `name.ending`, or `.name.ending.xxxx.tmp`."""
    return path.name.lstrip(".").split(".")[0]


def _dataset(path: Path) -> str:
    return path.parent.parent.name


def _place(store: Store, path: Path) -> Path:
    """checkpoints/<dataset>/<model>/<run> of any file of a run."""
    return _checkpoints(store) / _dataset(path) / path.parent.name / _run(path)


# Verify


def verify(store: Store) -> tuple[int, list[str], list[str]]:
    """Read every record again: how many there are, what is wrong, and what is good to know."""
    problems: list[str] = []
    records: list[Record] = []
    for path in store.paths():
        try:
            record = store.read(path)
        except UserError as error:
            problems.append(str(error))
            continue
        records.append(record)
        if path != store.record_path(record.settings):
            problems.append(f"{path}: belongs at {store.record_path(record.settings)}; move it")
        problems += [f"{path}: {problem}" for problem in _lies(record)]
    notes = []
    for dataset in sorted({record.settings.dataset for record in records}):
        prints = {
            str(r.data["fingerprint"])[:12]: r for r in records if r.settings.dataset == dataset
        }
        if len(prints) > 1:
            notes.append(
                f"{dataset}: records of {len(prints)} different data "
                f"({', '.join(sorted(prints))}); the report keeps them apart"
            )
    written, about = _written(store)
    return len(store.paths()), problems + written, notes + about


def _lies(record: Record) -> list[str]:
    """What a record that agrees with itself may still get wrong."""
    found = []
    settings = record.settings
    try:
        if settings.checked() != settings:
            found.append("its settings are not written in their usual form")
    except UserError as error:
        found.append(f"its settings cannot be run ({error})")
    for name in NEEDED_VERSIONS:
        if not record.versions.get(name):
            found.append(f"'versions' lacks {name}")
    for name in ("fingerprint", "source"):
        if not isinstance(record.data[name], str) or not record.data[name]:
            found.append(f"'data' has an empty {name!r}")
    if not record.commit:
        found.append("'commit' is empty")
    sizes = {name: size for name, (_, size) in record.layers.items()}
    removed = {name: count for name, (count, _) in record.layers.items()}
    if not settings.ladder:
        wanted = dict.fromkeys(sizes, 0)
        right = removed == wanted
    elif settings.scope == "layer":
        free = {name: size for name, size in sizes.items() if name not in settings.kept_dense}
        wanted = dict.fromkeys(sizes, 0)
        wanted |= removed_by_layer(free, settings.ladder, settings.output_rate)
        right = removed == wanted
    else:
        free = sum(size for name, size in sizes.items() if name not in settings.kept_dense)
        right = abs(sum(removed.values()) - settings.sparsity * free) <= 0.5
    if not right:
        found.append("'layers' does not count what its sparsity removes")
    if not record.failed and len(record.history) != settings.epochs:
        found.append(f"{len(record.history)} epochs in 'history', {settings.epochs} in 'settings'")
    return found


def _written(store: Store) -> tuple[list[str], list[str]]:
    """Are tables, figures and report what the records give? Problems, and what is to be known."""
    root, path = Path(store.root), report.path_of(store)
    with tempfile.TemporaryDirectory() as folder:
        # The same report, made from copies, in a folder of the same name and depth.
        copy = Store(Path(folder) / "a" / root.resolve().name)
        if (root / "runs").is_dir():
            shutil.copytree(root / "runs", copy.root / "runs")
        readme = root.resolve().parent / "README.md"
        if readme.is_file() and root.name != "demo":
            shutil.copy(readme, copy.root.parent)
        again = report.write(copy, say=lambda line: None)
        made = {file.relative_to(copy.root): file for file in sorted(copy.root.glob("*.csv"))}
        pictures = [file.relative_to(copy.root) for file in sorted(copy.root.glob("figures/*"))]
        outputs = [(path, again), *((root / name, file) for name, file in made.items())]
        remedy = "`lottery report` writes it"
        if (copy.root.parent / "README.md").is_file():
            outputs.append((readme, copy.root.parent / "README.md"))
        if not any(there.exists() for there, _ in outputs if there != readme):
            return [], [f"{path}: not written yet; {remedy}"]
        problems = []
        for there, wanted in outputs:
            if not there.exists():
                problems.append(f"{there}: is missing; {remedy}")
            elif there.read_bytes() != wanted.read_bytes():
                problems.append(f"{there}: is not what the records give; {remedy}")
        for name in pictures:
            if not (root / name).is_file():
                problems.append(f"{root / name}: is missing; {remedy}")
            elif not figures.is_whole(name.name, (root / name).read_bytes()):
                problems.append(f"{root / name}: is no whole picture; {remedy}")
    return problems, []
