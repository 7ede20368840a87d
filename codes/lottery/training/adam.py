"""Adam for pruned networks: what the mask removes is zero, and so are its moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from lottery.kernels.adam import SMALL, find, forget, step_kept, step_rows, step_some
from lottery.kernels.packing import flat

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # section 2 of the paper
# A moment smaller than this moves no weight, and numbers a little smaller still are slow.
_NOTHING = 1e-36
# A weight that decay alone moves shrinks without end; below this it is put to zero, because its
# gradient would be such a slow number. No logit notices.
_VANISHED = 1e-30
_FEW = 0.4  # below this share of kept weights, gathering them is faster than passing over all


class Adam:
    """Kingma & Ba (2015), "Adam: A Method for Stochastic Optimization", Algorithm 1.

    In step t a weight w with gradient g, its moments m and v, and the learning rate α:

        g ← g + weight_decay · w
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        w ← w − α / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)

    Both corrections for the moments' start at zero are the same for all weights: α / (1 − β₁ᵗ) is
    called `rate` and √(1 − β₂ᵗ) `spread` below.

    The numbers are those of torch.optim.Adam. A pruned weight (False in its mask) and its moments
    are exactly zero from the start and after every step; a kept weight that is zero trains on.
    Parameters without a gradient are left alone. On the CPU a sparse gradient of some rows stays
    sparse: the other rows have the gradient zero, but their moments decay and still move them.

    With `weight_decay` > 0 that share of a weight is added to its gradient (L2 inside Adam, as
    torch.optim.Adam has it; not AdamW): every kept weight of every row then moves in every step.
    With `steps` > 0 the learning rate falls linearly, from its value in the first step to zero
    after so many.

    `parameters` are named as in the model, `masks` are bool tensors of their shapes; a parameter
    without a mask is kept whole. On the CPU the moments of a masked parameter are stored, and
    moved, for what it keeps alone.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        masks: Mapping[str, Tensor] | None,
        learning_rate: float,
        weight_decay: float = 0.0,
        steps: int = 0,
    ) -> None:
        masks = masks or {}
        for name, mask in masks.items():
            if name not in parameters:
                raise ValueError(f"there is a mask for {name}, but no such parameter")
            if mask.dtype != torch.bool or mask.shape != parameters[name].shape:
                raise ValueError(f"the mask of {name} must be bool and of its parameter's shape")
        self.parameters = dict(parameters)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.falls_over = steps
        self.steps = 0
        self._moments = {
            name: way(weight, masks.get(name))(weight, masks.get(name))
            for name, weight in parameters.items()
        }

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        rate = self.learning_rate
        if self.falls_over:
            rate *= max(1 - self.steps / self.falls_over, 0.0)
        self.steps += 1
        rate /= 1 - _BETA1**self.steps
        spread = sqrt(1 - _BETA2**self.steps)
        numbers = rate, spread, self.weight_decay
        together = []
        for name, weight in self.parameters.items():
            held = self._moments[name]
            if weight.grad is None:
                continue
            if isinstance(held, _Whole):
                together.append(held)
            else:
                held.move(weight.grad, *numbers)
        if together:
            _move(together, *numbers)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.parameters.values():
            weight.grad = None

    def state(self) -> dict[str, Tensor]:
        """Copies of the moments, in the parameters' shapes, and the number of steps, on the CPU:
        with the weights, all that training goes on from."""
        moments = {}
        for name, held in self._moments.items():
            moments[f"{name}.first"], moments[f"{name}.second"] = held.copies()
        return {"steps": torch.tensor(self.steps), **moments}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state()` gave. KeyError or RuntimeError if it is of another model."""
        self.steps = int(state["steps"])
        for name, held in self._moments.items():
            held.load(state[f"{name}.first"], state[f"{name}.second"])


class _Whole:
    """One parameter by torch's own operations, on any device."""

    @torch.no_grad()
    def __init__(self, weight: Tensor, mask: Tensor | None) -> None:
        self.weight = weight
        self.first, self.second = torch.zeros_like(weight), torch.zeros_like(weight)
        self.pruned = None if mask is None else ~mask.to(weight.device)
        self._prune(weight)

    def _prune(self, *tensors: Tensor) -> None:
        if self.pruned is not None:
            for tensor in tensors:
                tensor.masked_fill_(self.pruned, 0)

    @property
    def slope(self) -> Tensor:
        """The gradient of what is kept, dense."""
        grad = self.weight.grad
        grad = grad.to_dense() if grad.is_sparse else grad
        return grad if self.pruned is None else grad.masked_fill(self.pruned, 0)

    def copies(self) -> tuple[Tensor, Tensor]:
        return self.first.detach().cpu().clone(), self.second.detach().cpu().clone()

    @torch.no_grad()
    def load(self, first: Tensor, second: Tensor) -> None:
        self.first.copy_(first)
        self.second.copy_(second)
        self._prune(self.first, self.second)


def _move(parts: Sequence[_Whole], rate: float, spread: float, decay: float) -> None:
    """Move them all with one call an operation: on a GPU a small one takes less than its call.

    `rate`, `spread`: as in `Adam`; `decay` is its `weight_decay`.
    """
    weights, firsts, seconds, grads = zip(
        *((part.weight, part.first, part.second, part.slope) for part in parts), strict=True
    )
    if decay:
        grads = torch._foreach_add(grads, weights, alpha=decay)
    torch._foreach_lerp_(firsts, grads, 1 - _BETA1)
    torch._foreach_mul_(seconds, _BETA2)
    torch._foreach_addcmul_(seconds, grads, grads, value=1 - _BETA2)
    scales = torch._foreach_sqrt(seconds)
    torch._foreach_div_(scales, spread)
    torch._foreach_add_(scales, _EPSILON)
    torch._foreach_addcdiv_(weights, firsts, scales, value=-rate)


class _Rows:
    """One parameter by the kernels, as a matrix of rows of which only some have a gradient."""

    @torch.no_grad()
    def __init__(self, weight: Tensor, mask: Tensor | None) -> None:
        self.shape, self.weight = weight.shape, _matrix(weight)
        count, size = self.weight.shape
        self.kept = np.empty((0, size), bool) if mask is None else _matrix(mask)  # empty: all
        if mask is not None:
            weight.masked_fill_(~mask, 0)
        self.every = np.arange(count, dtype=np.int32)
        self.found = np.full(count, -1, np.int32)
        self.moving = np.zeros(count, bool)  # a row that never had a gradient stays
        self._make_room()

    def _make_room(self) -> None:
        self.first, self.second = np.zeros_like(self.weight), np.zeros_like(self.weight)
        parts = self.weight, self.first, self.second, self.kept
        self.parts = [part.reshape(-1) for part in parts]  # moments are written into, never new

    def move(self, grad: Tensor, rate: float, spread: float, decay: float) -> None:
        vanished = _VANISHED if decay else 0.0
        numbers = (_BETA1, _BETA2, rate, spread, _EPSILON, decay, _NOTHING, vanished)
        numbers = np.array(numbers, self.weight.dtype)
        if not grad.is_sparse:
            self._step(flat(grad), self.every, numbers)
            return
        if not find(grad._indices()[0].numpy(), self.found):
            grad = grad.coalesce()  # a row came twice
            find(grad._indices()[0].numpy(), self.found)
        self._step(flat(grad._values()), self.found, numbers)
        forget(grad._indices()[0].numpy(), self.found)

    def _step(self, slopes: np.ndarray, found: np.ndarray, numbers: np.ndarray) -> None:
        facts = *self.parts, self.moving, slopes, found, self.weight.shape[1], numbers
        if self.weight.size > SMALL:
            step_rows(*facts)
        else:
            step_some(*facts, 0, len(self.weight))

    def whole(self, moments: np.ndarray) -> np.ndarray:
        """A copy of these moments as a matrix."""
        return moments.copy()

    def take(self, moments: np.ndarray) -> np.ndarray:
        """What is stored of a matrix of moments."""
        return np.where(self.kept, moments, 0) if len(self.kept) else moments

    def copies(self) -> tuple[Tensor, Tensor]:
        return tuple(
            torch.from_numpy(self.whole(m)).view(self.shape) for m in (self.first, self.second)
        )

    def load(self, first: Tensor, second: Tensor) -> None:
        for moments, tensor in ((self.first, first), (self.second, second)):
            if tensor.shape != self.shape:
                raise RuntimeError(f"moments of {tuple(tensor.shape)} for {tuple(self.shape)}")
            moments[:] = self.take(_matrix(tensor))
        self.moving = (_matrix(first) != 0).any(1) | (_matrix(second) != 0).any(1)


class _Kept(_Rows):
    """The same with the moments of the kept weights alone, flat, row after row.

    Row r's are `starts[r]` to `starts[r + 1]`; `places` are those of the weights in the flat
    matrix.
    """

    def _make_room(self) -> None:
        self.starts = np.concatenate([[0], self.kept.sum(1, dtype=np.int64).cumsum()])
        self.places = np.flatnonzero(self.kept).astype(np.uint64)
        self.first = np.zeros(len(self.places), self.weight.dtype)
        self.second = np.zeros_like(self.first)

    def _step(self, slopes: np.ndarray, found: np.ndarray, numbers: np.ndarray) -> None:
        weights, rows = self.weight.reshape(-1), (self.starts, self.places)
        size, moments = self.weight.shape[1], (self.first, self.second)
        step_kept(weights, *moments, *rows, self.moving, slopes, size, found, numbers)

    def whole(self, moments: np.ndarray) -> np.ndarray:
        matrix = np.zeros_like(self.weight)
        matrix[self.kept] = moments
        return matrix

    def take(self, moments: np.ndarray) -> np.ndarray:
        return moments[self.kept]


def way(weight: Tensor, mask: Tensor | None) -> type[_Whole] | type[_Rows]:
    """How a parameter is moved; its mask's density decides, so that a run does the same anywhere.

    By the kernels on the CPU, by torch's operations elsewhere, and where numbers do not lie side by
    side: the kernels move flat memory.
    """
    if weight.device.type != "cpu" or not weight.is_contiguous():
        return _Whole
    few = mask is not None and int(mask.sum()) < _FEW * mask.numel()
    return _Kept if few else _Rows


def _matrix(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory as (rows, columns)."""
    return tensor.detach().view(len(tensor) if tensor.dim() > 1 else 1, -1).numpy()
