"""Another dataset's mask on this dataset's network. Pure functions over named tensors.

Morcos et al. (2019) carry tickets from one set of pictures to another, whose networks have the same
layers. Two corpora have two vocabularies: here rows of the embedding go by their words. Of the rows
of words that the other corpus lacks as many weights are kept as the own ticket keeps, at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lottery.files import UserError
from lottery.pruning.masks import EMBEDDING, Mask, digest, prunable, random_mask

NOWHERE = -1  # in place of a row: the word is not there
Count = tuple[int, int]  # weights kept, of how many


@dataclass(frozen=True)
class Transfer:
    """Where the weights of a placed mask come from: kept, and how many there were.

    Of a control these are the counts before it was exchanged or drawn, which changes none.
    """

    run: str  # the other dataset's ticket
    fingerprint: str  # of the other dataset's texts
    words: int  # of this vocabulary, without `<pad>`
    shared: int  # of these, the words that the other has, too
    own: int  # weights that this dataset's own ticket of the rung keeps
    own_inner: int  # of these, the ones outside the embedding
    inner: int  # weights that the mask keeps outside the embedding
    by_word: Count = (0, 0)  # rows of shared words, as they are there
    as_found: Count = (0, 0)  # other tensors, as they are there
    at_random: Count = (0, 0)  # rows of the other words
    from_own: Count = (0, 0)  # from this dataset's own ticket, because shapes differ or by choice
    mask: str = ""  # `masks.digest` of the other dataset's ticket; the first records lack both
    own_mask: str = ""  # the same of this dataset's own ticket

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Transfer | None:
        """That of a record's JSON values; None of none."""
        if values is None:
            return None
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    @property
    def counts(self) -> tuple[Count, ...]:
        return self.by_word, self.as_found, self.at_random, self.from_own

    @property
    def counted(self) -> Transfer:
        """Without the masks' digests."""
        return replace(self, mask="", own_mask="")

    @property
    def kept(self) -> int:
        """Weights that the mask keeps."""
        return sum(kept for kept, _ in self.counts)


@dataclass(frozen=True)
class Foreign:
    """Another dataset's ticket, and where its words are."""

    run: str  # its name
    mask: Mask
    first: Mapping[str, Tensor]  # what it started from
    rows: Tensor  # int64 (own words,): the row of the same word there, or NOWHERE
    fingerprint: str = ""  # of its texts
    seed: int = 0  # of the order in which other words' weights go, the same for every rung


@dataclass(frozen=True)
class Placed:
    """A foreign mask on this network."""

    mask: Mask
    came: Mapping[str, Tensor]  # bool (rows,): those of a tensor that are the foreign mask's
    transfer: Transfer


def rows_of(own: Sequence[str], other: Sequence[str]) -> Tensor:
    """int64 (own words,): for each word its row in the `other` vocabulary, NOWHERE without one."""
    places = {word: row for row, word in enumerate(other)}
    return torch.tensor([places.get(word, NOWHERE) for word in own], dtype=torch.int64)


def placed(foreign: Foreign, own: Mask, inner: bool = False) -> Placed:
    """The foreign mask on this network, and where its weights come from.

    A shared word's row of the embedding is the row that it has there. Of the other words' rows as
    many weights are kept as `own`, this dataset's ticket of the same rung, keeps of them; which
    ones is drawn in an order that depends on `foreign.seed` alone, so that the masks of a ladder
    stay nested. Other tensors are as they are there where the shapes agree, else as in `own`; with
    `inner` the embedding is as in `own`, too. UserError if a tensor is left without weights.
    """
    mask: Mask = {}
    came: dict[str, Tensor] = {}
    found = dict.fromkeys(("by_word", "as_found", "at_random", "from_own"), (0, 0))
    for name, part in sorted(own.items()):
        other = foreign.mask.get(name)
        if name == EMBEDDING and not inner and _is_as_wide(part, other):
            mask[name], shared = _by_word(foreign, part, other)
            came[name] = shared
            found["by_word"] = _added(found["by_word"], mask[name][1:][shared[1:]])
            found["at_random"] = _added(found["at_random"], mask[name][~shared])
        else:
            is_there = name != EMBEDDING and other is not None and other.shape == part.shape
            mask[name] = (other if is_there else part).clone()
            if is_there:
                came[name] = torch.ones(len(part), dtype=torch.bool)
            origin = "as_found" if is_there else "from_own"
            found[origin] = _added(found[origin], prunable(mask)[name])
        if not prunable(mask)[name].any():
            raise UserError(
                f"the mask of run {foreign.run} leaves {name} without any weights on this dataset: "
                "choose a lower sparsity"
            )
    rows = foreign.rows[1:]
    transfer = Transfer(
        foreign.run,
        foreign.fingerprint,
        len(rows),
        int((rows != NOWHERE).sum()),
        sum(_kept(own).values()),
        _inner(own),
        _inner(mask),
        **found,
        mask=digest(foreign.mask),
        own_mask=digest(own),
    )
    return Placed(mask, came, transfer)


