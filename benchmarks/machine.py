"""What a benchmark ran on, its own rate, and how a second is taken."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import binding
from threadpoolctl import threadpool_info, threadpool_limits

from lottery.kernels.vectors import VECTOR_BITS

# The machine's own sgemm rate, for comparison: OpenBLAS takes AVX2 kernels on CPUs newer than
# itself, and must be told of AVX-512 before SciPy loads it.
if binding.get_host_cpu_features().get("avx512f"):
    os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"


def facts() -> dict[str, Any]:
    """Processor, threads, BLAS and versions."""
    import scipy.linalg  # noqa: F401  (its BLAS must be loaded to be seen)

    found = [info for info in threadpool_info() if info["user_api"] == "blas"]
    # NumPy's wheel brings a BLAS of its own, which the kernels do not use.
    own = [i for i in found if any(p.startswith("scipy") for p in Path(i["filepath"]).parent.parts)]
    words = ("internal_api", "version", "architecture")
    blas = [" ".join(str(info[word]) for word in words if word in info) for info in own or found]
    return {
        "machine.cpu": _processor(),
        "machine.threads": numba.get_num_threads(),
        "machine.system": f"{platform.system()} {platform.machine()}",
        "machine.blas": ", ".join(blas) or "unknown",
        "machine.vector_bits": VECTOR_BITS,  # of our kernels
        "machine.vectors": torch.backends.cpu.get_cpu_capability(),
        "machine.python": platform.python_version(),
        "machine.torch": torch.__version__,
        "machine.numba": numba.__version__,
        "machine.load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def sgemm_rate(size: int = 2048, times: int = 7) -> float:
    """GFLOP/s of SciPy's BLAS on square matrices with as many threads as the kernels; the best."""
    from scipy.linalg.blas import sgemm

    random = np.random.default_rng(0)
    a, b = (np.asfortranarray(random.random((size, size), np.float32)) for _ in range(2))
    with threadpool_limits(numba.get_num_threads(), user_api="blas"):
        sgemm(1.0, a, b)
        best = min(seconds(sgemm, 1.0, a, b) for _ in range(times))
    return 2 * size**3 / best / 1e9


def seconds(work: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def quartiles(name: str, numbers: np.ndarray) -> dict[str, float]:
    """The median under `name`, and both quartiles."""
    low, middle, high = np.percentile(numbers, [25, 50, 75]).tolist()
    return {name: middle, f"{name}_q25": low, f"{name}_q75": high}
