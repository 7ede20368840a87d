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

from lottery.data import outputs
from lottery.files import UserError, check_writable, sync, unwritable
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Weights
from lottery.runs.record import Record
from lottery.settings import Settings
from lottery.tickets import fit, packing
from lottery.tickets.tokenizer import tokenizer

FORMAT = 1
CONFIG, MODEL, MASK, FIRST = (
    "config.json",
    "model.safetensors",
    "mask.safetensors",
    "first.safetensors",
)
RECORD, TOKENIZER, CARD = "record.json", "tokenizer.json", "README.md"
INSIDE, ONNX = "inside.safetensors", "model.onnx"
NEEDED = (MODEL, MASK, RECORD, TOKENIZER)
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
    inside: Weights | None = None  # what `inside` shows of other networks; None: likewise
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON-able: for the card

    @property
    def settings(self) -> Settings:
        return self.record.settings

    @property
    def how(self) -> str:
        """How its texts are divided: a name of `data.tokens.SPLITTERS`."""
        return self.record.data.get("tokens", "words")


def pack(weights: Weights, mask: Mask) -> Weights:
    """The values that the mask keeps, flat; of a tensor without a mask all."""
    return {name: w[mask[name]] if name in mask else w.flatten() for name, w in weights.items()}


def bits(mask: Mask) -> Weights:
    """The masks, eight places a byte."""
    return {name: torch.from_numpy(np.packbits(part.numpy())) for name, part in mask.items()}


def check_free(folder: Path) -> None:
    """UserError if something is where a folder is to be written, or nothing may be."""
    folder = Path(folder)
    try:
        there = folder.lstat() and (not folder.is_dir() or any(folder.iterdir()))
    except FileNotFoundError:
        there = False
    except OSError as error:
        raise unwritable(folder, error) from None
    if there:
        raise UserError(f"{folder}: is there already; remove it or name another folder")
    check_writable(folder)


def write(
    folder: Path,
    contents: Contents,
    card: str,
    onnx: bytes | None = None,
    small: bool = False,
) -> None:
    """Write the folder, whole or not at all; UserError if something is there.

    `onnx` is the model as a graph, if it is to lie there, too; `small` packs what is not read by
    people.
    """
    folder = Path(folder)
    check_free(folder)
    s = contents.settings
    shapes = {name: list(w.shape) for name, w in contents.trained.items()}
    files = {
        MODEL: safetensors.torch.save(pack(contents.trained, contents.mask)),
        MASK: safetensors.torch.save(bits(contents.mask)),
        TOKENIZER: tokenizer(contents.vocabulary, s.max_tokens, contents.how).to_str().encode(),
        RECORD: (json.dumps(contents.record.to_json(), indent=1) + "\n").encode(),
    }
    if contents.first is not None:
        files[FIRST] = safetensors.torch.save(pack(contents.first, contents.mask))
    if contents.inside is not None:
        files[INSIDE] = safetensors.torch.save(contents.inside)
    if onnx is not None:
        files[ONNX] = onnx
    config = {
        "format": FORMAT,
        "dataset": s.dataset,
        "model": s.model,
        "classes": list(contents.classes),
        "size": {name: getattr(s, name) for name in SIZES}
        | {"words": len(contents.vocabulary), "outputs": outputs(len(contents.classes))},
        "shapes": shapes,
        "facts": dict(contents.facts),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    config["checksum"] = _checksum(config)
    if small:
        files = {name + packing.ENDING: packing.pack(part) for name, part in files.items()}
    files |= {CONFIG: (json.dumps(config, indent=1) + "\n").encode(), CARD: card.encode()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        for name, content in files.items():
            (beside / name).write_bytes(content)
            sync(beside / name)
        beside.chmod(0o755)
        sync(beside)
        beside.replace(folder)
        sync(folder.parent)
    except OSError as error:
        raise unwritable(folder, error) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read(folder: Path) -> Contents:
    """The folder's contents; UserError that names the file and what is wrong with it."""
    folder = Path(folder)
    if not os.path.isdir(folder):  # one that may not be seen is none
        raise UserError(f"{folder}: is no folder; name one that `lottery export` wrote")
    config = _config(folder / CONFIG)
    try:
        content = {name: _content(folder / name, wanted) for name, wanted in _files(config)}
        return _contents(config, content)
    except UserError as error:
        raise error if str(folder) in str(error) else _misfit(folder, error) from None
    except (
        *(KeyError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError),
        safetensors.SafetensorError,
    ) as error:
        raise _misfit(folder, error) from None


def _files(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and checksums; ValueError for a file that is none of a ticket's."""
    for name in config["sha256"]:
        if name not in (*NEEDED, FIRST, INSIDE, ONNX):
            raise ValueError(f"{name!r} is no file of a ticket")
    return [*config["sha256"].items()]


def _content(path: Path, expected: str) -> bytes:
    content = packing.read(path)
    if hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{path}: was altered or is not whole; export it anew")
    return content


def _contents(config: Mapping[str, Any], content: Mapping[str, bytes]) -> Contents:
    for name in NEEDED:
        if name not in content:
            raise ValueError(f"its config does not name {name}")
    record = Record.from_json(json.loads(content[RECORD]))
    words = fit.vocabulary(json.loads(content[TOKENIZER])["model"]["vocab"])
    shapes = {name: tuple(shape) for name, shape in config["shapes"].items()}
    fit.check_facts(record, config["classes"], config["facts"])
    fit.check_shapes(record, len(words), len(config["classes"]), shapes)
    tensors = {name: safetensors.torch.load(part) for name, part in content.items()
               if name.endswith(".safetensors")}  # fmt: skip
    mask = fit.masks(tensors[MASK], record, shapes)

    def weights(name: str) -> Weights:
        return fit.weights(tensors[name], tensors[MASK], mask, shapes)

    return Contents(
        record=record,
        classes=tuple(config["classes"]),
        vocabulary=words,
        trained=weights(MODEL),
        mask=mask,
        first=weights(FIRST) if FIRST in tensors else None,
        inside=tensors.get(INSIDE),
        facts=config["facts"],
    )


def _misfit(folder: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:160]
    return UserError(f"{folder}: its parts do not fit each other ({reason}); export it anew")


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
        found, known = config["checksum"], config["format"]
    except OSError as error:
        there = sorted(str(one.parent) for one in path.parent.glob("*/config.json"))
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); name a folder that `lottery export` wrote"
            f"{f', e.g. {there[0]}' if there else ''}"
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
