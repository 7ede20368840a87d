"""A table of words times a matrix on the CPU: of a row with many zeros only the rest is multiplied.

A pruned embedding leaves most words a few features, and dropout of words leaves none. A product
with zero adds nothing, so that a sum over the others alone, in the same order, is the same sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from lottery.kernels.vectors import WORDS, Vector, element, lanes_of, sweep, tiles

# A row is multiplied whole if more than this share of it is not zero: one row by itself loads the
# matrix again, where a tile shares it between rows. With wide vectors that costs more than with
# narrow ones, and half of the features by themselves took up to a quarter longer than all of them.
SHARE = 0.35
# Up to this share of such rows are multiplied with the others: to put these side by side without
# them takes longer.
FEW = 0.05


class Rows(NamedTuple):
    """A table's rows by how much they hold: whole ones, then those with some features.

    Rows of zeros alone have the place after both, where they are not multiplied with the whole.
    """

    whole: np.ndarray  # int64
    some: np.ndarray  # int64
    counts: np.ndarray  # int32 (U,) how many features of each row are not zero
    features: np.ndarray  # int32 (U, E): which, in their order, at the begin of each row of `some`
    places: np.ndarray  # int32 (U,) of each row in the product


def arrange(table: np.ndarray) -> Rows:
    """The rows of `table` (U, E)."""
    return Rows(*_arranged(table, int(SHARE * table.shape[1]), int(FEW * len(table))))


@njit(cache=True, nogil=True)
def _arranged(table, few, spared):
    """`Rows` of a table: those of up to `few` features go apart, unless there are at most `spared`
    of them. NaN is a feature."""
    count, size = table.shape
    whole, some = np.empty(count, np.int64), np.empty(count, np.int64)
    counts, places = np.empty(count, np.int32), np.empty(count, np.int32)
    features = np.empty(table.shape, np.int32)
    wholes = somes = 0
    for row in range(count):
        held = np.int32(0)
        for value in table[row]:
            held += np.int32(value != 0)
        counts[row] = held
        if held > few:
            whole[wholes], places[row] = row, wholes
            wholes += 1
        elif held > 0:
            some[somes], places[row] = row, somes
            somes += 1
            place = 0
            for k in range(size):
                features[row, place] = k
                place += table[row, k] != 0
                if place == held:
                    break
    if count - wholes <= spared:
        places[:] = whole[:] = np.arange(count)
        return whole, some[:0], counts, features, places
    for row in range(count):  # behind the whole ones; what holds nothing behind all
        if counts[row] == 0:
            places[row] = wholes + somes
        elif counts[row] <= few:
            places[row] += wholes
    return whole[:wholes], some[:somes], counts, features, places


@intrinsic
def _few(typingctx, c, c0, a, a0, features, first, last, b, b0):
    """c[:] = sum_j a[k_j] b[k_j, :], k_j = features[j], for j = first..last-1, one at least.

    c is four vectors wide, and so are the rows of b.
    """

    def build(context, builder, signature, arguments):
        c, c0, a, a0, features, first, last, b, b0 = arguments
        kinds = signature.args
        v = Vector(builder, kinds[0].dtype)
        zero = ir.Constant(first.type, 0)
        c = element(context, builder, kinds[0], c, c0)
        a = element(context, builder, kinds[2], a, a0)
        features = element(context, builder, kinds[4], features, zero)
        b = element(context, builder, kinds[7], b, b0)
        targets = [builder.gep(c, [ir.Constant(first.type, q * v.lanes)]) for q in range(4)]
        before = builder.block
        body = builder.append_basic_block("few")
        after = builder.append_basic_block("few.end")
        builder.branch(body)
        builder.position_at_end(body)
        j = builder.phi(first.type)
        sums = [builder.phi(v.type) for _ in targets]
        k = builder.sext(builder.load(builder.gep(features, [j])), first.type)
        left = v.spread(builder.load(builder.gep(a, [k])))
        row = builder.gep(b, [builder.mul(k, ir.Constant(k.type, 4 * v.lanes))])
        new = [
            v.fma(left, v.load(builder.gep(row, [ir.Constant(k.type, q * v.lanes)])), total)
            for q, total in enumerate(sums)
        ]
        following = builder.add(j, ir.Constant(j.type, 1))
        j.add_incoming(first, before)
        j.add_incoming(following, body)
        for total, value in zip(sums, new, strict=True):
            total.add_incoming(v.number(0.0), before)
            total.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", following, last), body, after)
        builder.position_at_end(after)
        for value, target in zip(new, targets, strict=True):
            v.store(value, target)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(c, whole, a, whole, features, whole, whole, b, whole), build


@njit(cache=True, nogil=True)
def multiply_rows(whole, rest, some, counts, features, size, weights, w0, width, out, o0):
    """out (len(whole) / size + len(some) + 1, width) from o0 = the rows, one of zeros last, times
    the matrix (width / columns, size, columns) from w0 of `weights`, columns those of a tile.

    whole: the rows to be multiplied whole, one after the other; rest: the table of the others,
    which are its rows `some`, see `Rows`. Arrays but `some` and `counts` are flat.
    """
    columns = 4 * lanes_of(out)
    count = len(whole) // size
    for piece in range((count + WORDS - 1) // WORDS):
        first = piece * WORDS
        rows = min(WORDS, count - first)
        place = o0 + first * width
        sweep("zero", rows * width, out, place, out, 0, 0)
        for block in range(width // columns):
            tiles(rows, out, place + block * columns, width, whole, first * size, size, 1,
                  weights, w0 + block * size * columns, columns, size)  # fmt: skip
    place = o0 + count * width
    sweep("zero", width, out, place + len(some) * width, out, 0, 0)
    for block in range(width // columns):
        for row in range(len(some)):
            begin = some[row] * size
            _few(out, place + row * width + block * columns, rest, begin, features, begin,
                 begin + counts[some[row]], weights, w0 + block * size * columns)  # fmt: skip
