"""Two bars, one for the experiment and one for the epoch, in a terminal and in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from tqdm import tqdm

from lottery.data.batches import Batch
from lottery.settings import Settings, title
from lottery.training.epoch import Epoch, Progress


class Bars:
    """The experiment's bar. `run` gives the bar of one training."""

    def __init__(self, runs: int, title: str) -> None:
        self._title, self._more = title, set()
        self._outer: tqdm | None = None
        if runs:  # else there is nothing to show, unless `more` come
            self._show(runs)

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._outer is not None:
            self._outer.close()

    def _show(self, runs: int) -> None:
        self._outer = _bar(total=runs, desc=self._title, unit="run", position=0)

    def more(self, settings: Settings) -> None:
        """One more run than was thought: another stands on it, and its weights are gone.

        It may be asked for again, as long as another process is at it.
        """
        if self._outer is None:
            self._show(1)
        else:
            self._outer.total += settings not in self._more
        self._more.add(settings)

    @contextmanager
    def run(self, settings: Settings) -> Iterator[Progress]:
        """Watch one training."""
        name = title(settings)
        self._outer.set_postfix_str(name)
        watch = _Watch(name, settings.epochs)
        try:
            yield watch
            self._outer.update()
        finally:
            watch.close()


class Tally:
    """One bar for runs that are trained elsewhere."""

    def __init__(self, title: str) -> None:
        # Delayed: how many runs there are is known with the first `show`. Every update counts, so
        # that the clock goes on; and the rate is that of all runs, for few end in one interval.
        self._bar = _bar(
            total=0, desc=title, unit="run", position=0, delay=1e-9, miniters=0, smoothing=0
        )

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, runs: int, done: int, running: int, failed: int) -> None:
        """Show how the runs stand; the time left with it."""
        first, waiting = not self._bar.total, runs - done - running - failed
        self._bar.total = runs
        counts = f"{running} running, {waiting} waiting, {failed} failed"
        self._bar.set_postfix_str(counts, refresh=False)
        self._bar.update(done - self._bar.n)
        if first:
            self._bar.refresh()


class _Watch(Progress):
    def __init__(self, title: str, epochs: int) -> None:
        self._title, self._epochs, self._last = title, epochs, ""
        self._bar: tqdm | None = None

    def batches(self, batches: Iterator[Batch], count: int, epoch: int) -> Iterator[Batch]:
        if self._bar is None:
            self._bar = _bar(total=count, unit="step", position=1, leave=False)
        self._bar.reset(count)
        self._bar.set_description_str(f"{self._title}, epoch {epoch}/{self._epochs}")
        self._shown = time.monotonic()
        for batch in batches:
            yield batch
            self._bar.update()

    def loss(self, loss: Tensor) -> None:
        now = time.monotonic()
        if now - self._shown >= 0.5:  # reading a loss from a GPU waits for it: seldom, then
            self._shown = now
            self._bar.set_postfix_str(f"loss {float(loss):.3f}{self._last}", refresh=False)

    def epoch_done(self, epoch: Epoch) -> None:
        self._last = f", valid {epoch.valid_loss:.3f} {epoch.valid_accuracy:.2%}"
        self._bar.set_postfix_str(f"loss {epoch.train_loss:.3f}{self._last}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _bar(**options) -> tqdm:
    if _in_notebook():
        # A display of its own for each bar: an executed notebook keeps its last state as text.
        options |= {"file": _Line(), "position": 0, "leave": True, "ncols": 110}
    elif not sys.stderr.isatty():
        options |= {"mininterval": 30.0, "position": 0, "leave": True}  # a log is no screen
    return tqdm(dynamic_ncols=not options.get("ncols"), **options)


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


class _Line:
    """A file whose last line is shown in one place of a notebook."""

    encoding = "utf-8"  # without it the bars are drawn in #

    def __init__(self) -> None:
        from IPython.display import display

        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        line = text.replace("\r", "").rstrip("\n")
        if line.strip():
            self._handle.update({"text/plain": line}, raw=True)

    def flush(self) -> None:
        pass
