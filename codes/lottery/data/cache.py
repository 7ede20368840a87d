"""Arrays and facts in one file: whole, checked at every opening, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import mmap
from pathlib import Path

import numpy as np

from lottery.files import whole

MAGIC = b"lottery corpus 1"  # 16 bytes; then SHA-256 of the rest, length of the JSON, JSON, arrays
ALIGN = 64


class Damaged(Exception):
    """The file is not what was written."""


def write(path: Path, facts: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write JSON-able `facts` and one-dimensional `arrays`, whole or not at all."""
    shapes = {name: [array.dtype.str, len(array)] for name, array in arrays.items()}
    header = json.dumps({"facts": facts, "arrays": shapes}).encode()
    header += b" " * (-(len(MAGIC) + 32 + 8 + len(header)) % ALIGN)
    parts = [len(header).to_bytes(8, "little"), header]
    for array in arrays.values():
        raw = np.ascontiguousarray(array).tobytes()
        parts.append(raw + bytes(-len(raw) % ALIGN))
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with whole(path) as temporary, temporary.open("wb") as file:
        file.writelines([MAGIC, digest.digest(), *parts])


def read(path: Path) -> tuple[dict, dict[str, np.ndarray]] | None:
    """Facts and read-only arrays on the mapped file; None if there is no such file.

    Raises:
        Damaged: cut, changed or of another kind.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise Damaged(str(error)) from None
    start = len(MAGIC) + 32
    if mapped[: len(MAGIC)] != MAGIC:
        raise Damaged("another format")
    with memoryview(mapped) as view, view[start:] as rest:
        if hashlib.sha256(rest).digest() != mapped[len(MAGIC) : start]:
            raise Damaged("wrong checksum")
    at = start + 8 + int.from_bytes(mapped[start : start + 8], "little")
    header = json.loads(mapped[start + 8 : at])
    arrays = {}
    for name, (dtype, length) in header["arrays"].items():
        arrays[name] = np.frombuffer(mapped, dtype, length, at)
        at += arrays[name].nbytes + -arrays[name].nbytes % ALIGN
    return header["facts"], arrays
