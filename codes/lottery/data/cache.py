"""What `ids.build` gives, kept in a file that is mapped into memory."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable
from os import environ
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lottery import files
from lottery.files import Damaged, UserError, root

FORMAT = 2  # raise it when ids, facts or the split come out differently: old caches are then unread

Built = tuple[dict, dict[str, np.ndarray]]  # facts and arrays


def path_of(dataset: str, about: list[Any]) -> Path:
    """Where a corpus of the name lies that `about` says all of."""
    # Lower case and white space are those of Python's Unicode tables, which grow with its versions.
    every = [FORMAT, unicodedata.unidata_version, *about]
    key = hashlib.sha256(json.dumps(every).encode()).hexdigest()
    folder = Path(environ.get("LOTTERY_CACHE") or root() / ".cache")
    return folder / f"{dataset}-{key[:20]}.corpus"


def read(path: Path, say: Callable[[str], object]) -> Built | None:
    """What was kept; None if it is not there or, which is said, damaged."""
    try:
        return mapped(path) if path.is_file() else None
    except Damaged as damage:
        say(f"the cache is damaged ({damage}); it is built again")
        return None


def mapped(path: Path) -> Built:
    """Facts and arrays of a cache, mapped into memory; raises Damaged."""
    tensors, facts = files.load(path)
    return facts, {name: tensor.numpy() for name, tensor in tensors.items()}


def fill(path: Path, say: Callable[[str], object], built: Built) -> Built:
    """Keep what was built and give it as it will be read."""
    facts, arrays = built
    try:
        files.stream(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, facts)
        return mapped(path)
    except (UserError, Damaged) as error:  # slower next time, but nothing else is different
        say(f"nothing is cached: {error}")
        return json.loads(json.dumps(facts)), arrays
