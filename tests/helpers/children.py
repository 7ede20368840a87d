"""The lottery command in processes of their own, that can be killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numba

from helpers.corpora import make_corpus
from lottery import cli, files
from lottery import data as corpora
from lottery.experiment import run as one
from lottery.runs.store import Store
from lottery.study import Study

SMALL = {"embedding_size": 8, "filters": 6, "batch_size": 64}
TESTS = Path(__file__).parents[1]

numba.njit(lambda: 0)()  # so that a forked process finds Numba's tables made


def run(results: Path, *more: str, epochs: int = 2, seed: int = 0, arms=("lt", "random")) -> list:
    """Arguments of `lottery run` for a study that takes a moment."""
    options = [x for k, v in SMALL.items() for x in (f"--{k.replace('_', '-')}", str(v))]
    start = ["run", "demo-reviews", "cnn", "--results", str(results), "--device", "cpu"]
    start += ["--threads", "1", "--seed", str(seed), "--arm", *arms, "--epochs", str(epochs)]
    return [*start, *options, *more]


def study(
    results: Path,
    ladder=(0.5,),
    arms=("lt", "random"),
    epochs=2,
    say=None,
    models=("cnn",),
    **more,
):
    """The same study in this process."""
    made = Study(
        "demo-reviews",
        models,
        ladder,
        arms,
        store=Store(Path(results)),
        device="cpu",
        threads=1,
        say=say or (lambda line: None),
        epochs=epochs,
        **(SMALL | more),
    )
    made.corpus = make_corpus()
    return made


def travel(results: Path, arms: tuple[str, ...], source: str = "demo-news", **more) -> Study:
    """The same with masks of another small corpus, whose 50 words are the first of the study's."""
    made = study(results, (0.5, 0.75), arms, source=source, **more)
    made.abroad["demo-news"] = replace(make_corpus(4, words=50), fingerprint="1" * 64)
    return made


class Child:
    """`lottery` with these arguments on the small corpus, begun at once.

    `log` takes what it prints. Every training that begins adds a line to `log` + ".trained".
    `prepare(*args)` is called in the child before anything else.
    """

    def __init__(self, arguments: list, log: Path, prepare: Callable | None = None, *args) -> None:
        self.log, self.trained = Path(log), Path(f"{log}.trained")
        self.process = _context().Process(
            target=_main, args=(list(arguments), self.log, self.trained, prepare, args)
        )
        self.process.start()

    def wait(self) -> int:
        """Its exit status; -9 if it was killed."""
        self.process.join(300)
        assert self.process.exitcode is not None, "it hangs"
        return self.process.exitcode

    def wait_for_training(self) -> bool:
        """Wait until it begins to train; False if it ends before."""
        end = time.monotonic() + 180
        while time.monotonic() < end:
            if self.trained.exists():
                return True
            if not self.process.is_alive():
                return False
            time.sleep(0.002)
        raise AssertionError("it hangs")

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> int:
        self.process.kill()
        return self.wait()

    @property
    def said(self) -> list[str]:
        """The lines it printed, without the bars."""
        lines = self.log.read_text().replace("\r", "\n").splitlines()
        return [line for line in lines if line.strip() and "|" not in line]


def _context():
    """Forked from a process that has imported all and computed nothing: that is quick and safe."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.children"])
    os.environ["PYTHONPATH"] = os.pathsep.join(
        dict.fromkeys([str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )
    return context


def _main(arguments: list, log: Path, trained: Path, prepare: Callable | None, args: tuple) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored behind a shell's &
    corpora.load = lambda name, **options: make_corpus()
    train = one.train

    def noted(model, ticket, corpus, settings, *more):
        with trained.open("a") as file:
            file.write(f"{settings.run}\n")
        return train(model, ticket, corpus, settings, *more)

    one.train = noted
    if prepare:
        prepare(*args)
    status = cli.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


# What can be prepared


def die_half_way(number: int, ending: str = "") -> None:
    """Die when half of the `number`th file (of those with this ending) is written."""
    write, count = Path.write_bytes, [0]

    def watched(self: Path, content: bytes) -> int:
        if ending in self.name:
            count[0] += 1
            if count[0] == number:
                with self.open("wb") as file:
                    file.write(content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        return write(self, content)

    Path.write_bytes = watched


def die_after(number: int) -> None:
    """Die when the `number`th file has its name, before its folder is on the disk."""
    sync, count = files.sync, [0]

    def watched(path: Path) -> None:
        if path.is_dir():
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
        sync(path)

    files.sync = watched


def limit_files(size: int) -> None:
    """No file may grow beyond so many bytes: as on a full disk, writing fails half way."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
