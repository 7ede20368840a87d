"""What is asked of a worker: one run, and where to find what it stands on."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from lottery.cluster.sent import Sent
from lottery.data import Corpus, reopen
from lottery.files import write_whole
from lottery.plugins.source import Source
from lottery.runs.store import Store
from lottery.settings import Settings


@dataclass(frozen=True)
class SharedDisk:
    """The file that tells a results folder from all others: on the same disk it reads the same."""

    path: Path
    token: str

    @classmethod
    def of(cls, results: Path) -> SharedDisk:
        """That of a results folder, made the first time."""
        path = results.resolve() / "checkpoints" / ".seen"
        if not path.exists():
            with suppress(FileExistsError):  # another process was faster
                write_whole(path, secrets.token_hex(16), overwrite=False)
        return cls(path, path.read_text())

    def here(self) -> bool:
        """Does this process see the folder?"""
        try:
            return self.path.read_text() == self.token
        except OSError:
            return False


@dataclass(frozen=True)
class CorpusRef:
    """A corpus without its texts: enough to find them in a file, or where they were sent."""

    name: str  # under which it is published if it travels: a digest of all that a model reads
    dataset: str
    source: str
    fingerprint: str
    file: Path | None

    @classmethod
    def of(cls, corpus: Corpus) -> CorpusRef:
        """That of a corpus; it reads all its texts once."""
        digest = sha256("\0".join((corpus.fingerprint, *corpus.vocabulary)).encode())
        for part in corpus.splits.values():
            for array in (part.tokens, part.offsets, part.labels):
                digest.update(np.ascontiguousarray(array))
        name = f"lottery-{digest.hexdigest()[:32]}"
        return cls(name, corpus.dataset, corpus.source, corpus.fingerprint, corpus.file)

    def here(self) -> bool:
        """Does this process see the file?"""
        return self.read() is not None

    def read(self) -> Corpus | None:
        """From this machine's disk, if it is there."""
        found = None if self.file is None else reopened(self.file, self.dataset, self.source)
        return found if found is not None and found.fingerprint == self.fingerprint else None


reopened = lru_cache(maxsize=2)(reopen)


@dataclass(frozen=True)
class Job:
    """One run, or with a `step` θₖ of a dense run, and where to find what it stands on."""

    settings: Settings
    step: int
    sent: Sent | None  # what it stands on; None: the worker reads it in `store`
    store: Store
    disk: SharedDisk  # in `store`: is it this worker's, too?
    corpora: Mapping[str, CorpusRef]  # by dataset: its own, and that of its mask's source
    device: str | None
    threads: int
    commit: str
    code: str  # digest of the program, which must be the worker's, too
    topic: str  # where to tell how it goes
    sources: tuple[Source, ...] = ()  # of what the run has from outside


class Missing(Exception):
    """The worker does not see what the caller thought it would: "corpus" and which, or "store"."""


class Unwanted(Exception):
    """Nobody waits for this run any more."""
