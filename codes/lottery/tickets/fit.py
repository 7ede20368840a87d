"""Do the parts of a ticket's folder fit each other? A checksum alone says nothing of a stranger's.

Each function raises ValueError that says what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from lottery.data import DATASETS, outputs
from lottery.data.tokens import SPLITTERS
from lottery.experiment.plan import shapes
from lottery.files import UserError
from lottery.pruning.masks import Mask, counts
from lottery.runs.record import Record
from lottery.tickets.plain import unpack

Shapes = Mapping[str, tuple[int, ...]]
FACTS = {"title": str, "kept": int, "weights": int, "dense": str}


def vocabulary(ids: Mapping[str, int]) -> tuple[str, ...]:
    """The word of every id, from the id of every word."""
    if sorted(ids.values()) != list(range(len(ids))):
        raise ValueError("the ids of the tokenizer's words have holes")
    return tuple(sorted(ids, key=ids.__getitem__))


def check_facts(record: Record, classes: object, facts: Mapping[str, object]) -> None:
    """Is it a finished run, of these classes, with the words of the card?"""
    if record.failed:
        raise ValueError("its run failed")
    try:
        is_run = record.settings.checked() == record.settings
    except UserError as error:
        raise ValueError(str(error)) from None
    if not is_run:  # sizes out of bounds would fill the memory
        raise ValueError("its settings are no run's")
    dataset = record.settings.dataset
    known = DATASETS[dataset].classes if dataset in DATASETS else record.classes
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or len(classes) < 2 or (known and tuple(classes) != tuple(known)):
        raise ValueError(f"{classes!r} are not the classes of {dataset}")
    if (how := record.data.get("tokens", "words")) not in SPLITTERS:
        raise ValueError(f"its texts are divided into {how!r}, which is unknown")
    for name, kind in FACTS.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"'facts' has no {name!r}")


def check_shapes(record: Record, words: int, classes: int, told: Shapes) -> None:
    """Are these the tensors of the record's model?"""
    model = shapes(record.settings, words, outputs(classes))
    wanted = {name: tuple(w.shape) for name, w in model.items()}
    for name in sorted(wanted.keys() | told.keys()):
        if wanted.get(name) != told.get(name):
            raise ValueError(f"{name} is {told.get(name)}, its model's {wanted.get(name)}")


def masks(packed: Mapping[str, Tensor], record: Record, told: Shapes) -> Mask:
    """Bool tensors from their bits, each with as many kept as the record counts."""
    found = {}
    for name, part in packed.items():
        if name not in told:
            raise ValueError(f"a mask of {name}, which there is not")
        size = int(np.prod(told[name]))
        if part.dtype != torch.uint8 or part.shape != (-(-size // 8),):
            raise ValueError(f"the mask of {name} has {part.numel()} bytes for {size} weights")
        bits = np.unpackbits(part.numpy(), count=size).astype(bool)
        found[name] = torch.from_numpy(bits).view(told[name])
    if counts(found) != dict(sorted(record.layers.items())):
        raise ValueError("the masks do not keep as many weights as the record counts")
    return found


def weights(
    values: Mapping[str, Tensor], packed: Mapping[str, Tensor], mask: Mask, told: Shapes
) -> dict[str, Tensor]:
    """Tensors from the values that the masks keep, neither more nor fewer, all finite."""
    for name, shape in told.items():
        kept = int(mask[name].sum()) if name in mask else int(np.prod(shape))
        part = values.get(name)
        if part is None or part.dtype != torch.float32 or part.shape != (kept,):
            there = "no" if part is None else f"{part.numel()} of {part.dtype}"
            raise ValueError(f"{name} has {there} values, and its mask keeps {kept}")
        if not part.isfinite().all():
            raise ValueError(f"{name} holds values that are no numbers")
    return unpack(values, packed, told)
