"""The LSTM on ragged batches of texts, on the CPU: exact, without padding, with its gradients.

Equations (Hochreiter & Schmidhuber 1997 with forget gates, Gers et al. 2000; the weights' layout
is torch.nn.LSTM's), for one direction and one text:

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)    g = tanh(a_g)
    a_t = w_ih x_t + b_ih + w_hh h_{t-1} + b_hh
    c_t = f c_{t-1} + i g                                 h_t = o tanh(c_t)

Where the time is saved:
  - w_ih x + b is computed once for each different word of the batch, not for each token; in the
    backward pass the gates' gradients are summed over the tokens of a word before they meet w_ih.
  - Texts are sorted by length, so that at every step the living rows are the first ones; the
    backward direction walks each text from its own end. No padded position is ever computed.
  - All products run on one register-blocked tile (`tile`), and the activations follow while the
    block is in the first-level cache.
  - In the backward pass the gates' gradients are used up (for w_hh, for the words, for the step
    before) a few steps at a time and never travel to memory.

Work is divided into directions x chunks of texts, and never by the number of threads; every sum
has a fixed order. Results are equal to the bit for any number of threads, and a text's states are
equal to the bit in any batch.

Layout: `units` is the hidden size, padded with zeros to a multiple of `columns(dtype)`. A row of
gates is (units / lanes, 4, lanes): the four gates of one vector of units lie side by side, so that
a tile of four vectors is all that these units need.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lottery.kernels import lstm_steps as steps
from lottery.kernels.buffers import buffers
from lottery.kernels.lstm_steps import LAST, MAX, MEAN, STATES
from lottery.kernels.vectors import columns, project

_HOW = {"max": MAX, "mean": MEAN, "last": LAST}


# --- layers -----------------------------------------------------------------------------------


def _flat(tensor: Tensor) -> np.ndarray:
    return tensor.detach().reshape(-1).numpy()


def _padded(size: int, dtype: torch.dtype) -> int:
    return -(-size // columns(dtype)) * columns(dtype)


def _pad(tensor: Tensor, *shape: int) -> Tensor:
    """`tensor` at the front corner of zeros (or itself, if it has that shape)."""
    if tuple(tensor.shape) == shape:
        return tensor
    out = tensor.new_zeros(shape)
    out[tuple(slice(size) for size in tensor.shape)] = tensor
    return out


def _gates_first(w: Tensor, units: int) -> Tensor:
    """(4H, K) in torch's order -> (units / lanes, 4, lanes, K)."""
    lanes = columns(w.dtype) // 4
    w = _pad(w.unflatten(0, (4, -1)), 4, units, w.shape[1])
    return w.unflatten(1, (-1, lanes)).transpose(0, 1)


def _gates_last(w: Tensor, hidden: int) -> Tensor:
    """The inverse of `_gates_first`, from (4 units, K)."""
    lanes = columns(w.dtype) // 4
    w = w.reshape(-1, 4, lanes, w.shape[1]).transpose(0, 1).flatten(1, 2)
    return w[:, :hidden].reshape(4 * hidden, -1)


