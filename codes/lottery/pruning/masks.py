"""Scores to masks. Pure functions over named tensors.

A mask holds one bool tensor for each prunable weight matrix: True where the weight remains. Its
shape is the matrix's; the `<pad>` row of the embedding is always True, because it cannot be pruned.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor

from lottery import files
from lottery.files import UserError

Mask = dict[str, Tensor]
EMBEDDING, OUTPUT = "embedding.weight", "output.weight"


def prunable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Views of what may be pruned: weight matrices, the embedding without `<pad>`; no biases.

    In alphabetical order, so that nothing depends on where the tensors come from.
    """
    return {
        name: tensor[1:] if name == EMBEDDING else tensor
        for name, tensor in sorted(tensors.items())
        if tensor.dim() > 1
    }


def full_mask(weights: Mapping[str, Tensor]) -> Mask:
    """The mask that keeps everything."""
    return {name: torch.ones_like(weights[name], dtype=torch.bool) for name in prunable(weights)}


def counts(mask: Mask) -> dict[str, tuple[int, int]]:
    """For each prunable tensor the weights removed and the weights there were."""
    return {n: (int((~part).sum()), part.numel()) for n, part in prunable(mask).items()}


def digest(mask: Mask) -> str:
    """SHA-256 of what is removed where; a tensor that stays whole is as one that is not named."""
    return files.digest({name: part for name, part in mask.items() if not part.all()})


def removed_by_layer(
    sizes: Mapping[str, int], ladder: tuple[float, ...], output_rate: float
) -> dict[str, int]:
    """How many weights each layer has lost after the ladder's last rung (scope "layer").

    Every layer loses the asked share, but each round prunes the output layer at `output_rate`
    times the round's rate (Frankle & Carbin 2019, section 2 and appendix G: half).
    """
    output = 1.0
    for below, above in zip((0.0, *ladder), ladder, strict=False):
        output *= 1 - output_rate * (1 - (1 - above) / (1 - below))
    shares = {name: 1 - output if name == OUTPUT else ladder[-1] for name in sizes}
    return {name: _nearest(shares[name] * size) for name, size in sizes.items()}


def check_room(sizes: Mapping[str, int], ladder: tuple[float, ...], output_rate: float) -> None:
    """UserError if a rung would leave a layer without weights."""
    for rung in range(1, len(ladder) + 1):
        for name, removed in removed_by_layer(sizes, ladder[:rung], output_rate).items():
            _refuse_empty(name, removed, sizes[name], ladder[rung - 1])


def prune(
    scores: Mapping[str, Tensor],
    mask: Mask,
    ladder: tuple[float, ...],
    scope: str = "layer",
    output_rate: float = 0.5,
    kept_dense: Collection[str] = (),
) -> Mask:
    """The mask of the ladder's last rung: the lowest scores go, from those that `mask` keeps.

    `scores` are shaped like the weights; `mask` is the rung's below. Tensors in `kept_dense` are
    not pruned, and the mask does not name them. The count removed is exact;
    among equal scores the first in row-major order goes first, layers in alphabetical order.
    UserError if a layer would be left without weights.
    """
    mask = {name: part for name, part in mask.items() if name not in kept_dense}
    scores = {name: scores[name] for name in mask}
    # Pruned weights sort before all others, a kept one that scores -inf among them, so they stay
    # pruned: masks are nested.
    kept, least = prunable(mask), torch.finfo(torch.float64).min
    ranked = {
        name: part.detach().double().clamp(min=least).masked_fill(~kept[name], -math.inf).flatten()
        for name, part in prunable(scores).items()
    }
    for name, part in ranked.items():
        if part.isnan().any():
            raise ValueError(f"the scores of {name} hold NaN, which has no place in an order")
    sizes = {name: part.numel() for name, part in ranked.items()}
    if scope == "layer":
        removed = removed_by_layer(sizes, ladder, output_rate)
        lowest = {name: _lowest(part, removed[name]) for name, part in ranked.items()}
    else:
        everything = torch.cat(list(ranked.values()))
        gone = _lowest(everything, _nearest(ladder[-1] * len(everything)))
        lowest = dict(zip(ranked, gone.split(list(sizes.values())), strict=True))
    result = {}
    for name, gone in lowest.items():
        _refuse_empty(name, int(gone.sum()), sizes[name], ladder[-1])
        result[name] = torch.ones_like(mask[name])
        part = prunable({name: result[name]})[name]
        part[gone.view_as(part)] = False
    return result


