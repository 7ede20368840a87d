"""Tensors on disk: whole, checked, and nothing in them can run code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from lottery.files import unwritable, whole


class Damaged(Exception):
    """The file is not what was written."""


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write `tensors` and JSON-able `facts`, whole or not at all, with a checksum over both."""
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, sort_keys=True)
    with whole(path) as temporary:
        metadata = {"facts": text, "sha256": digest(tensors, text)}
        # Not save_file: its error on a full disk is no OSError.
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))


def load(path: Path, **of: object) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of `path`.

    Raises Damaged unless they are those that were saved, and the facts say what `of` says.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads(metadata["facts"])
        same = metadata["sha256"] == digest(tensors, metadata["facts"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__})") from None
    except safetensors.SafetensorError as error:
        raise Damaged(f"{path} cannot be read ({error})") from None
    if not same:
        raise Damaged(f"{path} has a wrong checksum")
    if any(facts.get(name) != value for name, value in of.items()):
        raise Damaged(f"{path} is of another run")
    return tensors, facts


def facts_of(path: Path) -> dict[str, Any]:
    """The facts of `path` alone, unchecked but for their form; raises Damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(json.loads((file.metadata() or {})["facts"]))
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__})") from None


def set_aside(path: Path) -> None:
    """Rename a damaged file, so that it is neither read again nor lost."""
    try:
        with suppress(FileNotFoundError):
            path.replace(path.with_name(f"{path.name}.damaged"))
    except OSError as error:
        raise unwritable(path, error) from None


def digest(tensors: Mapping[str, Tensor], facts: str = "") -> str:
    """SHA-256 over names, types, shapes and values, and over `facts`."""
    result = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        result.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        result.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return result.hexdigest()