class _Layer(torch.autograd.Function):
    """One layer, all directions; the result is of states (T, D*H) or pooled (B, D*H)."""

    @staticmethod
    def forward(ctx, table, index, offsets, how, *weights):
        dtype = table.dtype
        directions = len(weights) // 4
        w_ih, w_hh, b_ih, b_hh = ([w.detach() for w in weights[k::4]] for k in range(4))
        hidden_size = w_hh[0].shape[1]
        units = _padded(hidden_size, dtype)
        width = 4 * units
        keep = any(ctx.needs_input_grad)
        count, batch, tokens = len(table), len(offsets) - 1, len(index)

        # (..., 4, lanes, K) -> (directions, blocks, K, columns)
        into = torch.stack([_gates_first(w, units) for w in w_ih]).movedim(-1, 2).contiguous()
        round_ = [_gates_first(w, units) for w in w_hh]
        round_ = [_pad(w, *w.shape[:3], units) for w in round_]
        round_ = torch.stack(round_).movedim(-1, 2).contiguous()
        bias = torch.stack(
            [_gates_first((x + y)[:, None], units) for x, y in zip(b_ih, b_hh, strict=True)]
        )
        proj = buffers.lend(count * directions * width, dtype)
        project(_flat(table), table.shape[1], _flat(bias), _flat(into), proj.numpy())

        lengths = np.diff(offsets.numpy())
        order = np.argsort(-lengths, kind="stable")
        chunks = _chunks(batch)
        bases, rows = _bases(lengths[order], chunks, directions, keep)
        gates = buffers.lend(rows[0] * width, dtype)
        cells = buffers.lend(rows[1] * units, dtype)
        hidden = buffers.lend(rows[1] * units, dtype)
        out = torch.empty(tokens if how == STATES else batch, directions, units, dtype=dtype)
        pick = torch.empty(out.shape if how == MAX else (0,), dtype=torch.int32)
        steps.forward(proj.numpy(), index.numpy(), offsets.numpy(), order, bases, keep,
                      _flat(round_), units, directions, how, gates.numpy(), cells.numpy(),
                      hidden.numpy(), _flat(out), _flat(pick))  # fmt: skip
        if keep:
            ctx.save_for_backward(table, index, offsets, gates, cells, hidden, pick, *weights)
            ctx.facts = how, order, bases
        return out[:, :, :hidden_size].flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        table, index, offsets, gates, cells, hidden, pick, *weights = ctx.saved_tensors
        how, order, bases = ctx.facts
        dtype = table.dtype
        directions = len(weights) // 4
        w_ih, w_hh = ([w.detach() for w in weights[k::4]] for k in range(2))
        hidden_size = w_hh[0].shape[1]
        units = _padded(hidden_size, dtype)
        width = 4 * units
        count, size = table.shape
        chunks = bases.shape[1]
        grad = _pad(grad.unflatten(1, (directions, -1)), len(grad), directions, units)

        # (4 units, units) -> (directions, units / columns, 4 units, columns)
        round_ = torch.stack([_pad(_gates_first(w, units).reshape(width, -1), width, units)
                              for w in w_hh])  # fmt: skip
        round_ = round_.unflatten(2, (-1, columns(dtype))).transpose(1, 2).contiguous()
        dproj = buffers.lend(directions * chunks * count * width, dtype)
        seen = np.empty((directions * chunks, count), np.uint8)
        dw_hh = torch.empty(directions, chunks, width, units, dtype=dtype)
        steps.backward(index.numpy(), offsets.numpy(), order, bases, _flat(round_), units,
                       directions, how, gates.numpy(), cells.numpy(), hidden.numpy(), _flat(grad),
                       _flat(pick), dproj.numpy(), seen, _flat(dw_hh))  # fmt: skip

        padded = _padded(size, dtype)
        needs_table = ctx.needs_input_grad[0]
        dtable = torch.empty(count if needs_table else 0, padded, dtype=dtype)
        into = torch.stack([_pad(_gates_first(w, units).reshape(width, -1), width, padded)
                            for w in w_ih])  # fmt: skip
        into = into.unflatten(2, (-1, columns(dtype))).transpose(1, 2).contiguous()
        steps.words_back(dproj.numpy(), seen, directions, width, _flat(into), _flat(dtable))
        dw_ih = torch.empty(directions, width, padded, dtype=dtype)
        db = torch.empty(directions, width, 1, dtype=dtype)
        steps.weights_back(dproj.numpy(), chunks, directions, count, width,
                           _flat(_pad(table.detach(), count, padded)), padded,
                           _flat(dw_ih), _flat(db))  # fmt: skip

        gradients = []
        for d in range(directions):
            total = dw_hh[d, 0]
            for chunk in range(1, chunks):
                total += dw_hh[d, chunk]
            bias = _gates_last(db[d], hidden_size).flatten()
            gradients += [
                _gates_last(dw_ih[d], hidden_size)[:, :size],
                _gates_last(total, hidden_size)[:, :hidden_size],
                bias,
                bias.clone(),
            ]
        return (dtable[:, :size] if needs_table else None, None, None, None, *gradients)


