"""The same runs on many processes or machines, by Dask (dask.distributed).

A run is one Dask task. Dask finds a worker for it, moves what it needs, and tries it elsewhere when
its worker dies. What a run stands on is held by nobody but the caller's results folder: a task is
handed to Dask once the runs below it have their records, so that a lost worker never costs more
than the runs it was at. Only the caller writes records and weights.

What a worker must be given, it is sent; what it sees on a disk of its own (the corpus's cache, the
results folder), it reads there, and keeps the state of its run there, too.
"""

from __future__ import annotations

import ctypes
import heapq
import logging
import queue
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from traceback import format_exc
from typing import Any

import dask
import numpy as np
import torch
from distributed import Client, Future, KilledWorker, LocalCluster, get_client, get_worker
from distributed.client import FutureCancelledError

from lottery import data as corpora
from lottery.data import Corpus
from lottery.data.batches import Batch
from lottery.experiment import run as task
from lottery.experiment.bars import Tally
from lottery.experiment.run import Task, apart, named
from lottery.files import PACKAGE, UserError, write_whole
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Weights
from lottery.runs import checkpoints
from lottery.runs.store import Epoch, Record, Store, table
from lottery.settings import Settings, title
from lottery.study import Busy, Study
from lottery.training.train import Diverged, Progress, use

DEATHS = 4  # workers that a run may take with it before it is recorded as failed
NOISY = ("distributed", "tornado", "asyncio")  # loggers

Key = tuple[str, int]  # a run's name, and 0; or a dense run's name, and k: its weights θₖ


# What is asked of a worker, and what it answers


@dataclass(frozen=True)
class Seen:
    """The file that tells a results folder from all others: on the same disk it reads the same."""

    path: Path
    token: str

    @classmethod
    def of(cls, results: Path) -> Seen:
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
class Data:
    """A corpus without its texts: enough to find them in a file, or where they were sent."""

    name: str  # under which it is published if it travels: a digest of all that a model reads
    dataset: str
    source: str
    fingerprint: str
    file: Path | None

    @classmethod
    def of(cls, corpus: Corpus) -> Data:
        """That of a corpus; it reads all its texts once."""
        digest = sha256("\0".join((corpus.fingerprint, *corpus.vocabulary)).encode())
        for part in (corpus.train, corpus.valid, corpus.test):
            for array in (part.tokens, part.offsets, part.labels):
                digest.update(np.ascontiguousarray(array))
        name = f"lottery-{digest.hexdigest()[:32]}"
        return cls(name, corpus.dataset, corpus.source, corpus.fingerprint, corpus.file)

    def here(self) -> bool:
        """Does this process see the file?"""
        return self.read() is not None

    def read(self) -> Corpus | None:
        """From this machine's disk, if it is there."""
        found = None if self.file is None else _reopened(self.file, self.dataset, self.source)
        return found if found is not None and found.fingerprint == self.fingerprint else None


@dataclass(frozen=True)
class Order:
    """One run, or with a `step` θₖ of a dense run, and where to find what it stands on."""

    settings: Settings
    step: int
    task: dict[str, Any] | None  # packed; None: the worker makes it from `store`
    store: Store
    seen: Seen  # in `store`: is it this worker's, too?
    data: Data
    device: str | None
    threads: int
    commit: str
    code: str  # digest of the program, which must be the worker's, too
    topic: str  # where to tell how it goes


class Missing(Exception):
    """The worker does not see what the caller thought it would: "corpus" or "store"."""


class Unwanted(Exception):
    """Nobody waits for this run any more."""


def work(order: Order) -> tuple[Record | None, dict[str, Any]]:
    """Do on a worker what is ordered; give the record (of a run) and the tensors, packed.

    Raises Missing, Unwanted, UserError; anything else as a RuntimeError with the traceback.
    """
    try:
        return _work(order)
    except (UserError, Missing, Unwanted):
        raise
    except Exception:  # as text, because not every error can travel
        raise RuntimeError(f"on worker {get_worker().address}: {format_exc()}") from None


