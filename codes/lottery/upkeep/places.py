"""Whose a file of the results folder is, and whether a living process is at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lottery.files import unwritable
from lottery.runs.store import Store


def run_of(path: Path) -> str:
    """The run that a file belongs to: `name.ending`, or `.name.ending.xxxx.tmp`."""
    return path.name.lstrip(".").split(".")[0]


def dataset_of(path: Path) -> str:
    return path.parent.parent.name


def place_of(store: Store, path: Path) -> Path:
    """checkpoints/<dataset>/<model>/<run> of any file of a run."""
    return store.checkpoints / dataset_of(path) / path.parent.name / run_of(path)


def has_record(store: Store, place: Path) -> bool:
    """Is there a record, readable or not, of the run of this place?"""
    record = store.root / "runs" / place.relative_to(store.checkpoints)
    return record.with_name(f"{place.name}.json").exists()


@contextmanager
def held(path: Path, make: bool = False) -> Iterator[bool]:
    """Hold a run's lock if no other process holds it; gives whether it is free.

    Where there is no lock nothing is held; or it is made, with `make`, and removed at the end.
    """
    there = path.exists()
    if not (there or make):
        yield True
        return
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except OSError as error:  # a lock that we may not even open is another's
        if not isinstance(error, Timeout) and not path.exists():
            raise unwritable(path, error) from None
        yield False
        return
    try:
        yield True
    finally:
        if not there:
            with suppress(OSError):  # Windows removes no open file
                path.unlink()  # while it is held: who opens it now sees that it is gone
        lock.release()


def is_held(path: Path) -> bool:
    """Is a living process at the run of this lock?"""
    with held(path) as free:
        return not free
