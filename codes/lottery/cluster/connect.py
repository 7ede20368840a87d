"""A Dask client: of a cluster on this machine, or of a scheduler that is there."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, LocalCluster

from lottery.files import UserError

NOISY = ("distributed", "tornado", "asyncio")  # loggers
PATIENCE = 15.0  # seconds for an answer, unless Dask's configuration asks for fewer


class _Client(Client):
    """Closed at once when nobody answers.

    Dask leaves that to the garbage collector, which may run in the new thread of the next
    client while that client waits for its thread, and both wait for each other.
    """

    def start(self, **kwargs: Any) -> None:
        try:
            super().start(**kwargs)
        except BaseException:
            self.close()
            self._loop_runner.stop()  # a client that never ran is closed without it
            raise


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C in a terminal, which all its processes get, to the caller."""
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def quiet() -> Iterator[None]:
    """Dask's own words about lost connections: what a person must know, the caller says."""
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in NOISY]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _check_file(path: Path) -> None:
    """UserError if a file does not say where a scheduler is."""
    try:
        address = json.loads(path.read_text())["address"]
    except (OSError, ValueError, KeyError, TypeError):
        address = None
    if not isinstance(address, str):
        raise UserError(f"{path} is no scheduler's file: dask scheduler --scheduler-file writes it")


def _local(jobs: int | None) -> LocalCluster:
    """A scheduler and `jobs` workers on this machine; UserError if these cannot be started."""
    try:
        return LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            memory_limit=0,  # Dask counts mapped files as memory, and would pause
            dashboard_address="127.0.0.1:8787",
            silence_logs=logging.CRITICAL,
            preload=[__name__],  # it calls dask_setup in each worker
        )
    except RuntimeError as error:  # a worker reads the script again, and would start its own
        raise UserError(
            f"no worker starts ({error}): in a script, what trains belongs under "
            f'`if __name__ == "__main__":`'
        ) from error


@contextmanager
def connected(
    jobs: int | None, client: Client | str | None, say: Callable[[str], object]
) -> Iterator[Client]:
    """`client`; or one at its address or file; or one of `jobs` new processes. What is made here
    is closed at the end. UserError if no scheduler answers."""
    if isinstance(client, Client):
        yield client
        return
    with ExitStack() as stack:
        if client is None:
            client = stack.enter_context(_local(jobs))
        where = {"address": client}
        if isinstance(client, str) and client.endswith(".json"):
            if not Path(client).is_file():
                raise UserError(f"{client} is not there: dask scheduler --scheduler-file writes it")
            _check_file(Path(client))
            where = {"scheduler_file": client}
        try:
            configured = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
            client = stack.enter_context(_Client(**where, timeout=min(PATIENCE, configured)))
        except (OSError, ValueError) as error:
            raise UserError(
                f"no Dask scheduler answers at {client!r} ({type(error).__name__}): start one with "
                f"`dask scheduler` and give its address, e.g. tcp://host:8786"
            ) from None
        except TypeError as error:  # Dask's way to say that it has no certificate to show
            if not client.startswith("tls://"):
                raise
            raise UserError(
                f"no Dask scheduler answers at {client!r} without a certificate: name yours in "
                f"Dask's configuration (distributed.comm.tls)"
            ) from error
        say(f"dashboard: {client.dashboard_link}")
        yield client


def await_worker(client: Client, say: Callable[[str], object]) -> None:
    """Wait until the scheduler has a worker."""
    if not client.nthreads():
        say("no worker is connected to the scheduler; waiting")
        while not client.nthreads():
            time.sleep(0.5)
