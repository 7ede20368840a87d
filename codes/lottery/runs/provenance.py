"""What a record says around its figures: of the data, the machine and the program."""

from __future__ import annotations

import platform
import subprocess
from functools import cache, lru_cache
from hashlib import sha256
from importlib import metadata

import numba
import torch
from llvmlite import binding

from lottery.data import Corpus
from lottery.files import PACKAGE, UserError
from lottery.kernels.vectors import VECTOR_BITS
from lottery.settings import Settings


def about(
    settings: Settings,
    layers: dict[str, tuple[int, int]],
    corpus: Corpus,
    device: str,
    worker: str = "",
) -> dict:
    """What a record says around its figures; `layers` as `pruning.masks.counts` has them."""
    return {
        "settings": settings,
        "layers": layers,
        "device": device,
        "threads": numba.get_num_threads(),
        "versions": versions(),
        "commit": commit(),
        "host": platform.node(),
        "worker": worker,
        "data": {
            "source": corpus.source,
            "fingerprint": corpus.fingerprint,
            "generated": corpus.generated,
            "repeated_texts": corpus.facts["repeated_texts"],
            "rows": {name: len(split) for name, split in corpus.splits.items()},
            **corpus.own,
        },
    }


def device_name(device: torch.device) -> str:
    """The device, and what of it can change the last bits."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    # The width of the vectors orders the sums, and so decides the last bits.
    return f"{device.type} ({platform.machine()}, {VECTOR_BITS}-bit vectors)"


@cache
def versions() -> dict[str, str]:
    """Of this project and of what its figures stand on; `cpu`: what kernels are compiled for."""
    names = ("lottery", "torch", "numpy", "numba", "llvmlite")
    about = {"python": platform.python_version(), "cpu": binding.get_host_cpu_name()}
    return about | {name: metadata.version(name) for name in names}


@cache  # of the code that this process has loaded, whatever is edited meanwhile
def commit() -> str:
    """The code's commit, "+" behind it if files differ from it, "unknown" outside a checkout."""
    try:
        git = ["git", "-C", str(PACKAGE)]
        options = {"capture_output": True, "text": True, "check": True, "timeout": 10}
        # A checkout of another project's, in which this one is installed, says nothing of it.
        subprocess.run([*git, "ls-files", "--error-unmatch", "--", "__init__.py"], **options)
        head = subprocess.run([*git, "rev-parse", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--", "."], **options).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("+" if changed.strip() else "")


@lru_cache(maxsize=1)
def code() -> str:
    """SHA-256 of this package's sources: two machines with the same one train the same."""
    found = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def check_code(wanted: str, found: str, worker: str) -> None:
    """UserError if a worker's program is not the caller's."""
    if found != wanted:
        raise UserError(
            f"worker {worker} runs other code than this process: install the same commit there "
            f"and start it again"
        )
