"""What a worker does with a job: it drives the ladder, tells how it goes, and sends back.

What it must be given, it is sent; what it sees on a disk of its own (the corpus's cache, the
results folder), it reads there, and keeps the state of its run there, too.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from traceback import format_exc
from typing import Any

# Its own: until Python 3.11 asyncio's is another class than the built-in one.
from distributed import TimeoutError as TimedOut
from distributed import get_client, get_worker
from distributed.client import FutureCancelledError

from lottery.cluster.job import Job, Missing, Unwanted
from lottery.cluster.sent import Sent
from lottery.data import Corpus
from lottery.data.batches import Batch
from lottery.experiment.ladder import climb
from lottery.experiment.plan import needs
from lottery.experiment.run import rewound
from lottery.experiment.shelf import Below, DiskShelf, Gone
from lottery.files import Damaged, UserError
from lottery.plugins.blame import blamed
from lottery.plugins.register import admit
from lottery.pruning.arms import ARMS
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Weights
from lottery.runs.checkpoints import packed, tested
from lottery.runs.provenance import check_code, code
from lottery.runs.record import Record
from lottery.settings import Settings
from lottery.training.device import use
from lottery.training.epoch import Epoch, Progress


def work(job: Job) -> tuple[Record | None, dict[str, Any]]:
    """Do a job on a worker; give the record (of a run) and the tensors, packed.

    Raises Missing, Unwanted, UserError; anything else as a RuntimeError with the traceback.
    """
    try:
        with blamed():
            return _work(job)
    except (UserError, Missing, Unwanted):
        raise
    except Exception:  # as text, because not every error can travel
        raise RuntimeError(f"on worker {get_worker().address}: {format_exc()}") from None


def _work(job: Job) -> tuple[Record | None, dict[str, Any]]:
    worker, settings = get_worker(), job.settings
    check_code(job.code, code(), worker.address)
    admit(job.sources, f"worker {worker.address}: ")
    shared = job.disk.here()
    corpora = {name: ref.read() or published(name, ref.name) for name, ref in job.corpora.items()}
    alone = job.step or not needs(settings)  # it stands on nothing
    if job.sent is None and not (shared or alone):
        raise Missing("store")
    keep_memory()
    watch = RemoteProgress(worker, job, shared)
    with _turn(job.device):
        device = use(job.device, job.threads)
        watch.tell("begun")
        if job.step:
            return None, packed(rewound(settings, corpora[settings.dataset], job.step, device))
        shelf = _shelf(job, shared)
        try:
            climb(
                [settings], shelf, lambda run: corpora[run.dataset], device,
                lambda _: nullcontext(watch), watch.say, str(worker.name),
            )  # fmt: skip
        except Gone:  # a network disk may be late; the caller's own view decides
            raise Missing("store") from None
    record, tensors = shelf.left
    if not ARMS[settings.arm].climbs:  # nobody stands on it: the tested network and its mask do
        tensors = tested(tensors)
    return replace(record, commit=job.commit), packed(tensors)


def _shelf(job: Job, shared: bool) -> WorkerShelf:
    if not shared:
        return WorkerShelf(job.sent or Sent())
    prints = {name: ref.fingerprint for name, ref in job.corpora.items()}
    folder = Folder(job.store, lambda run: prints[run.dataset])
    return WorkerShelf(job.sent or folder, folder.state(job.settings))


class WorkerShelf:
    """A worker's shelf for one run: what it leaves lies here until it is sent back to the caller.

    `state` is the file of its state in a results folder that both see.
    """

    def __init__(self, below: Below, state: Path | None = None) -> None:
        self.below, self._state = below, state
        self.left: tuple[Record, Weights] | None = None

    def is_done(self, settings: Settings) -> bool:
        return False

    def hold(self, settings: Settings) -> AbstractContextManager[None]:
        return nullcontext()  # the caller holds it

    def trained(self, settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        return self.below.trained(settings, epoch)

    def rewound(self, dense: Settings, step: int) -> Weights:
        return self.below.rewound(dense, step)

    def state(self, settings: Settings) -> Path | None:
        return self._state

    def keep(self, record: Record, tensors: Weights) -> None:
        self.left = record, tensors


class Folder(DiskShelf):
    """The caller's results folder, read by a worker: what looks damaged the caller sees to."""

    def _set_aside(self, path: Path, error: Damaged) -> None:
        raise Gone


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Let this process keep the memory that a step frees, for the next step.

    Dask's nanny sets MALLOC_TRIM_THRESHOLD_, so that the C library hands it back at once; every
    step then pays for fresh pages, and takes half as long again.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library than GNU's
            libc = ctypes.CDLL(None)
            libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its highest value
            libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


_cpu = threading.Lock()


@contextmanager
def _turn(device: str | None) -> Iterator[None]:
    """One training at a time on a process's CPU threads, however many tasks Dask gives it."""
    if use(device).type != "cpu":
        yield
        return
    with _cpu:
        yield


@lru_cache(maxsize=2)
def published(dataset: str, name: str) -> Corpus:
    """A corpus that the caller has sent, fetched once for all runs of this process.

    Not as an argument of the task: Dask would drop it between two runs and fetch it again, and
    would prefer the worker that has it to one that is idle. Raises Missing.
    """
    for patience in (5, 15, 60, 240):  # seconds; it may be sent anew, or the network be slow
        with suppress(KeyError, CancelledError, FutureCancelledError, TimedOut):
            return get_client().get_dataset(name).result(timeout=patience)
    raise Missing("corpus", dataset)


class RemoteProgress(Progress):
    """Tells the caller how a run goes, and ends it once nobody waits for it."""

    def __init__(self, worker: Any, job: Job, kept: bool) -> None:
        self._worker, self._topic, self._kept = worker, job.topic, kept
        self._key, self._told = worker.get_current_task(), [job.settings.run, job.step]

    def tell(self, what: str, line: str = "") -> None:
        event = {"key": self._told, "what": what, "line": line, "worker": self._worker.address}
        self._worker.log_event(self._topic, event)

    def say(self, line: str) -> None:
        self.tell("say", line)

    def batches(self, batches: Iterator[Batch], count: int, epoch: int) -> Iterator[Batch]:
        for batch in batches:
            # Dask cannot stop a thread. The worker's own list says whether the task is wanted.
            state = self._worker.state.tasks.get(self._key)
            if state is None or state.state == "cancelled":
                raise Unwanted
            yield batch

    def epoch_done(self, epoch: Epoch) -> None:
        if self._kept:  # elsewhere, too, the run would go on from here
            self.tell("further")
