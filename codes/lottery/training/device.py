"""Where it is trained, and on how many threads."""

from __future__ import annotations

import numba
import torch

from lottery.files import UserError


def use(device: str | None = None, threads: int | None = None) -> torch.device:
    """Choose the device (CUDA, then MPS, then CPU, unless named) and the number of CPU threads.

    UserError if the named device is not there, or for less than one thread.
    """
    if threads is not None and threads < 1:
        raise UserError(f"threads {threads} is not a whole number from 1")
    # A GPU would round the factors of some products to ten bits; records are float32's.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(1)  # the kernels divide the work themselves; PyTorch's part is small
    most = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(threads or most, most))
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is None:
        return torch.device(next((name for name, found in there.items() if found), "cpu"))
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or not there.get(chosen.type, chosen.type == "cpu"):
        raise UserError(f"device {device!r} is not here: take cpu, or leave --device out")
    return chosen
