"""For `dask worker --preload`: every run takes a second at least."""

from __future__ import annotations

import time
from collections.abc import Callable

from lottery.experiment import ladder

SECOND = 1.0


def slowed(train: Callable) -> Callable:
    """`train`, and sleep until the second is over."""

    def watched(*arguments):
        start = time.perf_counter()
        made = train(*arguments)
        time.sleep(max(0.0, SECOND - (time.perf_counter() - start)))
        return made

    return watched


if not hasattr(ladder, "slowed"):  # Dask may load this file twice
    ladder.slowed = True
    ladder.train_ticket = slowed(ladder.train_ticket)