def values(foreign: Foreign, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The foreign ticket's first values: of words by word, of other tensors where shapes agree.

    Words that the other vocabulary lacks take the rows that are left there, in order, so that no
    two words begin with one vector. `own` stays where none are left, and where shapes differ.
    """
    made = {}
    for name, weight in own.items():
        other = foreign.first.get(name)
        made[name] = weight.clone()
        if name == EMBEDDING and _is_as_wide(weight, other):
            rows = _with_rest(foreign.rows, len(other))
            there = rows != NOWHERE
            there[0] = False  # `<pad>` is zero everywhere
            made[name][there] = other[rows[there]]
        elif name != EMBEDDING and other is not None and other.shape == weight.shape:
            made[name].copy_(other)
    return made


def drawn(found: Placed, generator: torch.Generator) -> Mask:
    """The mask with the weights of all rows that came from abroad in random places of them, as many
    of each tensor; nested as `random_mask` is."""
    result = {name: part.clone() for name, part in found.mask.items()}
    came = {name: found.mask[name][rows] for name, rows in found.came.items()}
    for name, part in random_mask(came, generator).items():
        result[name][found.came[name]] = part
    return result


def _by_word(foreign: Foreign, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The embedding's mask, and which of its rows are of shared words or `<pad>`."""
    result = torch.ones_like(own)
    shared = foreign.rows != NOWHERE
    shared[0] = True
    result[1:][shared[1:]] = other[foreign.rows[1:][shared[1:]]]
    # An order of all places, of which the rest's are taken: as many as the own ticket keeps there.
    order = torch.rand(
        own[1:].shape, generator=torch.Generator().manual_seed(foreign.seed), dtype=torch.float64
    )[~shared[1:]].flatten()
    kept = torch.zeros(order.numel(), dtype=torch.bool)
    kept[order.argsort(stable=True)[: int(own[~shared].sum())]] = True
    result[~shared] = kept.view(-1, own.shape[1])
    return result, shared


def _with_rest(rows: Tensor, size: int) -> Tensor:
    """`rows` of `size` there, with those that no word took given to the words that have none."""
    is_free = torch.ones(size, dtype=torch.bool)
    is_free[rows[rows != NOWHERE]] = is_free[0] = False
    free, lacking = is_free.nonzero()[:, 0], (rows == NOWHERE).nonzero()[:, 0]
    count = min(len(free), len(lacking))
    result = rows.clone()
    result[lacking[:count]] = free[:count]
    return result


def _kept(mask: Mask) -> dict[str, int]:
    return {name: int(part.sum()) for name, part in prunable(mask).items()}


def _inner(mask: Mask) -> int:
    """The weights kept outside the embedding."""
    return sum(kept for name, kept in _kept(mask).items() if name != EMBEDDING)


def _is_as_wide(own: Tensor, other: Tensor | None) -> bool:
    """Do two embeddings have word vectors of one length?"""
    return other is not None and other.shape[1:] == own.shape[1:]


def _added(count: Count, part: Tensor) -> Count:
    return count[0] + int(part.sum()), count[1] + part.numel()
