"""Whose a file of the results folder is, and whether a living process is at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lottery.runs.store import Store


def checkpoints(store: Store) -> Path:
    return Path(store.root) / "checkpoints"


def run_of(path: Path) -> str:
    """The run that a file belongs to: `name.ending`, or `.name.ending.xxxx.tmp`."""
    return path.name.lstrip(".").split(".")[0]


def dataset_of(path: Path) -> str:
    return path.parent.parent.name


def place_of(store: Store, path: Path) -> Path:
    """checkpoints/<dataset>/<model>/<run> of any file of a run."""
    return checkpoints(store) / dataset_of(path) / path.parent.name / run_of(path)


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