def _work(order: Order) -> tuple[Record | None, dict[str, Any]]:
    worker, settings = get_worker(), order.settings
    check_code(order.code, code(), worker.address)
    shared = order.seen.here()
    corpus = order.data.read() or published(order.data.name)
    alone = order.step or settings.arm == "dense"  # it stands on nothing
    if order.task is None and not (shared or alone):
        raise Missing("store")
    keep_memory()
    watch = _Told(worker, order, shared)
    with _turn(order.device):
        device = use(order.device, order.threads)
        watch.tell("begun")
        if order.step:
            return None, packed(task.rewound(settings, corpus, order.step, device))
        state = order.store.state_path(settings) if shared else None
        record, tensors = task.perform(
            _task(order, corpus), corpus, device, watch, state, watch.say, str(worker.name)
        )
    kept = packed(tensors) if settings.is_stood_on else {}
    return replace(record, commit=order.commit), kept


def _task(order: Order, corpus: Corpus) -> Task:
    if order.task is not None:
        return unpacked_task(order.settings, order.task)
    store, data = order.store, corpus.fingerprint

    def weights_of(settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        path = store.weights_path(settings)
        return apart(checkpoints.load(path, run=settings.run, data=data)[0], epoch)

    def rewound_of(dense: Settings, step: int) -> Weights:
        path = store.rewound_path(dense, step)
        return checkpoints.load(path, run=dense.run, step=step, data=data)[0]

    try:
        return task.task_of(order.settings, weights_of, rewound_of)
    except checkpoints.Damaged:  # a network disk may be late; the caller's own view decides
        raise Missing("store") from None


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
def _reopened(file: Path, dataset: str, source: str) -> Corpus | None:
    return corpora.reopen(file, dataset, source)


@lru_cache(maxsize=2)
def published(name: str) -> Corpus:
    """A corpus that the caller has sent, fetched once for all runs of this process.

    Not as an argument of the task: Dask would drop it between two runs and fetch it again, and
    would prefer the worker that has it to one that is idle. Raises Missing.
    """
    for patience in (5, 15, 60, 240):  # seconds; it may be sent anew, or the network be slow
        with suppress(KeyError, CancelledError, FutureCancelledError, TimeoutError):
            return get_client().get_dataset(name).result(timeout=patience)
    raise Missing("corpus")


class _Told(Progress):
    """Tells the caller how a run goes, and ends it once nobody waits for it."""

    def __init__(self, worker: Any, order: Order, kept: bool) -> None:
        self._worker, self._topic, self._kept = worker, order.topic, kept
        self._key, self._told = worker.get_current_task(), [order.settings.run, order.step]

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


# What travels: a mask as bits, and of masked weights only those that remain


def packed(tensors: Weights) -> dict[str, Any]:
    """Weights, with their mask or without, in as few bytes as hold them exactly."""
    small: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if name.startswith("mask/"):
            values = np.packbits(tensor.numpy())
        else:
            mask = tensors.get(_mask_of(name))
            values = (tensor if mask is None else tensor[mask]).numpy()
        small[name] = (tuple(tensor.shape), values)
    return small


def unpacked(small: dict[str, Any]) -> Weights:
    """The inverse of `packed`."""
    tensors: Weights = {}
    for name, (shape, values) in small.items():
        if name.startswith("mask/"):
            bits = np.unpackbits(values, count=int(np.prod(shape)))
            tensors[name] = torch.from_numpy(bits.astype(bool)).view(shape)
    for name, (shape, values) in small.items():
        values = torch.from_numpy(np.array(values))  # a copy: what Dask gives cannot be written
        if (part := tensors.get(_mask_of(name))) is not None and name not in tensors:
            tensors[name] = torch.zeros(shape, dtype=values.dtype).masked_scatter_(part, values)
        elif name not in tensors:
            tensors[name] = values
    return tensors


def _mask_of(name: str) -> str:
    """The name of the mask of weights, be they of the last epoch or of the best."""
    return f"mask/{name.rpartition('/')[2]}"


def packed_task(made: Task) -> dict[str, Any]:
    """A task's own tensors, packed."""
    return {
        "mask": packed(named(made.mask)) if made.mask else None,
        "rewound": packed(made.rewound) if made.rewound else None,
        "trained": packed(made.trained) if made.trained else None,
    }


def unpacked_task(settings: Settings, small: dict[str, Any]) -> Task:
    """The inverse of `packed_task`, for a run of these settings."""
    mask = apart(unpacked(small["mask"]))[1] if small["mask"] else None
    others = {n: unpacked(small[n]) if small[n] else None for n in ("rewound", "trained")}
    return Task(settings, mask, **others)


# The program


@lru_cache(maxsize=1)
def code() -> str:
    """SHA-256 of this package's sources: two machines with the same one train the same."""
    found = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def check_code(wanted: str, found: str, worker: str) -> None:
    """UserError if a worker's program is not the caller's."""
    if found != wanted:
        raise UserError(
            f"worker {worker} runs other code than this process: install the same commit there "
            f"and start it again"
        )


# The graph


@dataclass
class Node:
    """One run of the graph, or θₖ of a dense run."""

    study: Study
    settings: Settings
    step: int
    state: str = "waiting"  # then ready, flying, done; or failed
    after: set[Key] = field(default_factory=set)  # what it still waits for
    above: set[Key] = field(default_factory=set)  # what waits for it
    height: float = 0.0  # from its start to the end of the longest chain that stands on it
    begun: int = 0  # by how many workers, since it last got further
    given_up: int = 0  # how often Dask gave it up
    sent: bool = False  # what it stands on must travel, whatever its worker sees
    held: ExitStack = field(default_factory=ExitStack)  # its lock

    @property
    def key(self) -> Key:
        return self.settings.run, self.step

    @property
    def title(self) -> str:
        return title(self.settings) + (f" at step {self.step}" if self.step else "")


def graph(asked: Iterable[tuple[Study, Sequence[Settings]]]) -> dict[Key, Node]:
    """The runs asked for, and those that they need the weights of and that left none."""
    nodes: dict[Key, Node] = {}
    for study, runs in asked:
        for settings in runs:
            add(nodes, study, settings)
    measure(nodes, usual_seconds(study.store for study, _ in asked))
    return nodes


def usual_seconds(stores: Iterable[Store]) -> dict[tuple[str, str], float]:
    """For each dataset and model the mean seconds of a run, from the records of these stores."""
    records = [record for store in set(stores) for record in store.records()[0]]
    done = table(record for record in records if not record.failed)
    return done.groupby(["dataset", "model"])["seconds"].mean().to_dict()


def add(nodes: dict[Key, Node], study: Study, settings: Settings, step: int = 0) -> Key:
    """Put a run, or a dense run's θₖ, into the graph with all that it waits for."""
    key = settings.run, step
    if key not in nodes:
        nodes[key] = Node(study, settings, step)
        wait(nodes, nodes[key])
    return key


def wait(nodes: dict[Key, Node], node: Node) -> None:
    """Let a node wait for the weights that it needs and the results folder does not have.

    A rung needs the `lt` run below, and that alone; rewinding late, θₖ as well.
    """
    if node.step or node.settings.arm == "dense":
        return
    study, below, late = node.study, task.below(node.settings), task.rewinds(node.settings)
    if not study.has_weights(below):
        node.after.add(add(nodes, study, below))
    if late and not study.store.rewound_path(*late).exists():
        node.after.add(add(nodes, study, *late))
    for key in node.after:
        nodes[key].above.add(node.key)


def measure(nodes: dict[Key, Node], seconds: Mapping[tuple[str, str], float]) -> None:
    """Fill in the heights: in seconds of a run, if `seconds` knows every dataset and model; else
    in runs."""
    pairs = [(node.settings.dataset, node.settings.model) for node in nodes.values()]
    if not all(pair in seconds for pair in pairs):
        seconds = dict.fromkeys(pairs, 1.0)
    for node in sorted(nodes.values(), key=lambda n: (-n.settings.rung, n.step)):  # from the top
        own = seconds[node.settings.dataset, node.settings.model]
        node.height = own + max((nodes[key].height for key in node.above), default=0.0)


# The caller


def run(
    asked: Sequence[tuple[Study, Sequence[Settings]]],
    jobs: int | None = None,
    client: Client | str | None = None,
    per_gpu: int = 1,
    say: Callable[[str], object] = print,
) -> None:
    """Train the runs asked for on `jobs` processes of this machine, or on a client's cluster.

    `client` may be the address of a scheduler, or the .json file that it has written. On workers
    with the Dask resource GPU a run takes 1 / `per_gpu` of it. Interrupted, it stops the work and
    keeps what is finished. UserError: no such scheduler, it went away, or its workers cannot do it.
    """
    # What travels with a task is small beside its training, but Dask would warn of 10 MB.
    options = dask.config.set(
        {
            "distributed.admin.large-graph-warning-threshold": "4GB",
            "distributed.worker.profile.enabled": False,  # it halts Python every 10 ms
        }
    )
    with options, _quiet(), _connected(jobs, client, say) as connected:
        _Caller(graph(asked), connected, per_gpu, say).run()


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C in a terminal, which all its processes get, to the caller."""
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own words about lost connections: what a person must know, this module says."""
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in NOISY]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _connected(
    jobs: int | None, client: Client | str | None, say: Callable[[str], object]
) -> Iterator[Client]:
    if isinstance(client, Client):
        yield client
        return
    with ExitStack() as stack:
        if client is None:
            client = stack.enter_context(
                LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    memory_limit=0,  # Dask counts mapped files as memory, and would pause
                    dashboard_address="127.0.0.1:8787",
                    silence_logs=logging.CRITICAL,
                    preload=[__name__],  # it calls dask_setup in each worker
                )
            )
        where = {"address": client}
        if isinstance(client, str) and client.endswith(".json"):
            if not Path(client).is_file():
                raise UserError(f"{client} is not there: dask scheduler --scheduler-file writes it")
            where = {"scheduler_file": client}
        try:
            connected = stack.enter_context(Client(**where, timeout=15))
        except (OSError, ValueError) as error:
            raise UserError(
                f"no Dask scheduler answers at {client!r} ({type(error).__name__}): start one with "
                f"`dask scheduler` and give its address, e.g. tcp://host:8786"
            ) from None
        say(f"dashboard: {connected.dashboard_link}")
        yield connected


