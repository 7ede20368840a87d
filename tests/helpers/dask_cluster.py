"""A Dask cluster of processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from distributed import Client

HELPERS = Path(__file__).parent


class Cluster:
    """A scheduler and workers, each a process begun by `dask` on loopback."""

    def __init__(self, folder: Path, protocol: str = "tcp", **env: str) -> None:
        self.folder, self.workers = folder, []
        folder.mkdir(parents=True)
        self.file = folder / "scheduler.json"
        place = ("--host", "127.0.0.1", "--port", "0", "--protocol", protocol)
        self.scheduler = self._dask("scheduler", *place, **env)

    def _dask(self, *arguments: str, **env: str) -> subprocess.Popen:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LOTTERY_")}
        own = ("--scheduler-file", str(self.file), "--no-dashboard")
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, *own],
            cwd=self.folder,
            env=clean | env,
            stderr=(self.folder / f"log{time.monotonic_ns()}").open("w"),
        )

    @property
    def address(self) -> str:
        end = time.monotonic() + 180
        while True:
            with suppress(OSError, ValueError):  # it is not there, or not whole
                return json.loads(self.file.read_text())["address"]
            assert time.monotonic() < end and self.scheduler.poll() is None
            time.sleep(0.05)

    def add(self, *more: str, **env: str) -> subprocess.Popen:
        """One more worker; `env` as in worker_setup.py, without the beginning, or Dask's own."""
        env = {k if k[0] == "D" else f"LOTTERY_TEST_{k.upper()}": str(v) for k, v in env.items()}
        setup = ("--preload", str(HELPERS / "worker_setup.py"), "--nthreads", "1")
        self.workers.append(self._dask("worker", "--host", "127.0.0.1", *setup, *more, **env))
        return self.workers[-1]

    def wait(self) -> None:
        """Until all workers are there."""
        with Client(self.address) as client:
            client.wait_for_workers(len(self.workers), timeout=180)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
