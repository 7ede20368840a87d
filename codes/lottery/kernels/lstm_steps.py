"""The LSTM's walks over a ragged batch: loops over steps, chunks of texts and directions.

See `recurrence` for the equations, the layout of the arrays and what the loops promise.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from lottery.kernels.cells import (
    MAX,
    MEAN,
    STATES,
    cell_back,
    gates_and_cell,
    give_max,
    state,
    take_max,
    together,
)
from lottery.kernels.denormals import flush_denormals, restore
from lottery.kernels.sparse import collect, multiply
from lottery.kernels.turned import place_of, walk
from lottery.kernels.vectors import DEPTH, ROWS, WORDS, fetch, lanes_of, sweep, tiles


@njit(cache=True, nogil=True)
def _forward_chunk(direction, directions, chunk, chunks, proj, index, offsets, order, g, h, keep,
                   weights, kept, least, units, how, gates, cells, hidden, out, pick):  # fmt: skip
    """Walk the texts order[chunk::chunks] in one direction.

    kept: `packing.Kept.now` of w_hh, which counts in steps of `least` rows or more, else `weights`.

    g, h: the chunk's first row of `gates` and of `cells` and `hidden`. keep: rows of all steps
    follow one another (for the backward pass); else a step takes the place of the last but one.
    """
    lanes = lanes_of(proj)
    columns, width, many = 4 * lanes, 4 * units, together(proj)
    rows = (len(order) - chunk + chunks - 1) // chunks
    home = h
    ahead = np.empty(rows, np.int64)  # where the next step's words are
    alive = rows
    step = 0
    if rows >= least and not keep and how != STATES:
        step = walk(direction, directions, chunk, chunks, proj, index, offsets, order, h, kept,
                    least, units, how, cells, hidden, out)  # fmt: skip
    else:
        sweep("zero", rows * units, hidden, h * units, hidden, 0, 0)
        sweep("zero", rows * units, cells, h * units, cells, 0, 0)
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
            word = place_of(index, offsets, text, step, direction, directions, width)
            # All of a row at once, and before the products: its way from memory is not waited for.
            sweep("copy", width, gates, (g + r) * width, proj, word, 0)
            ahead[r] = place_of(index, offsets, text, step + 1, direction, directions, width)
        if alive >= least:
            multiply(alive, gates, g * width, width, hidden, h * units, units, units, kept,
                     direction, width, proj[:0])  # fmt: skip
            for r in range(alive):
                for k in range(0, units, lanes):
                    fetch(proj, ahead[r] + 4 * k)
                    gates_and_cell(True, gates, (g + r) * width + 4 * k, lanes, cells,
                                   (h + r) * units + k, (after + r) * units + k)  # fmt: skip
        else:
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
                        left = block * columns
                        fetch(proj, ahead[r] + left)
                        gates_and_cell(True, gates, (g + r) * width + left, lanes, cells,
                                       (h + r) * units + block * lanes,
                                       (after + r) * units + block * lanes)  # fmt: skip
        for r in range(alive):
            for k in range(0, units, many * lanes):
                place = (after + r) * units + k
                state(gates, (g + r) * width + 4 * k + 3 * lanes, columns, cells, place,
                      hidden, place, lanes)  # fmt: skip
        for r in range(alive):
            text = order[chunk + r * chunks]
            x = (after + r) * units
            if how == STATES:
                token = offsets[text] + step if direction == 0 else offsets[text + 1] - 1 - step
                y = (token * directions + direction) * units
                sweep("copy", units, out, y, hidden, x, 0)
                continue
            y = (text * directions + direction) * units
            last = offsets[text + 1] - offsets[text] - 1
            if how == MAX:
                if step == 0:
                    for k in range(y, y + units):
                        out[k] = -np.inf
                if keep:
                    take_max(units, out, pick, y, hidden, x, step)
                else:
                    sweep("max", units, out, y, hidden, x, 0)
            elif how == MEAN:
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
def forward(proj, index, offsets, order, bases, keep, weights, kept, least,
            units, directions, how, gates, cells, hidden, out, pick):  # fmt: skip
    chunks = bases.shape[1]
    for task in prange(directions * chunks):
        before = flush_denormals()
        direction, chunk = task // chunks, task % chunks
        _forward_chunk(direction, directions, chunk, chunks, proj, index, offsets, order,
                       bases[direction, chunk, 0], bases[direction, chunk, 1], keep, weights,
                       kept, least, units, how, gates, cells, hidden, out,
                       pick)  # fmt: skip
        restore(before)


@njit(cache=True, nogil=True)
def _backward_chunk(direction, directions, chunk, chunks, index, offsets, order, g, h, weights,
                    kept, least, places, units, how, gates, cells, hidden, grad, pick, dproj, seen,
                    dw):  # fmt: skip
    """Walk the chunk's texts back; see `_forward_chunk`.

    dproj (directions, chunks, U, 4 units): sums of the gates' gradients over a word's tokens;
    rows of words that the chunk does not hold are left as they are, and `seen` is 0.
    dw (directions, chunks, 4 units, units): the chunk's part of the gradient of w_hh.
    kept: of w_hh transposed, see `_forward_chunk`; places: (outputs, firsts, inputs) of w_hh, by
    which dw is then laid out (chunks, kept weights).
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
    sparse = len(kept[0]) > 0
    part = task * width * units
    sums = dw[0:0]
    if sparse:
        # All directions' weights of a chunk, then the next chunk's.
        firsts = places[1]
        sums = dw[chunk * firsts[-1] : (chunk + 1) * firsts[-1]]
        sums[firsts[direction * width] : firsts[(direction + 1) * width]] = 0
    else:
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
            if how == STATES:
                y = (token * directions + direction) * units
                sweep("add", units, dh, x, grad, y, 1)
            else:
                y = (text * directions + direction) * units
                if how == MAX:
                    give_max(units, grad, pick, y, dh, x, step)
                elif how == MEAN:
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
            if alive >= least:
                multiply(alive, dh, 0, units, dgates, here, stride, width, kept, direction,
                         units, dh[:0])  # fmt: skip
            for block in range(0 if alive >= least else units // columns):
                for first in range(0, width, DEPTH):
                    depth = min(DEPTH, width - first)
                    start = (direction * (units // columns) + block) * width * columns
                    tiles(alive, dh, block * columns, units, dgates, here + first, stride, 1,
                           weights, start + first * columns, columns, depth)  # fmt: skip
        if until - at >= DEPTH or step == 0:
            if sparse:
                collect(until - at, sums, dgates, here, stride, hidden, (h + at) * units, units,
                        units, places, direction * width, 0, width)  # fmt: skip
            for block in range(0 if sparse else units // columns):
                tiles(width, dw, part + block * columns, units, dgates, here, 1, stride,
                       hidden, (h + at) * units + block * columns, units, until - at)  # fmt: skip
            until = at


@njit(parallel=True, cache=True, nogil=True)
def backward(index, offsets, order, bases, weights, kept, least, places,
             units, directions, how, gates, cells, hidden, grad, pick,
             dproj, seen, dw):  # fmt: skip
    chunks = bases.shape[1]
    for task in prange(directions * chunks):
        before = flush_denormals()
        direction, chunk = task // chunks, task % chunks
        _backward_chunk(direction, directions, chunk, chunks, index, offsets, order,
                        bases[direction, chunk, 0], bases[direction, chunk, 1], weights,
                        kept, least, places, units, how, gates, cells, hidden, grad, pick, dproj,
                        seen, dw)  # fmt: skip
        restore(before)


@njit(parallel=True, cache=True, nogil=True)
def words_back(dproj, seen, directions, width, weights, kept, dtable):
    """Sum dproj over the chunks, into chunk 0; dtable (U, size) = dproj @ w_ih unless empty.

    weights (directions, size / columns, width, columns); size is a multiple of columns. kept:
    of w_ih transposed, as in `_forward_chunk`.
    """
    columns = 4 * lanes_of(dproj)
    chunks, different = seen.shape[0] // directions, seen.shape[1]
    size = len(dtable) // different
    sparse = len(kept[0]) > 0
    for piece in prange((different + WORDS - 1) // WORDS):
        before = flush_denormals()
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
            if sparse and size > 0:
                x = (direction * chunks * different + begin) * width
                multiply(end - begin, dtable, begin * size, size, dproj, x, width, width, kept,
                         direction, size, dtable[:0])  # fmt: skip
            for block in range(0 if sparse else size // columns):
                for first in range(0, width, DEPTH):
                    depth = min(DEPTH, width - first)
                    start = (direction * (size // columns) + block) * width * columns
                    tiles(end - begin, dtable, begin * size + block * columns, size,
                           dproj, (direction * chunks * different + begin) * width + first, width,
                           1, weights, start + first * columns, columns, depth)  # fmt: skip
        restore(before)


@njit(parallel=True, cache=True, nogil=True)
def weights_back(dproj, chunks, directions, different, width, table, size, dw, db):
    """dw (directions, width, size) = dproj.T @ table and db (directions, width) = sum of dproj.

    dproj: chunk 0, as `words_back` leaves it. size is a multiple of columns.
    """
    columns = 4 * lanes_of(dproj)
    pieces = width // columns
    for task in prange(directions * pieces):
        before = flush_denormals()
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
        restore(before)


@njit(parallel=True, cache=True, nogil=True)
def project_kept(table, size, bias, directions, kept, out):
    """`vectors.project` by `packing.Kept.now` of w_ih; size is a multiple of columns."""
    width = len(bias) // directions
    count = len(out) // len(bias)
    for piece in prange((count + WORDS - 1) // WORDS):
        begin = piece * WORDS
        rows = min(WORDS, count - begin)
        for direction in range(directions):
            multiply(rows, out, begin * len(bias) + direction * width, len(bias),
                     table, begin * size, size, size, kept, direction, width, bias)  # fmt: skip


@njit(parallel=True, cache=True, nogil=True)
def weights_back_kept(dproj, chunks, directions, different, width, table, size, places, sums,
                      db):  # fmt: skip
    """`weights_back` with the gradient of w_ih at its kept places: sums (kept weights,)."""
    firsts = places[1]
    some = width // 4
    for task in prange(directions * 4):
        before = flush_denormals()
        direction, left = task // 4, task % 4 * some
        first = direction * width + left
        sums[firsts[first] : firsts[first + some]] = 0
        sweep("zero", some, db, first, db, 0, 0)
        for begin in range(0, different, DEPTH):
            depth = min(DEPTH, different - begin)
            x = (direction * chunks * different + begin) * width
            for row in range(depth):
                sweep("add", some, db, first, dproj, x + row * width + left, 1)
            collect(depth, sums, dproj, x, width, table, begin * size, size, size, places, first,
                    left, some)  # fmt: skip
        restore(before)