class _Gone(Exception):
    """Weights that were in the results folder are there no more."""


class _Caller:
    """Hands runs to Dask when what they stand on is done, and keeps what comes back."""

    def __init__(
        self,
        nodes: dict[Key, Node],
        client: Client,
        per_gpu: int,
        say: Callable[[str], object],
    ) -> None:
        self.nodes, self.client, self.per_gpu, self.say = nodes, client, per_gpu, say
        self.ready: list[tuple[float, int, Key]] = []  # a heap: the highest first, then the oldest
        self.busy: list[Key] = []  # other processes are at these
        self.flying: dict[Future, Key] = {}
        self.running: dict[Key, str] = {}  # of those flying, what a worker has begun, and which
        self.error: BaseException | None = None  # the first that no user can have caused
        self.back: queue.SimpleQueue[Future | dict] = queue.SimpleQueue()  # tasks and their words
        self.topic = f"lottery-{secrets.token_hex(8)}"
        self.code, self.commit = code(), task.commit()
        self.seen: dict[Path, Seen] = {}  # by results folder
        self.apart: set[Path] = set()  # results folders that not all workers see
        self.data: dict[int, Data] = {}  # by study
        self.sent: dict[str, tuple[Study, Future, float]] = {}  # corpora that travel, since when
        self.states = Counter(node.state for node in nodes.values())
        self.pushed = 0
        self.asked = -1e9  # when Dask was last asked how many can run at once

    def run(self) -> None:
        """Train all. Raises at the end the first thing that no user can have caused."""
        for node in list(self.nodes.values()):
            if not node.after:
                self._push(node)
        names = dict.fromkeys(node.study.dataset.title for node in self.nodes.values())
        self.client.subscribe_topic(self.topic, lambda event: self.back.put(event[1]))
        try:
            self._greet()
            with Tally(", ".join(names)) as bar:
                while self.ready or self.busy or self.flying:
                    self._submit()
                    self._show(bar)
                    self._listen()
                self._show(bar)
        finally:
            with suppress(Exception):  # the scheduler may be gone
                self.client.cancel(list(self.flying), force=True)
                self.client.unsubscribe_topic(self.topic)
                for name in self.sent:
                    self._withdraw(name)
            for node in self.nodes.values():
                node.held.close()
        if self.error is not None:
            raise self.error

    def _show(self, bar: Tally) -> None:
        done, failed = self.states["done"], self.states["failed"]
        bar.show(len(self.nodes), done, len(self.running), failed)

    def _now(self, node: Node, state: str) -> None:
        """Change a node's state; only a run that flies is held against other processes."""
        self.states[node.state] -= 1
        self.states[state] += 1
        node.state = state
        if state != "flying":
            node.held.close()

    # Before the first run

    def _greet(self) -> None:
        """Wait for a worker; see that all run this program, and what they see of the disk."""
        self._await_worker()
        try:
            for worker, other in self.client.run(code).items():
                check_code(self.code, other, worker)
        except ImportError as error:
            raise UserError(f"a worker lacks this project ({error}): install it there") from None
        wide = [worker for worker, threads in self.client.nthreads().items() if threads > 1]
        if wide and not self._gpus():
            self.say(
                f"{wide[0]} has several threads, whose runs take turns on the CPU: start it with "
                f"--nworkers N --nthreads 1 to train N at once"
            )
        for study in {id(node.study): node.study for node in self.nodes.values()}.values():
            folder = study.store.root
            if folder not in self.seen:
                self.seen[folder] = seen = Seen.of(folder)
                if not all(self.client.run(seen.here).values()):
                    self.apart.add(folder)
            self.data[id(study)] = data = Data.of(study.corpus)
            if data.name not in self.sent and not all(self.client.run(data.here).values()):
                self._send(study)

    def _await_worker(self) -> None:
        if not self.client.nthreads():
            self.say("no worker is connected to the scheduler; waiting")
            while not self.client.nthreads():
                time.sleep(0.5)

    def _send(self, study: Study) -> None:
        """Publish a corpus on the cluster; each worker fetches it once."""
        name, now = self.data[id(study)].name, time.monotonic()
        if name in self.sent and now - self.sent[name][2] < 5:
            return  # several runs have missed it at once
        self._await_worker()
        self._withdraw(name)
        (texts,) = self.client.scatter([replace(study.corpus, file=None)], hash=False)
        self.client.publish_dataset(texts, name=name)
        self.sent[name] = study, texts, now

    def _withdraw(self, name: str) -> None:
        if name in self.client.list_datasets():
            self.client.unpublish_dataset(name)

    def _gpus(self) -> float:
        """GPUs that the workers offer as a Dask resource."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return sum(worker["resources"].get("GPU", 0) for worker in workers)

    # What goes out

    def _push(self, node: Node) -> None:
        self._now(node, "ready")
        self.pushed += 1
        heapq.heappush(self.ready, (-node.height, self.pushed, node.key))

    def _submit(self) -> None:
        """Hand over as many ready runs as there are idle threads.

        A run that waited in one worker's queue could wait for long while another worker is idle;
        the moment that a worker waits for the caller is short beside a run.
        """
        if time.monotonic() - self.asked > 5:  # workers come and go
            self.gpus = self._gpus()
            slots = self.gpus * self.per_gpu or sum(self.client.nthreads().values())
            self.room = max(int(slots), 1)
            for key in self.busy:
                self._push(self.nodes[key])
            self.busy.clear()
            self.asked = time.monotonic()
        while self.ready and len(self.flying) < self.room:
            node = self.nodes[heapq.heappop(self.ready)[2]]
            try:
                self._fly(node)
            except Busy:
                self.busy.append(node.key)
            except Diverged as error:
                self._fail(node, str(error))
            except _Gone:
                self._regrow(node)

    def _regrow(self, node: Node) -> None:
        """Let a node wait for weights that were there and are gone."""
        self._now(node, "waiting")
        known = len(self.nodes)
        wait(self.nodes, node)
        self.states["waiting"] += len(self.nodes) - known
        measure(self.nodes, usual_seconds([node.study.store]))
        for other in [self.nodes[key] for key in node.after] or [node]:  # none: they are back
            if other.state != "waiting" or not other.after:
                self._push(other)

    def _fly(self, node: Node) -> None:
        """Give one run to Dask, unless it is done; raises Busy, Diverged, _Gone."""
        study, settings, folder = node.study, node.settings, node.study.store.root
        if not node.step:
            node.held.enter_context(study.lock(settings))
            if study.there(settings) and (not node.above or study.has_weights(settings)):
                self._done(node)  # by another process
                return
        small = None
        if settings.arm != "dense":
            study.check_failed(task.below(settings))
            if node.sent or folder in self.apart:
                small = packed_task(task.task_of(settings, *_stored(study)))
        device, threads = study.wanted
        order = Order(
            settings=settings,
            step=node.step,
            task=small,
            store=Store(folder.resolve()),  # a worker has a working directory of its own
            seen=self.seen[folder],
            data=self.data[id(study)],
            device=device,
            threads=threads or 1,
            commit=self.commit,
            code=self.code,
            topic=self.topic,
        )
        future = self.client.submit(
            work,
            order,
            key=f"{node.title.replace(' ', '-')}-{secrets.token_hex(4)}",
            pure=False,
            priority=node.height,
            resources={"GPU": 1 / self.per_gpu} if self.gpus and device != "cpu" else None,
        )
        self._now(node, "flying")
        self.flying[future] = node.key
        future.add_done_callback(self.back.put)

    # What comes back

    def _listen(self) -> None:
        """Take all that has come back; wait a second for it at most."""
        with suppress(queue.Empty):
            came = self.back.get(timeout=1.0)
            while True:
                if isinstance(came, dict):
                    self._hear(came)
                else:
                    self._land(came)
                came = self.back.get_nowait()
        if self.client.status not in ("running", "newly-created"):
            raise self._left()
        for study, texts, _ in list(self.sent.values()):
            if texts.status != "finished" and self.client.nthreads():  # its last holder died
                self._send(study)

    def _hear(self, event: dict) -> None:
        node = self.nodes[tuple(event["key"])]
        if event["what"] == "begun":
            node.begun += 1
            if node.state == "flying":
                self.running[node.key] = event["worker"]
        elif event["what"] == "further":
            node.begun = 1
        else:
            self.say(f"{node.title}: {event['line']}")

    def _land(self, future: Future) -> None:
        """Keep what a task has brought, or see why it brought nothing."""
        node = self.nodes[self.flying.pop(future)]
        worker = self.running.pop(node.key, None)
        try:
            record, small = future.result()
        except UserError:
            raise
        except Missing as missing:  # a worker that came later, or a disk that is late
            if missing.args == ("corpus",):
                self._send(node.study)
            else:
                node.sent = True
            self._push(node)
        except KilledWorker:
            node.given_up += 1
            self._again(node)
        except (CancelledError, FutureCancelledError):
            if self.client.status != "running":
                raise self._left() from None
            if worker in self.client.nthreads():
                node.begun -= 1  # this one did not die
            self._again(node)
        except Exception as error:
            self.error = self.error or error
            self._fail(node, str(error).strip().splitlines()[-1])
        else:
            tensors = unpacked(small)
            if node.step:
                node.study.keep_rewound(node.settings, node.step, tensors)
            else:
                node.study.keep(record, tensors)
            if record is not None and record.failed:
                self._fail(node, record.failed)
            else:
                self._done(node)

    def _again(self, node: Node) -> None:
        """Try a run again, unless it has taken too many workers with it.

        Dask gives up runs that only waited on workers that others killed, too: what counts is how
        many have begun it.
        """
        if node.begun >= DEATHS or node.given_up >= 3 * DEATHS:  # too fast to say that it began
            self._bury(node)
        else:
            self._push(node)

    def _done(self, node: Node) -> None:
        self._now(node, "done")
        for other in map(self.nodes.get, node.above):
            other.after.discard(node.key)
            if other.state == "waiting" and not other.after:
                self._push(other)

    def _fail(self, node: Node, why: str) -> None:
        """Say that a run has no figures; what stands on it has none, either."""
        lost = [(node, why)]
        while lost:
            node, why = lost.pop()
            self._now(node, "failed")
            self.say(f"{node.title}: stopped, {why}")
            why = f"it stands on {node.title}: {why}"
            above = map(self.nodes.get, node.above)
            lost += [(other, why) for other in above if other.state == "waiting"]

    def _bury(self, node: Node) -> None:
        """Record that a run kills its workers, so that it is not tried for ever."""
        why = f"its workers died {max(node.begun, node.given_up)} times"
        if not node.step:
            with suppress(_Gone):
                made = task.task_of(node.settings, *_stored(node.study))
                node.study.keep(task.failed(made, node.study.corpus, why), {})
                why += f"; remove {node.study.store.record_path(node.settings)} to try it again"
        self._fail(node, why)

    def _left(self) -> UserError:
        return UserError(
            f"the Dask scheduler at {self.client.scheduler.address} is gone; finished runs are "
            f"kept: start it again, and run the same to go on"
        )


def _stored(study: Study) -> tuple[Callable, Callable]:
    """What `task_of` asks, from the results folder alone; raises _Gone."""

    def weights_of(settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        if (found := study.stored(settings, epoch)) is None:
            raise _Gone
        return found

    def rewound_of(dense: Settings, step: int) -> Weights:
        if (found := study.kept_rewound(dense, step)) is None:
            raise _Gone
        return found

    return weights_of, rewound_of
