"""The LSTM's walk for an answer alone, with the kept weights of a pruned recurrent matrix.

Nothing is kept for a backward pass, so that states stay turned from the first step to the last: a
unit's numbers of some texts are neighbours, as `sparse` wants them, and the cell and the pooling do
not ask how numbers lie. Only a word's row is turned, on its way from memory. All sums have the
order of `lstm_steps`, and so its bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from lottery.kernels.cells import LAST, MAX, MEAN, gates_and_cell, state, together
from lottery.kernels.sparse import WIDE, add_kept, aligned, exchanged
from lottery.kernels.vectors import Vector, element, fetch, lanes_of, sweep, vectors


@intrinsic
def _gather(typingctx, x, places, p0, left, out, o0, step):
    """out[c, r] = x[places[p0 + r] + left + c] for a square of lanes; step: out's, from c to c."""

    def build(context, builder, signature, arguments):
        x, places, p0, left, out, o0, step = arguments
        kinds = signature.args
        v = Vector(builder, kinds[0].dtype)
        x = element(context, builder, kinds[0], x, left)
        places = element(context, builder, kinds[1], places, p0)
        out = element(context, builder, kinds[4], out, o0)
        rows = []
        for r in range(v.lanes):
            place = builder.load(builder.gep(places, [context.get_constant(types.intp, r)]))
            rows.append(v.load(builder.gep(x, [place])))
        for c, row in enumerate(exchanged(v, rows)):
            line = builder.mul(step, context.get_constant(types.intp, c))
            v.store(row, builder.gep(out, [line]))
        return context.get_dummy_value()

    whole = types.intp
    return types.void(x, places, whole, whole, out, whole, whole), build


@intrinsic
def _add_each(typingctx, count, array, x, y, z):
    """array[x + k] += array[y + k] array[z + k] for `count` numbers, a whole number of vectors."""

    def build(context, builder, signature, arguments):
        count, array, *starts = arguments
        v = Vector(builder, signature.args[1].dtype)
        places = [element(context, builder, signature.args[1], array, s) for s in starts]
        with vectors(builder, count, v.lanes) as k:
            x, y, z = (builder.gep(place, [k]) for place in places)
            v.store(v.fma(v.load(z), v.load(y), v.load(x)), x)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(whole, array, whole, whole, whole), build


@njit(cache=True, nogil=True)
def place_of(index, offsets, text, step, direction, directions, width):
    """Where the numbers of a step's word begin in the table of words; past the end, the last's."""
    first, last = offsets[text], offsets[text + 1] - 1
    token = min(first + step, last) if direction == 0 else max(last - step, first)
    return (index[token] * directions + direction) * width


@njit(cache=True, nogil=True)
def walk(direction, directions, chunk, chunks, proj, index, offsets, order, h, kept, least, units,
         how, cells, hidden, out):  # fmt: skip
    """Walk the texts order[chunk::chunks], `WIDE` vectors at most, while `least` or more live on.

    The arguments are those of `lstm_steps._forward_chunk`. Gives the number of steps, one at
    least; states and cells of the texts that live on are then at their places, and `out` is as far.
    """
    lanes = lanes_of(proj)
    columns, width, wide, many = 4 * lanes, 4 * units, WIDE * lanes, together(proj)
    outputs, firsts, inputs, values = kept
    rows = (len(order) - chunk + chunks - 1) // chunks
    # Places of one unit and text in two arrays are no multiple of 4 KiB apart: a processor may take
    # a read there for one of what it has just written.
    part = (units + 9) * wide
    scratch = np.empty(4 * part + (columns + 1) * wide + lanes, proj.dtype)
    now = aligned(scratch)
    after, cell, best, sums = now + part, now + 2 * part, now + 3 * part, now + 4 * part
    scale = sums + columns * wide
    sweep("zero", 4 * part, scratch, now, scratch, 0, 0)
    if how == MAX:
        scratch[best : best + units * wide] = -np.inf
    scratch[scale : scale + wide] = 0
    for r in range(rows):
        text = order[chunk + r * chunks]
        scratch[scale + r] = 1 / (offsets[text + 1] - offsets[text])
    places = np.zeros(wide, np.int64)
    ahead = np.zeros(wide, np.int64)
    alive = rows
    step = 0
    while True:
        while alive > 0:
            text = order[chunk + (alive - 1) * chunks]
            if offsets[text + 1] - offsets[text] > step:
                break
            alive -= 1
            y = (text * directions + direction) * units
            x = (now if how == LAST else best) + alive
            for k in range(units):
                out[y + k] = scratch[x + k * wide]
        if alive < least or alive == 0:
            break
        count = (alive + lanes - 1) // lanes
        # Rows past the living ones compute what nobody reads, from a row that is there.
        for r in range(alive):
            text = order[chunk + r * chunks]
            places[r] = place_of(index, offsets, text, step, direction, directions, width)
            ahead[r] = place_of(index, offsets, text, step + 1, direction, directions, width)
        for r in range(alive, count * lanes):
            places[r] = places[0]
        for block in range(units // lanes):
            left = block * columns
            for top in range(0, count * lanes, lanes):
                for c in range(0, columns, lanes):
                    _gather(proj, places, top, left + c, scratch, sums + c * wide + top, wide)
            for r in range(alive):
                fetch(proj, ahead[r] + left)
            first = direction * width + left
            for j in range(first, first + columns, 2):
                add_kept(count, scratch, sums + (outputs[j] - left) * wide,
                         sums + (outputs[j + 1] - left) * wide, scratch, now, values, inputs,
                         firsts[j], firsts[j + 1], firsts[j + 2])  # fmt: skip
            line = block * lanes * wide
            for u in range(0, lanes * wide, wide):
                for x in range(u, u + count * lanes, lanes):
                    gates_and_cell(False, scratch, sums + x, lanes * wide, scratch, cell + line + x,
                                   cell + line + x)  # fmt: skip
            for u in range(0, lanes * wide, many * wide):
                for x in range(u, u + count * lanes, lanes):
                    state(scratch, sums + 3 * lanes * wide + x, wide, scratch, cell + line + x,
                          scratch, after + line + x, wide)  # fmt: skip
            for x in range(line, line + lanes * wide, wide):
                if how == MAX:
                    sweep("max", count * lanes, scratch, best + x, scratch, after + x, 0)
                elif how == MEAN:
                    _add_each(count * lanes, scratch, best + x, after + x, scale)
        now, after = after, now
        step += 1
    for r in range(alive):
        text = order[chunk + r * chunks]
        y = (text * directions + direction) * units
        x = (h + r) * units
        for k in range(units):
            hidden[x + k] = scratch[now + k * wide + r]
            cells[x + k] = scratch[cell + k * wide + r]
            if how != LAST:
                out[y + k] = scratch[best + k * wide + r]
    return step
