"""The caller: hands runs to Dask when what they stand on is done, and keeps what comes back.

A run is one Dask task. Dask finds a worker for it, moves what it needs, and tries it elsewhere when
its worker dies. What a run stands on is held by nobody but the caller's results folder: a task is
handed to Dask once the runs below it have their records, so that a lost worker never costs more
than the runs it was at. Only the caller writes records and weights.
"""

from __future__ import annotations

import heapq
import queue
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

import dask
from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError

from lottery.cluster.connect import await_worker, connected, quiet
from lottery.cluster.corpora import Corpora
from lottery.cluster.graph import Key, Node, Work, graph, measure, usual_seconds, wait
from lottery.cluster.job import Job, Missing, SharedDisk
from lottery.cluster.sent import Sent
from lottery.cluster.worker import work
from lottery.data import title
from lottery.experiment.bars import Tally
from lottery.experiment.plan import foreign, needs
from lottery.experiment.run import failed
from lottery.experiment.shelf import Busy, Gone
from lottery.files import UserError
from lottery.plugins.register import sources
from lottery.runs.checkpoints import unpacked
from lottery.runs.provenance import check_code, code, commit
from lottery.runs.store import Store
from lottery.training.interrupts import deferred
from lottery.training.train import Diverged

DEATHS = 4  # workers that a run may take with it before it is recorded as failed


