"""Where it is trained, and on how many threads."""

from __future__ import annotations

import numba
import torch

from lottery.files import UserError


def use(device: str | None = None, threads: int | None = None) -> torch.device:
    """Choose the device (CUDA, then CPU, unless named) and the number of CPU threads.

    Apple's GPUs have neither float64 nor sparse gradients. UserError if the named one is not there.
    """
    # A GPU would round the factors of some products to ten bits; records are float32's.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(1)  # the kernels divide the work themselves; PyTorch's part is small
    most = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(threads or most, most))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None:
        return torch.device("cuda" if gpus else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        chosen = None
    there = {"cpu": 1, "cuda": gpus}
    if chosen is None or (chosen.index or 0) >= there.get(chosen.type, 0):
        raise UserError(f"device {device!r} is not here: take cpu, or leave --device out")
    return chosen