def _chunks(batch: int) -> int:
    """Chunks of texts for each direction: enough for some cores, large enough for full tiles."""
    return min(max(batch // 32, 1), 16)


def _bases(lengths: np.ndarray, chunks: int, directions: int, keep: bool):
    """First rows of every (direction, chunk) in `gates` and in `cells`/`hidden`; rows in all."""
    rows = np.array([len(lengths[k::chunks]) for k in range(chunks)])
    tokens = np.array([lengths[k::chunks].sum() for k in range(chunks)])
    # One step more than there are tokens: the state before the first one.
    need = np.stack([tokens, tokens + rows] if keep else [rows, 2 * rows], axis=1)
    need = np.tile(need, (directions, 1))
    ends = np.cumsum(need, axis=0)
    return (ends - need).reshape(directions, chunks, 2), (int(ends[-1, 0]), int(ends[-1, 1]))


# --- what others call -------------------------------------------------------------------------

Layers = Sequence[Sequence[Sequence[Tensor]]]


def lstm_pooled(table: Tensor, index: Tensor, offsets: Tensor, layers: Layers, how: str) -> Tensor:
    """An LSTM's states, layers one upon the other, pooled over each text of a ragged batch.

    table: (U, E) float32 or float64, one row for each different word; index: int32 (T,), the row
    of each token; offsets: int64 (B+1,), text b is the tokens offsets[b] to offsets[b+1], at least
    one; layers: for each layer, for each of its one or two directions, w_ih (4H, in), w_hh (4H, H),
    b_ih (4H,), b_hh (4H,) as in torch.nn.LSTM (gates i, f, g, o).
    how: "max", "mean", or "last": the last state of each direction's walk, which for the backward
    direction is the one at the text's first token. Of equal maxima the walk's first one gets the
    gradient.

    Returns (B, D*H), the directions side by side. Differentiable (once) in the table and the
    weights. Raises ValueError for wrong shapes and types and empty texts.
    """
    return run(table, index, offsets, layers, _code(how))


def run(table: Tensor, index: Tensor, offsets: Tensor, layers: Layers, how: int) -> Tensor:
    """The same for a code of `lstm_steps`; of STATES: (T, D*H), in the order of the texts."""
    if table.dim() != 2 or not len(table):
        raise ValueError(f"table must be (words, features) with a word at least, not {_is(table)}")
    _check_type("table", table, None)
    if index.dim() != 1 or index.dtype != torch.int32 or index.device.type != "cpu":
        raise ValueError(f"index must be int32 (tokens,) on the CPU, not {_is(index)}")
    _check_offsets(offsets, len(index))
    if index.min() < 0 or index.max() >= len(table):
        raise ValueError(f"index must lie in 0..{len(table) - 1}, the rows of the table")
    if not layers:
        raise ValueError("layers must hold a layer at least")
    features = table.shape[1]
    for number, layer in enumerate(layers):
        if len(layer) not in (1, 2):
            raise ValueError(f"layer {number} must have one or two directions, not {len(layer)}")
        hidden = layer[0][1].shape[-1]
        shapes = ((4 * hidden, features), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,))
        for direction in layer:
            for name, shape, weight in zip(
                ("w_ih", "w_hh", "b_ih", "b_hh"), shapes, direction, strict=True
            ):
                if tuple(weight.shape) != shape:
                    raise ValueError(f"layer {number}: {name} must be {shape}, not {_is(weight)}")
                _check_type(f"layer {number}: {name}", weight, table.dtype)
        features = hidden * len(layer)
    index, offsets = index.contiguous(), offsets.contiguous()
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        weights = [weight for direction in layer for weight in direction]
        if not torch.is_grad_enabled():  # a Function sees who requires a gradient, not the mode
            table, *weights = (tensor.detach() for tensor in (table, *weights))
        table = _Layer.apply(table.contiguous(), index, offsets, how if last else STATES, *weights)
        index = torch.arange(len(index), dtype=torch.int32)
    return table


def _is(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device.type}"


def _code(how: str) -> int:
    if how not in _HOW:
        raise ValueError(f"how must be one of {', '.join(_HOW)}, not {how!r}")
    return _HOW[how]


def _check_type(name: str, tensor: Tensor, dtype: torch.dtype | None) -> None:
    allowed = (torch.float32, torch.float64) if dtype is None else (dtype,)
    if tensor.dtype not in allowed or tensor.device.type != "cpu":
        names = " or ".join(str(kind) for kind in allowed)
        raise ValueError(f"{name} must be {names} on the CPU, not {_is(tensor)}")


def _check_offsets(offsets: Tensor, tokens: int) -> None:
    if offsets.dim() != 1 or offsets.dtype != torch.int64 or offsets.device.type != "cpu":
        raise ValueError(f"offsets must be int64 (texts + 1,) on the CPU, not {_is(offsets)}")
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != tokens:
        raise ValueError(f"offsets must run from 0 to the {tokens} tokens over a text at least")
    if (offsets.diff() < 1).any():
        raise ValueError("offsets: every text must have a token at least")
