"""Memory is lent to one at a time, whoever asks at the same moment."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

from lottery.kernels.buffers import Buffers


class Slow(list):
    """A list of free buffers from which one is taken some time after it was chosen."""

    def pop(self, place: int):
        time.sleep(0.05)
        return super().pop(place)


def test_threads_that_borrow_at_once_get_memory_of_their_own():
    buffers = Buffers()
    buffers.free = Slow(torch.zeros(size, dtype=torch.uint8) for size in (40, 400))
    together = Barrier(4)

    def borrow(_):
        together.wait()
        return buffers.lend(10, torch.float32)

    with ThreadPoolExecutor(4) as threads:
        lent = list(threads.map(borrow, range(4)))
    assert len({part.data_ptr() for part in lent}) == 4
    assert all(part.shape == (10,) and part.dtype == torch.float32 for part in lent)
    del lent
    assert len(buffers.free) == 4, "and they come back"
