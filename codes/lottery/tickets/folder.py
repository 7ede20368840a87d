"""A ticket's folder: packed weights and mask, tokenizer, record, and a checksum of every file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from lottery.files import UserError, unwritable
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Weights
from lottery.runs.record import Record
from lottery.settings import Settings
from lottery.tickets.plain import unpack
from lottery.tickets.tokenizer import tokenizer

FORMAT = 1
CONFIG, MODEL, MASK, FIRST = (
    "config.json",
    "model.safetensors",
    "mask.safetensors",
    "first.safetensors",
)
RECORD, TOKENIZER, CARD = "record.json", "tokenizer.json", "README.md"
SIZES = ("embedding_size", "filters", "widths", "hidden", "layers", "directions", "pooling")


@dataclass(frozen=True, eq=False)
class Contents:
    """What a folder holds."""

    record: Record
    classes: tuple[str, ...]
    vocabulary: tuple[str, ...]  # the word of every id
    trained: Weights  # of the tested epoch; zero where the mask removes
    mask: Mask
    first: Weights | None = None  # None: not in the folder
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON-able: for the card

    @property
    def settings(self) -> Settings:
        return self.record.settings


def pack(weights: Weights, mask: Mask) -> Weights:
    """The values that the mask keeps, flat; of a tensor without a mask all."""
    return {name: w[mask[name]] if name in mask else w.flatten() for name, w in weights.items()}


def bits(mask: Mask) -> Weights:
    """The masks, eight places a byte."""
    return {name: torch.from_numpy(np.packbits(part.numpy())) for name, part in mask.items()}


def write(folder: Path, contents: Contents, card: str) -> None:
    """Write the folder, whole or not at all; UserError if something is there."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already; remove it or name another folder")
    s = contents.settings
    shapes = {name: list(w.shape) for name, w in contents.trained.items()}
    outputs = 1 if len(contents.classes) == 2 else len(contents.classes)
    files = {
        MODEL: safetensors.torch.save(pack(contents.trained, contents.mask)),
        MASK: safetensors.torch.save(bits(contents.mask)),
        TOKENIZER: tokenizer(contents.vocabulary, s.max_tokens).to_str().encode(),
        RECORD: (json.dumps(contents.record.to_json(), indent=1) + "\n").encode(),
    }
    if contents.first is not None:
        files[FIRST] = safetensors.torch.save(pack(contents.first, contents.mask))
    config = {
        "format": FORMAT,
        "dataset": s.dataset,
        "model": s.model,
        "classes": list(contents.classes),
        "size": {name: getattr(s, name) for name in SIZES}
        | {"words": len(contents.vocabulary), "outputs": outputs},
        "shapes": shapes,
        "facts": dict(contents.facts),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    config["checksum"] = _checksum(config)
    files |= {CONFIG: (json.dumps(config, indent=1) + "\n").encode(), CARD: card.encode()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        for name, content in files.items():
            with open(beside / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        beside.chmod(0o755)
        beside.replace(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read(folder: Path) -> Contents:
    """The folder's contents; UserError that names the file and what is wrong with it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; name one that `lottery export` wrote")
    config = _config(folder / CONFIG)
    content = {}
    for name, expected in config["sha256"].items():
        path = folder / name
        try:
            content[name] = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); export it anew") from None
        if hashlib.sha256(content[name]).hexdigest() != expected:
            raise UserError(f"{path}: was altered or is not whole; export it anew")
    try:
        kept, packed = (safetensors.torch.load(content[name]) for name in (MODEL, MASK))
        shapes = {name: tuple(shape) for name, shape in config["shapes"].items()}
        mask = unpack_masks(packed, shapes)
        first = None
        if FIRST in content:
            first = unpack(safetensors.torch.load(content[FIRST]), packed, shapes)
        vocab = json.loads(content[TOKENIZER])["model"]["vocab"]
        return Contents(
            record=Record.from_json(json.loads(content[RECORD])),
            classes=tuple(config["classes"]),
            vocabulary=tuple(sorted(vocab, key=vocab.__getitem__)),
            trained=unpack(kept, packed, shapes),
            mask=mask,
            first=first,
            facts=config["facts"],
        )
    except (KeyError, ValueError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{folder}: its parts do not fit each other ({reason}); export it anew"
        ) from None


def unpack_masks(packed: Weights, shapes: Mapping[str, tuple[int, ...]]) -> Mask:
    """Bool tensors from their bits; ValueError if a mask does not fit its tensor."""
    masks = {}
    for name, part in packed.items():
        size = int(np.prod(shapes[name]))
        if len(part) != -(-size // 8):
            raise ValueError(f"the mask of {name} has {len(part)} bytes for {size} weights")
        found = np.unpackbits(part.numpy(), count=size).astype(bool)
        masks[name] = torch.from_numpy(found).view(shapes[name])
    return masks


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
        found, known = config["checksum"], config["format"]
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); name a folder that `lottery export` wrote"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path}: is no ticket's config; export the ticket anew") from None
    if known != FORMAT:
        raise UserError(f"{path}: format {known!r} is not {FORMAT}; export it with this version")
    if found != _checksum(config):
        raise UserError(f"{path}: was altered; export the ticket anew")
    return config


def _checksum(config: Mapping[str, Any]) -> str:
    told = {name: value for name, value in config.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
