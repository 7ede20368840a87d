"""Adam for pruned networks: what the mask removes is zero, and so are its moments."""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

# A moment smaller than this moves no weight, and numbers a little smaller still are slow.
_NOTHING = 1e-36


class Adam:
    """Kingma & Ba (2015), "Adam: A Method for Stochastic Optimization", Algorithm 1.

    The numbers are those of torch.optim.Adam. A pruned weight (False in its mask) and its moments
    are exactly zero from the start and after every step; a kept weight that is zero trains on.
    Parameters without a gradient are left alone. On the CPU a sparse gradient of some rows stays
    sparse: the other rows have the gradient zero, but their moments decay and still move them.

    `parameters` are named as in the model, `masks` are bool tensors of their shapes; a parameter
    without a mask is kept whole.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        masks: dict[str, Tensor] | None,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        masks = masks or {}
        for name, mask in masks.items():
            if name not in parameters:
                raise ValueError(f"there is a mask for {name}, but no such parameter")
            if mask.dtype != torch.bool or mask.shape != parameters[name].shape:
                raise ValueError(f"the mask of {name} must be bool and of its parameter's shape")
        self.parameters = dict(parameters)
        self.learning_rate, self.betas, self.epsilon = learning_rate, betas, epsilon
        self.steps = 0
        self._masks = {name: mask.to(parameters[name].device) for name, mask in masks.items()}
        self._first = {name: torch.zeros_like(weight) for name, weight in parameters.items()}
        self._second = {name: torch.zeros_like(weight) for name, weight in parameters.items()}
        self._rows: dict[str, _Rows] = {}
        self._prune(parameters)

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        self.steps += 1
        beta1, beta2 = self.betas
        rate = self.learning_rate / (1 - beta1**self.steps)
        spread = sqrt(1 - beta2**self.steps)
        for name, weight in self.parameters.items():
            if weight.grad is None:
                continue
            update = self._step_rows if weight.device.type == "cpu" else self._step_whole
            update(name, weight, weight.grad, rate, spread)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.parameters.values():
            weight.grad = None

    def state(self) -> dict[str, Tensor]:
        """Copies of the moments and the number of steps, on the CPU: with the weights, all that
        training goes on from."""
        moments = {}
        for name in self.parameters:
            moments[f"{name}.first"] = self._first[name].detach().cpu().clone()
            moments[f"{name}.second"] = self._second[name].detach().cpu().clone()
        return {"steps": torch.tensor(self.steps), **moments}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state()` gave. KeyError or RuntimeError if it is of another model."""
        self.steps = int(state["steps"])
        for name in self.parameters:
            self._first[name].copy_(state[f"{name}.first"])
            self._second[name].copy_(state[f"{name}.second"])
        self._rows.clear()
        self._prune(self._first)
        self._prune(self._second)

    @torch.no_grad()
    def _prune(self, tensors: dict[str, Tensor]) -> None:
        for name, mask in self._masks.items():
            tensors[name].masked_fill_(~mask, 0)

    def _step_whole(self, name: str, weight: Tensor, grad: Tensor, rate: float, spread: float):
        """One parameter by torch's own operations, on any device."""
        first, second, mask = self._first[name], self._second[name], self._masks.get(name)
        beta1, beta2 = self.betas
        grad = grad.to_dense() if grad.is_sparse else grad
        grad = grad if mask is None else grad.masked_fill(~mask, 0)
        first.lerp_(grad, 1 - beta1)
        second.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        weight.addcdiv_(first, second.sqrt().div_(spread).add_(self.epsilon), value=-rate)

    def _step_rows(self, name: str, weight: Tensor, grad: Tensor, rate: float, spread: float):
        """One parameter by the kernel, row after row."""
        if name not in self._rows:
            self._rows[name] = _Rows(self._first[name], self._second[name], self._masks.get(name))
        rows = self._rows[name]
        numbers = np.array([*self.betas, rate, spread, self.epsilon, _NOTHING], rows.first.dtype)
        arrays = _matrix(weight), rows.first, rows.second, rows.mask, rows.moving
        if not grad.is_sparse:
            _step(*arrays, _matrix(grad.contiguous()), rows.every, numbers)
            return
        if not _find(grad._indices()[0].numpy(), rows.found):
            grad = grad.coalesce()  # a row came twice
            _find(grad._indices()[0].numpy(), rows.found)
        _step(*arrays, _matrix(grad._values().contiguous()), rows.found, numbers)
        _forget(grad._indices()[0].numpy(), rows.found)


class _Rows:
    """A parameter's state as the kernel sees it: matrices, and which rows have moved yet."""

    def __init__(self, first: Tensor, second: Tensor, mask: Tensor | None) -> None:
        self.first, self.second = _matrix(first), _matrix(second)
        count, size = self.first.shape
        self.mask = np.ones((1, size), bool) if mask is None else _matrix(mask)
        self.moving = (self.first != 0).any(1) | (self.second != 0).any(1)
        self.every = np.arange(count, dtype=np.int32)
        self.found = np.full(count, -1, np.int32)


def _matrix(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory as (rows, columns)."""
    return tensor.detach().view(len(tensor) if tensor.dim() > 1 else 1, -1).numpy()


@njit(cache=True, nogil=True)
def _find(words, found):
    """Note where each row's gradient lies. Undone, and False, if a row comes twice."""
    for place, word in enumerate(words):
        if found[word] >= 0:
            for other in words[:place]:
                found[other] = -1
            return False
        found[word] = place
    return True


@njit(cache=True, nogil=True)
def _forget(words, found):
    for word in words:
        found[word] = -1


@njit(parallel=True, cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _step(weights, firsts, seconds, masks, moving, slopes, found, numbers):
    """Move `weights` (R, S) in place; found[row] is the row of `slopes` or -1 for gradient zero.

    `masks` (R, S), or (1, S) for all rows; a row that never had a gradient (`moving`) stays.
    """
    beta1, beta2, rate, spread, epsilon, nothing = numbers
    zero = numbers[0] - numbers[0]
    one = beta1 / beta1
    narrow = one / spread  # a product costs less than the quotient it replaces
    for row in prange(len(weights)):
        weight, first, second = weights[row], firsts[row], seconds[row]
        if found[row] >= 0:
            moving[row] = True
            slope = slopes[found[row]]
            mask = masks[row] if len(masks) > 1 else masks[0]
            for i in range(len(weight)):
                g = slope[i] if mask[i] else zero
                m = first[i] + (one - beta1) * (g - first[i])
                v = beta2 * second[i] + (one - beta2) * g * g
                m = zero if abs(m) < nothing else m
                v = zero if v < nothing else v
                first[i], second[i] = m, v
                moved = weight[i] - rate * (m / (np.sqrt(v) * narrow + epsilon))
                weight[i] = moved if mask[i] else zero
        elif moving[row]:  # a pruned weight stays zero here, because its moments are
            for i in range(len(weight)):
                m = first[i] - (one - beta1) * first[i]
                v = beta2 * second[i]
                m = zero if abs(m) < nothing else m
                v = zero if v < nothing else v
                first[i], second[i] = m, v
                weight[i] -= rate * (m / (np.sqrt(v) * narrow + epsilon))
