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
  - Of a pruned matrix only the kept weights are multiplied (`sparse`), where the mask leaves few
    enough. States and the gradients of states and words are the same bits as with zeros in the
    dense kernels; those of the kept weights agree to rounding.
  - The next step's words are on their way from memory while this step computes.
  - Where no gradient is asked for, texts of like length go together, and the states of a pruned
    layer stay as its products want them (`turned`).

Work is divided into directions x chunks of texts, and never by the number of threads; every sum
has a fixed order. Results are equal to the bit for any number of threads, and a text's states are
equal to the bit in any batch.

Layout: `units` is the hidden size, padded with zeros to a multiple of `columns(dtype)`. A row of
gates is (units / lanes, 4, lanes): the four gates of one vector of units lie side by side, so that
a tile of four vectors is all that these units need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from lottery.kernels import lstm_steps as steps
from lottery.kernels.buffers import buffers
from lottery.kernels.cells import LAST, MAX, MEAN, STATES
from lottery.kernels.packing import (
    Kept,
    flat,
    gates_last,
    packed,
    packed_back,
    pad,
    padded,
)
from lottery.kernels.sparse import NOTHING, WIDE
from lottery.kernels.vectors import columns, project

_HOW = {"max": MAX, "mean": MEAN, "last": LAST}


class LayerKept(NamedTuple):
    """Which weights of a layer remain; see `packing.Kept`."""

    into: Kept  # of w_ih
    round_: Kept  # of w_hh


def patterns(masks: Sequence[Sequence[Sequence[Tensor | None]]], dtype: torch.dtype):
    """For each layer, from the masks of w_ih and w_hh of its directions (None: a whole matrix).

    Made once for a training: it holds places alone, and the weights are read at every step.
    """
    out = []
    for layer in masks:
        kinds = [
            None if any(m is None for m in kind) else kind for kind in zip(*layer, strict=True)
        ]
        out.append(LayerKept(Kept(kinds[0], dtype), Kept(kinds[1], dtype, recurrent=True)))
    return out


