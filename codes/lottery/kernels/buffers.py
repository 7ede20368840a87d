"""Memory for the kernels that outlives a step."""

from __future__ import annotations

import mmap
import weakref
from threading import Lock

import torch
from torch import Tensor


class Buffers:
    """Large buffers that live on: fresh memory costs a page fault for every 4 KiB.

    A buffer is lent as a tensor and comes back by itself when nothing holds that tensor, which for
    a tensor saved for the backward pass is the end of the backward pass. Any thread may borrow.
    """

    def __init__(self) -> None:
        self.free: list[Tensor] = []
        self._choosing = Lock()  # what comes back meanwhile only makes the list longer

    def lend(self, count: int, dtype: torch.dtype) -> Tensor:
        """A flat tensor (count,) of whatever values."""
        size = count * dtype.itemsize
        with self._choosing:
            fitting = [k for k, buffer in enumerate(self.free) if buffer.numel() >= size]
            if fitting:
                buffer = self.free.pop(min(fitting, key=lambda k: self.free[k].numel()))
            elif self.free:  # all too small: the largest makes room, so that small ones stay small
                self.free.pop(max(range(len(self.free)), key=lambda k: self.free[k].numel()))
        if not fitting:
            # Pages of its own go back whole; a heap keeps the holes that a growing buffer leaves.
            pages = mmap.mmap(-1, max(size + size // 4, 1), access=mmap.ACCESS_COPY)
            buffer = torch.frombuffer(pages, dtype=torch.uint8)
        lent = buffer[:size].view(dtype).numpy()
        weakref.finalize(lent, self.free.append, buffer).atexit = False
        return torch.from_numpy(lent)


buffers = Buffers()
