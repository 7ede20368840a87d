"""The numba that models and Adam stand on: arrays in, arrays out, exact to rounding.

No mathematics of tickets is here. Sums have one order, whatever the threads or the batch.
"""

from __future__ import annotations

from hashlib import sha256
from os import environ
from pathlib import Path

from numba import config

# Numba takes a compiled kernel for fresh if its own file is unchanged, whatever became of the
# kernels in other files that are compiled into it. So each state of this folder has its own cache.
HERE = Path(__file__).parent
SOURCES = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))
if "NUMBA_CACHE_DIR" not in environ:
    config.CACHE_DIR = str(HERE / "__pycache__" / sha256(SOURCES).hexdigest()[:12])