class _Layer(torch.autograd.Function):
    """One layer, all directions; the result is of states (T, D*H) or pooled (B, D*H)."""

    @staticmethod
    def forward(ctx, table, index, offsets, how, kept, *weights):
        dtype = table.dtype
        directions = len(weights) // 4
        w_ih, w_hh, b_ih, b_hh = ([w.detach() for w in weights[k::4]] for k in range(4))
        hidden_size = w_hh[0].shape[1]
        units = padded(hidden_size, dtype)
        width = 4 * units
        keep = any(ctx.needs_input_grad)
        count, batch, tokens = len(table), len(offsets) - 1, len(index)

        bias = packed([(x + y)[:, None] for x, y in zip(b_ih, b_hh, strict=True)], units, 1)
        proj = buffers.lend(count * directions * width, dtype)
        wide = padded(table.shape[1], dtype)
        words = pad(table.detach(), count, wide) if keep or kept.into else None
        if kept.into:
            some = kept.into.now(kept.into.forth, w_ih)
            steps.project_kept(flat(words), wide, flat(bias), directions, some, proj.numpy())
        else:
            into = packed(w_ih, units, table.shape[1])
            project(flat(table), table.shape[1], flat(bias), flat(into), proj.numpy())
        least = kept.round_.least
        whole = packed(w_hh, units, units) if least > 1 else table.new_empty(0)
        few = batch < least  # then no step is sparse
        some = kept.round_.now(NOTHING if few else kept.round_.forth, w_hh)

        lengths = np.diff(offsets.numpy())
        order = np.argsort(-lengths, kind="stable")
        chunks = _chunks(batch)
        if not keep:
            chunks = _chunks_of_answers(batch, dtype)
            order = _alike(order, chunks)
        bases, rows = _bases(lengths[order], chunks, directions, keep)
        gates = buffers.lend(rows[0] * width, dtype)
        cells = buffers.lend(rows[1] * units, dtype)
        hidden = buffers.lend(rows[1] * units, dtype)
        out = torch.empty(tokens if how == STATES else batch, directions, units, dtype=dtype)
        pick = torch.empty(out.shape if how == MAX else (0,), dtype=torch.int32)
        steps.forward(proj.numpy(), index.numpy(), offsets.numpy(), order, bases, keep,
                      flat(whole), some, least, units, directions, how, gates.numpy(),
                      cells.numpy(), hidden.numpy(), flat(out), flat(pick))  # fmt: skip
        if keep:
            ctx.save_for_backward(
                table, words, index, offsets, gates, cells, hidden, pick, *weights
            )
            ctx.facts = how, kept, order, bases
        return out[:, :, :hidden_size].flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        table, words, index, offsets, gates, cells, hidden, pick, *weights = ctx.saved_tensors
        how, kept, order, bases = ctx.facts
        dtype = table.dtype
        directions = len(weights) // 4
        w_ih, w_hh = ([w.detach() for w in weights[k::4]] for k in range(2))
        hidden_size = w_hh[0].shape[1]
        units = padded(hidden_size, dtype)
        width = 4 * units
        count, size = table.shape
        chunks = bases.shape[1]
        grad = pad(grad.unflatten(1, (directions, -1)), len(grad), directions, units)

        least = kept.round_.least
        whole = packed_back(w_hh, units, units) if least > 1 else table.new_empty(0)
        some = kept.round_.now(kept.round_.back, w_hh)
        dproj = buffers.lend(directions * chunks * count * width, dtype)
        seen = np.empty((directions * chunks, count), np.uint8)
        if kept.round_:
            dw_hh = torch.empty(chunks, len(kept.round_.forth.places), dtype=dtype)
        else:
            dw_hh = torch.empty(directions, chunks, width, units, dtype=dtype)
        steps.backward(index.numpy(), offsets.numpy(), order, bases, flat(whole), some, least,
                       kept.round_.forth[:3], units, directions, how, gates.numpy(),
                       cells.numpy(), hidden.numpy(), flat(grad), flat(pick), dproj.numpy(),
                       seen, flat(dw_hh))  # fmt: skip

        wide = padded(size, dtype)
        needs_table = ctx.needs_input_grad[0]
        dtable = torch.empty(count if needs_table else 0, wide, dtype=dtype)
        whole = table.new_empty(0) if kept.into else packed_back(w_ih, units, wide)
        some = kept.into.now(kept.into.back, w_ih)
        steps.words_back(dproj.numpy(), seen, directions, width, flat(whole), some, flat(dtable))
        db = torch.empty(directions, width, 1, dtype=dtype)
        if kept.into:
            sums = torch.empty(1, len(kept.into.forth.places), dtype=dtype)
            steps.weights_back_kept(dproj.numpy(), chunks, directions, count, width, flat(words),
                                    wide, kept.into.forth[:3], flat(sums), flat(db))  # fmt: skip
            into = kept.into.gradients(sums, w_ih)
        else:
            dw_ih = torch.empty(directions, width, wide, dtype=dtype)
            steps.weights_back(dproj.numpy(), chunks, directions, count, width, flat(words), wide,
                               flat(dw_ih), flat(db))  # fmt: skip
            into = [gates_last(dw, hidden_size)[:, :size] for dw in dw_ih]
        if kept.round_:
            round_ = kept.round_.gradients(dw_hh, w_hh)
        else:
            for chunk in range(1, chunks):
                dw_hh[:, 0] += dw_hh[:, chunk]
            round_ = [gates_last(dw, hidden_size)[:, :hidden_size] for dw in dw_hh[:, 0]]

        gradients = []
        for d in range(directions):
            bias = gates_last(db[d], hidden_size).flatten()
            gradients += [into[d], round_[d], bias, bias.clone()]
        return (dtable[:, :size] if needs_table else None, *[None] * 4, *gradients)


