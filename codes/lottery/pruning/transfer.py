"""Another dataset's mask on this dataset's network. Pure functions over named tensors.

Morcos et al. (2019) carry tickets from one set of pictures to another, whose networks have the same
layers. Two corpora have two vocabularies: here rows of the embedding go by their words. Of the rows
of words that the other corpus lacks as many weights are kept as the own ticket keeps, at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor

from lottery.pruning.masks import EMBEDDING, Mask, prunable

NOWHERE = -1  # in place of a row: the word is not there
Count = tuple[int, int]  # weights kept, of how many


@dataclass(frozen=True)
class Transfer:
    """Where the weights of a placed mask come from: kept, and how many there were.

    Of a control these are the counts before it was shuffled or drawn.
    """

    run: str  # the other dataset's ticket
    words: int  # of this vocabulary, without `<pad>`
    shared: int  # of these, the words that the other has, too
    by_word: Count = (0, 0)  # rows of shared words, as they are there
    as_found: Count = (0, 0)  # other tensors, as they are there
    at_random: Count = (0, 0)  # rows of the other words
    from_own: Count = (0, 0)  # from this dataset's own ticket, because shapes differ or by choice

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Transfer | None:
        """That of a record's JSON values; None of none."""
        if values is None:
            return None
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    @property
    def counts(self) -> tuple[Count, ...]:
        return astuple(self)[3:]

    @property
    def removed(self) -> int:
        """Weights that the mask removes."""
        return sum(of - kept for kept, of in self.counts)


@dataclass(frozen=True)
class Foreign:
    """Another dataset's ticket, and where its words are."""

    run: str  # its name
    mask: Mask
    first: Mapping[str, Tensor]  # what it started from
    rows: Tensor  # int64 (own words,): the row of the same word there, or NOWHERE
    seed: int = 0  # of the order in which other words' weights go, the same for every rung


def rows_of(own: Sequence[str], other: Sequence[str]) -> Tensor:
    """int64 (own words,): for each word its row in the `other` vocabulary, NOWHERE without one."""
    places = {word: row for row, word in enumerate(other)}
    return torch.tensor([places.get(word, NOWHERE) for word in own], dtype=torch.int64)


def placed(foreign: Foreign, own: Mask, inner: bool = False) -> tuple[Mask, Transfer]:
    """The foreign mask on this network, and where its weights come from.

    A shared word's row of the embedding is the row that it has there. Of the other words' rows as
    many weights are kept as `own`, this dataset's ticket of the same rung, keeps of them; which
    ones is drawn in an order that depends on `foreign.seed` alone, so that the masks of a ladder
    stay nested. Other tensors are as they are there where the shapes agree, else as in `own`; with
    `inner` the embedding is as in `own`, too.
    """
    mask: Mask = {}
    found = dict.fromkeys(("by_word", "as_found", "at_random", "from_own"), (0, 0))
    for name, part in sorted(own.items()):
        other = foreign.mask.get(name)
        if name == EMBEDDING and not inner and _is_as_wide(part, other):
            mask[name], rest = _by_word(foreign, part, other)
            found["by_word"] = _added(found["by_word"], mask[name][1:][~rest])
            found["at_random"] = _added(found["at_random"], mask[name][1:][rest])
            continue
        is_there = name != EMBEDDING and other is not None and other.shape == part.shape
        mask[name] = (other if is_there else part).clone()
        origin = "as_found" if is_there else "from_own"
        found[origin] = _added(found[origin], prunable(mask)[name])
    rows = foreign.rows[1:]
    return mask, Transfer(foreign.run, len(rows), int((rows != NOWHERE).sum()), **found)


def values(foreign: Foreign, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The foreign ticket's first values where the words agree, or the shapes; else `own`."""
    made = {}
    for name, weight in own.items():
        other = foreign.first.get(name)
        made[name] = weight.clone()
        if name == EMBEDDING and _is_as_wide(weight, other):
            shared = foreign.rows != NOWHERE
            shared[0] = False  # `<pad>` is zero everywhere
            made[name][shared] = other[foreign.rows[shared]]
        elif name != EMBEDDING and other is not None and other.shape == weight.shape:
            made[name].copy_(other)
    return made


def rows_shuffled(mask: Mask, generator: torch.Generator) -> Mask:
    """`mask` with the rows of each tensor exchanged at random: words, filters, units of gates.

    What a row keeps stays together and goes to another word, filter or unit. The exchange depends
    on the generator alone, so nested masks stay nested. A tensor of one row stays as it is.
    """
    result = {name: part.clone() for name, part in mask.items()}
    for part in prunable(result).values():
        part.copy_(part[torch.randperm(len(part), generator=generator)])
    return result


def _by_word(foreign: Foreign, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The embedding's mask, and which of its rows but `<pad>` are of words that are not there."""
    result = torch.ones_like(own)
    rows = foreign.rows[1:]
    rest = rows == NOWHERE
    body = result[1:]
    body[~rest] = other[rows[~rest]]
    # An order of all places, of which the rest's are taken: as many as the own ticket keeps there.
    order = torch.rand(
        body.shape, generator=torch.Generator().manual_seed(foreign.seed), dtype=torch.float64
    )[rest].flatten()
    kept = torch.zeros(order.numel(), dtype=torch.bool)
    kept[order.argsort(stable=True)[: int(own[1:][rest].sum())]] = True
    body[rest] = kept.view(-1, own.shape[1])
    return result, rest


def _is_as_wide(own: Tensor, other: Tensor | None) -> bool:
    """Do two embeddings have word vectors of one length?"""
    return other is not None and other.shape[1:] == own.shape[1:]


def _added(count: Count, part: Tensor) -> Count:
    return count[0] + int(part.sum()), count[1] + part.numel()