def train(
    asked: Sequence[Work],
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
    with options, quiet(), connected(jobs, client, say) as found:
        Caller(graph(asked), found, per_gpu, say).run()


class Caller:
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
        self.submitted: dict[Future, Key] = {}
        self.running: dict[Key, str] = {}  # of those submitted, what a worker has begun, and which
        self.error: Exception | None = None  # the first that no user can have caused
        self.back: queue.SimpleQueue[Future | dict] = queue.SimpleQueue()  # tasks and their words
        self.topic = f"lottery-{secrets.token_hex(8)}"
        self.code, self.commit = code(), commit()
        self.disks: dict[Path, SharedDisk] = {}  # by results folder
        self.apart: set[Path] = set()  # results folders that not all workers see
        self.corpora = Corpora(client, say)
        self.states = Counter(node.state for node in nodes.values())
        self.pushed = 0
        self.asked = -1e9  # when Dask was last asked how many can run at once

    def run(self) -> None:
        """Train all. Raises at the end the first thing that no user can have caused."""
        for node in list(self.nodes.values()):
            if not node.after:
                self._push(node)
        names = dict.fromkeys(title(node.settings.dataset) for node in self.nodes.values())
        self.client.subscribe_topic(self.topic, lambda event: self.back.put(event[1]))
        try:
            self._check_workers()
            with Tally(", ".join(names)) as bar:
                while self.ready or self.busy or self.submitted:
                    self._submit()
                    self._show(bar)
                    self._listen()
                self._show(bar)
        except OSError as error:  # a disk's has a number, that of a scheduler lost has none
            raise error if error.errno else self._left() from None
        finally:
            with suppress(Exception):  # the scheduler may be gone
                self.client.cancel(list(self.submitted), force=True)
                self.client.unsubscribe_topic(self.topic)
                self.corpora.withdraw()
            for node in self.nodes.values():
                node.held.close()
        if self.error is not None:
            raise self.error

    def _show(self, bar: Tally) -> None:
        bar.show(len(self.nodes), self.states["done"], len(self.running), self.states["failed"])

    def _now(self, node: Node, state: str) -> None:
        """Change a node's state; only a submitted run is held against other processes."""
        self.states[node.state] -= 1
        self.states[state] += 1
        node.state = state
        if state != "submitted":
            node.held.close()

    # Before the first run

    def _check_workers(self) -> None:
        """Wait for a worker; see that all run this program, and what they see of the disk."""
        await_worker(self.client, self.say)
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
        for own in dict.fromkeys(node.work for node in self.nodes.values()):
            folder = own.shelf.store.root
            if folder not in self.disks:
                self.disks[folder] = disk = SharedDisk.of(folder)
                if not all(self.client.run(disk.here).values()):
                    self.apart.add(folder)
        for node in self.nodes.values():
            for run in filter(None, (node.settings, foreign(node.settings))):
                if (of := (node.work, run.dataset)) not in self.corpora.found:
                    self.corpora.find(of, node.work.corpora(run))

    def _gpus(self) -> float:
        """GPUs that the workers offer as a Dask resource; none if all runs are for the CPU."""
        if all(node.work.wanted[0] == "cpu" for node in self.nodes.values()):
            return 0
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
        while self.ready and len(self.submitted) < self.room:
            node = self.nodes[heapq.heappop(self.ready)[2]]
            try:
                self._hand_over(node)
            except Busy:
                self.busy.append(node.key)
            except Diverged as error:
                self._fail(node, str(error))
            except Gone:
                self._requeue(node)

    def _requeue(self, node: Node) -> None:
        """Let a node wait for weights that were there and are gone."""
        self._now(node, "waiting")
        known = len(self.nodes)
        wait(self.nodes, node)
        self.states["waiting"] += len(self.nodes) - known
        measure(self.nodes, usual_seconds([node.work.shelf.store]))
        todo = [node]  # what it waits for may wait in turn
        for other in todo:
            if other.state == "waiting" and other.after:
                todo += map(self.nodes.get, other.after)
            elif other.state in ("waiting", "done", "failed"):  # not in the queue nor at a worker
                self._push(other)

    def _hand_over(self, node: Node) -> None:
        """Give one run to Dask, unless it is done; raises Busy, Diverged, Gone."""
        shelf, settings = node.work.shelf, node.settings
        folder = shelf.store.root
        if not node.step:
            node.held.enter_context(shelf.hold(settings))
            if shelf.is_done(settings) and (not node.above or shelf.has_weights(settings)):
                self._done(node)  # by another process
                return
        sent = None
        stands_on = needs(settings)
        for run, step in stands_on:
            if not step:
                shelf.check_failed(run)
        if stands_on and (node.sent or folder in self.apart):
            sent = Sent.of(shelf, stands_on, settings.scored_at)
        device, threads = node.work.wanted
        job = Job(
            settings=settings,
            step=node.step,
            sent=sent,
            store=Store(folder.resolve()),  # a worker has a working directory of its own
            disk=self.disks[folder],
            corpora={
                name: self.corpora.found[node.work, name][1]
                for name in filter(None, (settings.dataset, settings.source))
            },
            device=device,
            threads=threads or 1,
            commit=self.commit,
            code=self.code,
            topic=self.topic,
            sources=tuple(sources(settings)),
        )
        future = self.client.submit(
            work,
            job,
            key=f"{node.title.replace(' ', '-')}-{secrets.token_hex(4)}",
            pure=False,
            priority=node.height,
            resources={"GPU": 1 / self.per_gpu} if self.gpus and device != "cpu" else None,
        )
        self._now(node, "submitted")
        self.submitted[future] = node.key
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
                    with deferred():  # what it brings is nowhere else
                        self._receive(came)
                came = self.back.get_nowait()
        if self.client.status not in ("running", "newly-created"):
            raise self._left()
        self.corpora.renew()

    def _hear(self, event: dict) -> None:
        node = self.nodes[tuple(event["key"])]
        if event["what"] == "begun":
            node.begun += 1
            if node.state == "submitted":
                self.running[node.key] = event["worker"]
        elif event["what"] == "further":
            node.begun = 1
        else:
            self.say(f"{node.title}: {event['line']}")

    def _receive(self, future: Future) -> None:
        """Keep what a task has brought, or see why it brought nothing."""
        node = self.nodes[self.submitted.pop(future)]
        worker = self.running.pop(node.key, None)
        try:
            record, small = future.result()
        except UserError:
            raise
        except Missing as missing:  # a worker that came later, or a disk that is late
            if missing.args[0] == "corpus":
                self.corpora.send((node.work, missing.args[1]))
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
            words = str(error).strip().splitlines() or [type(error).__name__]
            self._fail(node, words[-1])
        else:
            tensors = unpacked(small)
            if node.step:
                node.work.shelf.keep_rewound(node.settings, node.step, tensors)
            else:
                node.work.shelf.keep(record, tensors)
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
            self._record_death(node)
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
            self.say(f"{node.title}: failed, {why}")
            why = f"it stands on {node.title}: {why}"
            above = map(self.nodes.get, node.above)
            lost += [(other, why) for other in above if other.state == "waiting"]

    def _record_death(self, node: Node) -> None:
        """Record that a run kills its workers, or it is tried for ever; what is there, of a run
        trained again for its weights, stays."""
        why = f"its workers died {max(node.begun, node.given_up)} times"
        shelf = node.work.shelf
        if not node.step and not shelf.store.record_path(node.settings).exists():
            shelf.keep(failed(node.settings, node.work.corpora(node.settings), why), {})
            why += f"; to try again, move {shelf.store.record_path(node.settings)} away"
        self._fail(node, why)

    def _left(self) -> UserError:
        return UserError(
            f"the Dask scheduler at {self.client.scheduler.address} is gone; finished runs are "
            f"kept: start it again, and run the same to go on"
        )