def _chunks(batch: int) -> int:
    """Chunks of texts for each direction: enough for some cores, large enough for full tiles."""
    return min(max(batch // 32, 1), 16)


def _chunks_of_answers(batch: int, dtype: torch.dtype) -> int:
    """The same where nothing is kept: as large as `turned.walk` takes them, where four are.

    Only sums of a backward pass go over texts, so that these chunks change no bit.
    """
    most = WIDE * columns(dtype) // 4
    return -(-batch // (most if batch >= 4 * most else min(32, most)))


def _alike(order: np.ndarray, chunks: int) -> np.ndarray:
    """Texts, longest first, in another order: each chunk order[k::chunks] has like lengths.

    Few rows then live on alone, so that vectors and tiles are full. Chunks of long and of short
    texts alternate: threads that have some chunks side by side have equal work.
    """
    number = np.arange(chunks)
    rank = np.where(number % 2 == 0, number // 2, chunks - 1 - number // 2)
    out = np.empty_like(order)
    start = 0
    for chunk in np.argsort(rank):
        places = out[chunk::chunks]
        places[:] = order[start : start + len(places)]
        start += len(places)
    return out


@njit(cache=True, nogil=True)
def _bases(lengths, chunks, directions, keep):
    """First rows of every (direction, chunk) in `gates` and in `cells`/`hidden`; rows in all.

    lengths: int64 (B,), in the walk's order. Gives int64 (directions, chunks, 2), and two numbers.
    """
    bases = np.empty((directions, chunks, 2), np.int64)
    gates = cells = 0
    for direction in range(directions):
        for chunk in range(chunks):
            bases[direction, chunk, 0], bases[direction, chunk, 1] = gates, cells
            rows = (len(lengths) - chunk + chunks - 1) // chunks
            if keep:  # one step more than there are tokens: the state before the first one
                tokens = 0
                for text in range(chunk, len(lengths), chunks):
                    tokens += lengths[text]
                gates, cells = gates + tokens, cells + tokens + rows
            else:
                gates, cells = gates + rows, cells + 2 * rows
    return bases, (gates, cells)


# --- what others call -------------------------------------------------------------------------

Layers = Sequence[Sequence[Sequence[Tensor]]]


def lstm_pooled(
    table: Tensor,
    index: Tensor,
    offsets: Tensor,
    layers: Layers,
    how: str,
    kept: Sequence[LayerKept] | None = None,
) -> Tensor:
    """An LSTM's states, layers one upon the other, pooled over each text of a ragged batch.

    table: (U, E) float32 or float64, one row for each different word; index: int32 (T,), the row
    of each token; offsets: int64 (B+1,), text b is the tokens offsets[b] to offsets[b+1], at least
    one; layers: for each layer, for each of its one or two directions, w_ih (4H, in), w_hh (4H, H),
    b_ih (4H,), b_hh (4H,) as in torch.nn.LSTM (gates i, f, g, o).
    how: "max", "mean", or "last": the last state of each direction's walk, which for the backward
    direction is the one at the text's first token. Of equal maxima the walk's first one gets the
    gradient. kept: `patterns` of masks; what they prune counts as zero and gets no gradient.

    Returns (B, D*H), the directions side by side. Differentiable (once) in the table and the
    weights. Raises ValueError for wrong shapes and types and empty texts.
    """
    return run(table, index, offsets, layers, _code(how), kept)


def run(
    table: Tensor,
    index: Tensor,
    offsets: Tensor,
    layers: Layers,
    how: int,
    kept: Sequence[LayerKept] | None = None,
) -> Tensor:
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
    kept = kept or [LayerKept(Kept(None, table.dtype), Kept(None, table.dtype))] * len(layers)
    for number, (layer, (into, round_)) in enumerate(zip(layers, kept, strict=True)):
        w_ih, w_hh, *_ = zip(*layer, strict=True)
        if not (into.fits(w_ih) and round_.fits(w_hh)):
            raise ValueError(f"layer {number}: kept is of weights of other shapes or another type")
        last = number == len(layers) - 1
        weights = [weight for direction in layer for weight in direction]
        if not torch.is_grad_enabled():  # a Function sees who requires a gradient, not the mode
            table, *weights = (tensor.detach() for tensor in (table, *weights))
        table = _Layer.apply(
            table.contiguous(), index, offsets, how if last else STATES, kept[number], *weights
        )
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
