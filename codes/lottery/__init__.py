"""Do lottery tickets exist in text classifiers?"""

from __future__ import annotations

import os

# Both must stand before SciPy loads its BLAS. One thread: the kernels divide the work themselves,
# the same way on any number of cores, so that a record does not depend on the machine's width.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "OPENBLAS_CORETYPE" not in os.environ:
    from llvmlite.binding import get_host_cpu_features

    # OpenBLAS takes AVX2 kernels on CPUs newer than itself; AVX-512 ones are twice as fast.
    _features = get_host_cpu_features()
    if all(_features.get(f"avx512{part}") for part in ("f", "bw", "dq", "vl")):
        os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
