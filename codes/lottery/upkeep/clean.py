"""Remove what no record needs."""

from __future__ import annotations

import re
import time
from pathlib import Path

from lottery.files import unwritable
from lottery.report import page
from lottery.runs.store import LOCK, STATE, TESTED, WEIGHTS, Store
from lottery.upkeep.places import has_record, held, place_of

# A table, a figure, the report or θₖ is written in moments, and without a lock of its own: its
# temporary file, once older than so many seconds, has been left by a process that was killed.
LEFT_BEHIND = 600
REPORTED = re.compile(r"\.(.+\.(csv|png|svg)|week9\.md|report\.md|README\.md)\.")
REWOUND = re.compile(r"\.step\d+\.safetensors\.\w+\.tmp$")
# Kinds of files by how their names end; the first that fits.
KINDS = {
    "tmp": "temporary files",
    "damaged": "damaged files",
    LOCK: "locks",
    STATE: "states of finished runs",
    TESTED: "tested networks without a record",
    WEIGHTS: "checkpoints without a record",
}
# Those that go: of a run with a record, and of one without.
NEEDLESS = {KINDS[ending] for ending in ("tmp", "damaged", LOCK, STATE)}
NEEDLESS_WITHOUT_RECORD = {KINDS[ending] for ending in ("tmp", "damaged", TESTED, WEIGHTS)}


def clean(store: Store, dry_run: bool = False) -> dict[str, tuple[int, int]]:
    """Remove what no record needs; give the number of files and bytes of each kind.

    Never a record, the state of a stopped run, the weights of a recorded one, be its record
    misnamed, or anything of a run that a process is at.
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

    runs: dict[Path, list[tuple[str, Path]]] = {}  # by place: kind and path
    for path in sorted(store.checkpoints.glob("*/*/*")):
        if path.is_file():
            runs.setdefault(place_of(store, path), []).append((_kind(path), path))
    for path in sorted((store.root / "runs").glob("*/*/.*.tmp")):
        runs.setdefault(place_of(store, path), []).append((KINDS["tmp"], path))
    misnamed = {place_of(store, store.record_path(r.settings)) for r in store.misnamed()}
    for place, found in runs.items():
        with held(place.with_name(f"{place.name}.{LOCK}"), make=not dry_run) as free:
            # Looked for now: before the lock was ours, a process may have finished the run.
            recorded = place in misnamed or has_record(store, place)
            needless = NEEDLESS if recorded else NEEDLESS_WITHOUT_RECORD
            for kind, path in found if free else ():
                if kind in needless and not (REWOUND.search(path.name) and _is_young(path)):
                    remove(kind, path)
    beside = [store.root, store.root / "figures", page.path_of(store).parent]
    for path in sorted({path for folder in beside for path in folder.glob(".*.tmp")}):
        if REPORTED.match(path.name) and not _is_young(path):
            remove(KINDS["tmp"], path)
    return removed


def _is_young(path: Path) -> bool:
    """May a process be writing it? One that is gone is whole now."""
    try:
        return time.time() - path.stat().st_mtime <= LEFT_BEHIND
    except FileNotFoundError:
        return True


def _kind(path: Path) -> str:
    kinds = (kind for ending, kind in KINDS.items() if path.name.endswith(f".{ending}"))
    return next(kinds, "other files")
