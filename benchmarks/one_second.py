"""For `dask worker --preload`: every run takes a second at least."""

from __future__ import annotations

import time
from collections.abc import Callable

from lottery.experiment import run as task

SECOND = 1.0


def slowed(perform: Callable) -> Callable:
    """`perform`, and sleep until the second is over."""

    def watched(*arguments):
        start = time.perf_counter()
        made = perform(*arguments)
        time.sleep(max(0.0, SECOND - (time.perf_counter() - start)))
        return made

    return watched


if not hasattr(task, "slowed"):  # Dask may load this file twice
    task.slowed = True
    task.perform = slowed(task.perform)
