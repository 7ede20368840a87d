"""What only tests ask of the LSTM: the state at every token, and pooling by itself."""

from __future__ import annotations

import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from lottery.kernels.lstm_steps import MAX, MEAN, STATES
from lottery.kernels.recurrence import Layers, _check_offsets, _check_type, _code, _is, run


@njit(parallel=True, cache=True, nogil=True)
def _pool(states, offsets, how, directions, out, pick):
    """Pool states (T, D, H) over each text; `pick` gets the place of each maximum."""
    units = states.shape[2]
    for text in prange(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1] - 1
        for direction in range(directions):
            for k in range(units):
                out[text, direction, k] = 0
            for step in range(last - first + 1):
                token = first + step if direction == 0 else last - step
                for k in range(units):
                    x = states[token, direction, k]
                    if how == MEAN:
                        out[text, direction, k] += x
                    elif how == MAX and step > 0:
                        if not x <= out[text, direction, k]:
                            out[text, direction, k] = x
                            pick[text, direction, k] = token
                    else:
                        out[text, direction, k] = x
                        pick[text, direction, k] = token
            if how == MEAN:
                for k in range(units):
                    out[text, direction, k] /= last - first + 1


@njit(parallel=True, cache=True, nogil=True)
def _pool_back(grad, offsets, how, directions, pick, dstates):
    units = dstates.shape[2]
    for text in prange(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        for direction in range(directions):
            for token in range(first, last):
                for k in range(units):
                    x = grad[text, direction, k]
                    if how == MEAN:
                        dstates[token, direction, k] = x / (last - first)
                    else:
                        picked = pick[text, direction, k] == token
                        dstates[token, direction, k] = x if picked else 0


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, offsets, how, directions):
        tokens, features = states.shape
        shape = (len(offsets) - 1, directions, features // directions)
        out = torch.empty(shape, dtype=states.dtype)
        pick = torch.empty(shape, dtype=torch.int64)
        view = states.detach().reshape(tokens, directions, -1)
        _pool(view.numpy(), offsets.numpy(), how, directions, out.numpy(), pick.numpy())
        ctx.save_for_backward(offsets, pick)
        ctx.facts = how, directions, tokens
        return out.flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        offsets, pick = ctx.saved_tensors
        how, directions, tokens = ctx.facts
        grad = grad.reshape(pick.shape).contiguous()
        dstates = torch.empty(tokens, *pick.shape[1:], dtype=grad.dtype)
        _pool_back(grad.numpy(), offsets.numpy(), how, directions, pick.numpy(), dstates.numpy())
        return dstates.flatten(1), None, None, None


def lstm(table: Tensor, index: Tensor, offsets: Tensor, layers: Layers) -> Tensor:
    """States of an LSTM, layers one upon the other, for every token of a ragged batch.

    table: (U, E) float32 or float64, one row for each different word; index: int32 (T,), the row
    of each token; offsets: int64 (B+1,), text b is the tokens offsets[b] to offsets[b+1], at least
    one; layers: for each layer, for each of its one or two directions, w_ih (4H, in), w_hh (4H, H),
    b_ih (4H,), b_hh (4H,) as in torch.nn.LSTM (gates i, f, g, o).

    Returns (T, D*H) in the order of the texts, the directions side by side. Differentiable (once)
    in the table and the weights. Raises ValueError for wrong shapes and types and empty texts.
    """
    return run(table, index, offsets, layers, STATES)


def pool(states: Tensor, offsets: Tensor, how: str, directions: int) -> Tensor:
    """States (T, D*H) pooled over each text: (B, D*H).

    how: "max", "mean", or "last": the last state of each direction's walk, which for the backward
    direction is the one at the text's first token. Of equal maxima the walk's first one gets the
    gradient.
    """
    if states.dim() != 2 or directions not in (1, 2) or states.shape[1] % directions:
        raise ValueError(f"states must be (tokens, {directions} * units), not {_is(states)}")
    _check_type("states", states, None)
    _check_offsets(offsets, len(states))
    return _Pool.apply(states, offsets.contiguous(), _code(how), directions)