def random_mask(like: Mask, generator: torch.Generator) -> Mask:
    """A random mask that removes as many weights of each layer as `like` does.

    The order of removal depends on the generator alone, so masks of one stream are nested.
    """
    order = {
        name: torch.rand(part.shape, generator=generator, dtype=torch.float64)
        for name, part in sorted(like.items())
    }
    result = {name: torch.ones_like(part) for name, part in like.items()}
    for name, part in prunable(result).items():
        gone = _lowest(prunable(order)[name].flatten(), counts(like)[name][0])
        part[gone.view_as(part)] = False
    return result


def shuffled(mask: Mask, generator: torch.Generator) -> Mask:
    """`mask` with the places of each layer exchanged at random.

    The exchange depends on the generator alone, so nested masks stay nested.
    """
    result = {name: part.clone() for name, part in mask.items()}
    for part in prunable(result).values():
        places = torch.randperm(part.numel(), generator=generator)
        part.copy_(part.flatten()[places].view_as(part))
    return result


def exchanged(
    mask: Mask, generator: torch.Generator, among: Mapping[str, Tensor] | None = None
) -> Mask:
    """`mask` with whole rows exchanged at random among their like.

    A word's row goes to a word of like frequency: in a vocabulary in order of frequency, of the
    same octave of places. A filter's goes to any filter of its width, a unit's to any unit of the
    same gate. So each row keeps how much is left of a word, filter or unit, and what; to which of
    them it belongs is lost. `among`: of each tensor the rows to exchange, bool (rows,); default:
    all. The exchange depends on the generator alone, so nested masks stay nested.
    """
    if among is None:
        among = {name: torch.ones(len(part), dtype=torch.bool) for name, part in mask.items()}
    result = {name: part.clone() for name, part in mask.items()}
    for name, chosen in sorted(among.items()):
        for rows in _alike(name, chosen, mask):
            order = torch.randperm(len(rows), generator=generator)
            result[name][rows] = mask[name][rows[order]]
    return result


def _alike(name: str, chosen: Tensor, mask: Mask) -> Iterator[Tensor]:
    """Of the chosen rows of a tensor those that may stand for each other, in groups."""
    rows = chosen.nonzero()[:, 0]
    if name == EMBEDDING:
        rows = rows[rows > 0]  # `<pad>` stays
        group = torch.frexp(rows.double()).exponent  # the octave: 1, 2 to 3, 4 to 7, …
    else:
        recurrent = mask.get(name.replace("weight_ih", "weight_hh"))
        is_stacked = "weight_ih" in name or "weight_hh" in name  # a gate's units, below the next's
        units = recurrent.shape[1] if is_stacked and recurrent is not None else len(mask[name])
        group = rows // units
    for number in group.unique():
        yield rows[group == number]


def _lowest(values: Tensor, count: int) -> Tensor:
    """bool, True at the `count` lowest of a flat tensor; among equals the first ones."""
    if count == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    bound = values.kthvalue(count).values
    below, equal = values < bound, values == bound
    return below | (equal & (equal.cumsum(0) <= count - below.sum()))


def _nearest(count: float) -> int:
    return math.floor(count + 0.5)


def _refuse_empty(name: str, removed: int, size: int, sparsity: float) -> None:
    if removed >= size:
        raise UserError(
            f"sparsity {sparsity:g} leaves {name} ({size} weights) without any: choose a lower one"
        )
