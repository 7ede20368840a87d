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
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from lottery.kernels.buffers import buffers
from lottery.kernels.vectors import (
    DEPTH,
    ROWS,
    WORDS,
    cell,
    cell_back,
    columns,
    give_max,
    lanes_of,
    project,
    sweep,
    take_max,
    tiles,
)

_STATES, _MAX, _MEAN, _LAST = range(4)
_HOW = {"max": _MAX, "mean": _MEAN, "last": _LAST}


# --- kernels ----------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _forward_chunk(direction, directions, chunk, chunks, proj, index, offsets, order, g, h, keep,
                   weights, units, how, gates, cells, hidden, out, pick):  # fmt: skip
    """Walk the texts order[chunk::chunks] in one direction.

    g, h: the chunk's first row of `gates` and of `cells` and `hidden`. keep: rows of all steps
    follow one another (for the backward pass); else a step takes the place of the last but one.
    """
    lanes = lanes_of(proj)
    columns, width = 4 * lanes, 4 * units
    rows = (len(order) - chunk + chunks - 1) // chunks
    sweep("zero", rows * units, hidden, h * units, hidden, 0, 0)
    sweep("zero", rows * units, cells, h * units, cells, 0, 0)
    home = h
    alive = rows
    step = 0
    while True:
        while alive > 0:
            text = order[chunk + (alive - 1) * chunks]
            if offsets[text + 1] - offsets[text] > step:
                break
            alive -= 1
        if alive == 0:
            break
        after = h + alive if keep else 2 * home + rows - h
        for r in range(alive):
            text = order[chunk + r * chunks]
            token = offsets[text] + step if direction == 0 else offsets[text + 1] - 1 - step
            word = (index[token] * directions + direction) * width
            # All of a row at once, and before the products: its way from memory is not waited for.
            sweep("copy", width, gates, (g + r) * width, proj, word, 0)
        pieces = (alive + ROWS - 1) // ROWS
        for block in range(units // lanes):
            start = (direction * (units // lanes) + block) * units * columns
            for piece in range(pieces):
                first = alive * piece // pieces
                last = alive * (piece + 1) // pieces
                tiles(last - first, gates, (g + first) * width + block * columns, width,
                       hidden, (h + first) * units, units, 1,
                       weights, start, columns, units)  # fmt: skip
                for r in range(first, last):
                    place = (after + r) * units + block * lanes
                    cell(gates, (g + r) * width + block * columns, cells,
                          (h + r) * units + block * lanes, place, hidden, place)  # fmt: skip
        for r in range(alive):
            text = order[chunk + r * chunks]
            x = (after + r) * units
            if how == _STATES:
                token = offsets[text] + step if direction == 0 else offsets[text + 1] - 1 - step
                y = (token * directions + direction) * units
                sweep("copy", units, out, y, hidden, x, 0)
                continue
            y = (text * directions + direction) * units
            last = offsets[text + 1] - offsets[text] - 1
            if how == _MAX:
                if step == 0:
                    for k in range(y, y + units):
                        out[k] = -np.inf
                take_max(units, out, pick, y, hidden, x, step)
            elif how == _MEAN:
                if step == 0:
                    sweep("zero", units, out, y, hidden, x, 0)
                sweep("add", units, out, y, hidden, x, 1 / (last + 1))
            elif step == last:
                sweep("copy", units, out, y, hidden, x, 0)
        if keep:
            g += alive
        h = after
        step += 1


@njit(parallel=True, cache=True, nogil=True)
def _forward(proj, index, offsets, order, bases, keep, weights, units, directions, how, gates,
             cells, hidden, out, pick):  # fmt: skip
    chunks = bases.shape[1]
    for task in prange(directions * chunks):
        direction, chunk = task // chunks, task % chunks
        _forward_chunk(direction, directions, chunk, chunks, proj, index, offsets, order,
                       bases[direction, chunk, 0], bases[direction, chunk, 1], keep, weights,
                       units, how, gates, cells, hidden, out, pick)  # fmt: skip


@njit(cache=True, nogil=True)
def _backward_chunk(direction, directions, chunk, chunks, index, offsets, order, g, h, weights,
                    units, how, gates, cells, hidden, grad, pick, dproj, seen, dw):  # fmt: skip
    """Walk the chunk's texts back; see `_forward_chunk`.

    dproj (directions, chunks, U, 4 units): sums of the gates' gradients over a word's tokens;
    rows of words that the chunk does not hold are left as they are, and `seen` is 0.
    dw (directions, chunks, 4 units, units): the chunk's part of the gradient of w_hh.
    """
    lanes = lanes_of(gates)
    columns, width = 4 * lanes, 4 * units
    task = direction * chunks + chunk
    rows = (len(order) - chunk + chunks - 1) // chunks
    stride = width + lanes  # off a power of two: columns would share the cache's few sets
    capacity = DEPTH + rows
    dgates = np.empty(capacity * stride, gates.dtype)
    dh = np.zeros(rows * units, gates.dtype)
    dc = np.zeros(rows * units, gates.dtype)
    different = seen.shape[1]
    for word in range(different):
        seen[task, word] = 0
    part = task * width * units
    sweep("zero", width * units, dw, part, dw, part, 0)
    tokens = 0
    for r in range(rows):
        text = order[chunk + r * chunks]
        tokens += offsets[text + 1] - offsets[text]
    longest = offsets[order[chunk] + 1] - offsets[order[chunk]]
    alive = 0
    at = tokens  # first row of the step
    until = tokens  # rows from here on have given their part to dw
    for step in range(longest - 1, -1, -1):
        while alive < rows:
            text = order[chunk + alive * chunks]
            if offsets[text + 1] - offsets[text] <= step:
                break
            alive += 1
        at -= alive
        here = (capacity - (until - at)) * stride
        for r in range(alive):
            text = order[chunk + r * chunks]
            length = offsets[text + 1] - offsets[text]
            token = offsets[text] + step if direction == 0 else offsets[text + 1] - 1 - step
            x = r * units
            if how == _STATES:
                y = (token * directions + direction) * units
                sweep("add", units, dh, x, grad, y, 1)
            else:
                y = (text * directions + direction) * units
                if how == _MAX:
                    give_max(units, grad, pick, y, dh, x, step)
                elif how == _MEAN:
                    sweep("add", units, dh, x, grad, y, 1 / length)
                elif step == length - 1:
                    sweep("add", units, dh, x, grad, y, 1)
            for block in range(units // lanes):
                cell_back(gates, (g + at + r) * width + block * columns,
                           cells, (h + at + r) * units + block * lanes,
                           dh, dc, x + block * lanes,
                           dgates, here + r * stride + block * columns)  # fmt: skip
            word = index[token]
            y = (task * different + word) * width
            z = here + r * stride
            if seen[task, word]:
                sweep("add", width, dproj, y, dgates, z, 1)
            else:
                seen[task, word] = 1
                sweep("copy", width, dproj, y, dgates, z, 0)
        if step > 0:
            sweep("zero", alive * units, dh, 0, dh, 0, 0)
            for block in range(units // columns):
                for first in range(0, width, DEPTH):
                    depth = min(DEPTH, width - first)
                    start = (direction * (units // columns) + block) * width * columns
                    tiles(alive, dh, block * columns, units, dgates, here + first, stride, 1,
                           weights, start + first * columns, columns, depth)  # fmt: skip
        if until - at >= DEPTH or step == 0:
            for block in range(units // columns):
                tiles(width, dw, part + block * columns, units, dgates, here, 1, stride,
                       hidden, (h + at) * units + block * columns, units, until - at)  # fmt: skip
            until = at


@njit(parallel=True, cache=True, nogil=True)
def _backward(index, offsets, order, bases, weights, units, directions, how, gates, cells, hidden,
              grad, pick, dproj, seen, dw):  # fmt: skip
    chunks = bases.shape[1]
    for task in prange(directions * chunks):
        direction, chunk = task // chunks, task % chunks
        _backward_chunk(direction, directions, chunk, chunks, index, offsets, order,
                        bases[direction, chunk, 0], bases[direction, chunk, 1], weights, units,
                        how, gates, cells, hidden, grad, pick, dproj, seen, dw)  # fmt: skip


@njit(parallel=True, cache=True, nogil=True)
def _words_back(dproj, seen, directions, width, weights, dtable):
    """Sum dproj over the chunks, into chunk 0; dtable (U, size) = dproj @ w_ih unless empty.

    weights (directions, size / columns, width, columns); size is a multiple of columns.
    """
    columns = 4 * lanes_of(dproj)
    chunks, different = seen.shape[0] // directions, seen.shape[1]
    size = len(dtable) // different
    for piece in prange((different + WORDS - 1) // WORDS):
        begin = piece * WORDS
        end = min(begin + WORDS, different)
        if size > 0:
            sweep("zero", (end - begin) * size, dtable, begin * size, dtable, 0, 0)
        for direction in range(directions):
            for word in range(begin, end):
                x = (direction * chunks * different + word) * width
                fresh = seen[direction * chunks, word] == 0
                for chunk in range(1, chunks):
                    task = direction * chunks + chunk
                    if seen[task, word]:
                        y = (task * different + word) * width
                        if fresh:
                            sweep("copy", width, dproj, x, dproj, y, 0)
                        else:
                            sweep("add", width, dproj, x, dproj, y, 1)
                        fresh = False
                if fresh:
                    sweep("zero", width, dproj, x, dproj, x, 0)
            for block in range(size // columns):
                for first in range(0, width, DEPTH):
                    depth = min(DEPTH, width - first)
                    start = (direction * (size // columns) + block) * width * columns
                    tiles(end - begin, dtable, begin * size + block * columns, size,
                           dproj, (direction * chunks * different + begin) * width + first, width,
                           1, weights, start + first * columns, columns, depth)  # fmt: skip


@njit(parallel=True, cache=True, nogil=True)
def _weights_back(dproj, chunks, directions, different, width, table, size, dw, db):
    """dw (directions, width, size) = dproj.T @ table and db (directions, width) = sum of dproj.

    dproj: chunk 0, as `_words_back` leaves it. size is a multiple of columns.
    """
    columns = 4 * lanes_of(dproj)
    pieces = width // columns
    for task in prange(directions * pieces):
        direction, left = task // pieces, task % pieces * columns
        stride = columns + columns // 4
        slab = np.empty(DEPTH * stride, dproj.dtype)
        goal = direction * width + left
        sweep("zero", columns * size, dw, goal * size, dw, 0, 0)
        sweep("zero", columns, db, goal, db, 0, 0)
        for begin in range(0, different, DEPTH):
            depth = min(DEPTH, different - begin)
            for row in range(depth):
                x = (direction * chunks * different + begin + row) * width + left
                sweep("copy", columns, slab, row * stride, dproj, x, 0)
                sweep("add", columns, db, goal, dproj, x, 1)
            for block in range(size // columns):
                tiles(columns, dw, goal * size + block * columns, size, slab, 0, 1, stride,
                       table, begin * size + block * columns, size, depth)  # fmt: skip


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
                    if how == _MEAN:
                        out[text, direction, k] += x
                    elif how == _MAX and step > 0:
                        if not x <= out[text, direction, k]:
                            out[text, direction, k] = x
                            pick[text, direction, k] = token
                    else:
                        out[text, direction, k] = x
                        pick[text, direction, k] = token
            if how == _MEAN:
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
                    if how == _MEAN:
                        dstates[token, direction, k] = x / (last - first)
                    else:
                        picked = pick[text, direction, k] == token
                        dstates[token, direction, k] = x if picked else 0


# --- memory -----------------------------------------------------------------------------------


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
        out = torch.empty(tokens if how == _STATES else batch, directions, units, dtype=dtype)
        pick = torch.empty(out.shape if how == _MAX else (0,), dtype=torch.int32)
        _forward(proj.numpy(), index.numpy(), offsets.numpy(), order, bases, keep, _flat(round_),
                 units, directions, how, gates.numpy(), cells.numpy(), hidden.numpy(),
                 _flat(out), _flat(pick))  # fmt: skip
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
        _backward(index.numpy(), offsets.numpy(), order, bases, _flat(round_), units, directions,
                  how, gates.numpy(), cells.numpy(), hidden.numpy(), _flat(grad), _flat(pick),
                  dproj.numpy(), seen, _flat(dw_hh))  # fmt: skip

        padded = _padded(size, dtype)
        needs_table = ctx.needs_input_grad[0]
        dtable = torch.empty(count if needs_table else 0, padded, dtype=dtype)
        into = torch.stack([_pad(_gates_first(w, units).reshape(width, -1), width, padded)
                            for w in w_ih])  # fmt: skip
        into = into.unflatten(2, (-1, columns(dtype))).transpose(1, 2).contiguous()
        _words_back(dproj.numpy(), seen, directions, width, _flat(into), _flat(dtable))
        dw_ih = torch.empty(directions, width, padded, dtype=dtype)
        db = torch.empty(directions, width, 1, dtype=dtype)
        _weights_back(dproj.numpy(), chunks, directions, count, width,
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


# --- what others call -------------------------------------------------------------------------

Layers = Sequence[Sequence[Sequence[Tensor]]]


def lstm(table: Tensor, index: Tensor, offsets: Tensor, layers: Layers) -> Tensor:
    """States of an LSTM, layers one upon the other, for every token of a ragged batch.

    table: (U, E) float32 or float64, one row for each different word; index: int32 (T,), the row
    of each token; offsets: int64 (B+1,), text b is the tokens offsets[b] to offsets[b+1], at least
    one; layers: for each layer, for each of its one or two directions, w_ih (4H, in), w_hh (4H, H),
    b_ih (4H,), b_hh (4H,) as in torch.nn.LSTM (gates i, f, g, o).

    Returns (T, D*H) in the order of the texts, the directions side by side. Differentiable (once)
    in the table and the weights. Raises ValueError for wrong shapes and types and empty texts.
    """
    return _run(table, index, offsets, layers, _STATES)


def lstm_pooled(table: Tensor, index: Tensor, offsets: Tensor, layers: Layers, how: str) -> Tensor:
    """`pool(lstm(...), ...)` without the states ever being written: (B, D*H)."""
    return _run(table, index, offsets, layers, _code(how))


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


def _run(table: Tensor, index: Tensor, offsets: Tensor, layers: Layers, how: int) -> Tensor:
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
        table = _Layer.apply(table.contiguous(), index, offsets, how if last else _STATES, *weights)
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
