"""Products with pruned matrices on the CPU: what is kept is multiplied, wherever it lies.

Rows (texts, words) lie along the vector. A few rows of inputs are turned on their side, so that one
input's numbers of all these rows are neighbours; then a kept weight costs one fma for a vector of
rows, whatever the pattern of the mask. A product with an exact zero adds nothing: a sum over the
kept weights alone, in the order of the dense sum and with its fused operations, is the dense sum to
the bit.

The gradient of a kept weight is a sum over rows. Here these lie along the vector, and its sums are
taken lane by lane: it agrees with the dense gradient to rounding, not to the bit.

Nikdan et al. (2023), "SparseProp", have the batch along the vector for whole layers; here a few
rows at a time are turned there and back, because an LSTM's step wants them as they were.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from lottery.kernels.vectors import Vector, as_it_is, element, lanes_of

WIDE = 4  # vectors of rows that go together: as many sums as a register block has room for
# A matrix is multiplied sparsely if it keeps at most this share of its weights. Decided by the
# mask alone, never by a clock.
SHARE = 0.35
NEVER = 2**31 - 1  # rows: the product is dense


class Pattern(NamedTuple):
    """Where the kept weights of a matrix (outputs, inputs) are, output by output; no values.

    Outputs go in blocks of a tile's columns, which follow one another; within a block those with
    fewest weights come first, so that loops of one length follow one another, too.
    """

    outputs: np.ndarray  # int32 (outputs,)
    firsts: np.ndarray  # int64 (outputs + 1,) first weight of each of these
    inputs: np.ndarray  # int32 (kept,) rising within an output
    places: np.ndarray  # int64 (kept,) of the weights in their flat array


def pattern(places: np.ndarray, block: int) -> Pattern:
    """Of a matrix given as the `places` (outputs, inputs) of its weights, -1 where none is kept.

    outputs is a multiple of `block`.
    """
    counts = (places >= 0).sum(1).reshape(-1, block)
    order = counts.argsort(1, kind="stable") + np.arange(len(places), step=block)[:, None]
    rows = places[order.reshape(-1)]
    kept = rows >= 0
    firsts = np.concatenate([[0], kept.sum(1).cumsum()])
    inputs = kept.nonzero()[1].astype(np.int32)
    return Pattern(order.reshape(-1).astype(np.int32), firsts, inputs, rows[kept].astype(np.int64))


NOTHING = Pattern(  # of a matrix that is not multiplied sparsely
    np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
)


def least(share: float, lanes: int) -> int:
    """Rows from which the sparse product of a matrix that keeps `share` is the faster one.

    A vector of rows costs it about four times a row's `share` of the dense tile, even a vector
    with a single row in it.
    """
    return max(math.ceil(4 * lanes * share), 1)


@intrinsic
def _turn(typingctx, loaded, stored, x, x0, xr, out, o0, step):
    """out[c, r] = x[r, c] for a square of lanes, rows r from `loaded` on zero.

    Of out only the first `stored` rows c are written. xr, step: from row to row.
    """

    def build(context, builder, signature, arguments):
        loaded, stored, x, x0, xr, out, o0, step = arguments
        kinds = signature.args
        v = Vector(builder, kinds[2].dtype)
        x = element(context, builder, kinds[2], x, x0)
        out = element(context, builder, kinds[5], out, o0)

        def row(start, stride, r, count):
            """The r-th row, or the last of `count`; and whether it is one."""
            r = ir.Constant(count.type, r)
            there = builder.icmp_signed("<", r, count)
            last = builder.sub(count, ir.Constant(count.type, 1))
            place = builder.mul(builder.select(there, r, last), stride)
            return builder.gep(start, [place]), there

        rows = []
        for r in range(v.lanes):
            pointer, there = row(x, xr, r, loaded)
            rows.append(builder.select(there, v.load(pointer), v.number(0.0)))
        rows = exchanged(v, rows)
        for r in reversed(range(v.lanes)):  # the last row is written last
            v.store(rows[r], row(out, step, r, stored)[0])
        return context.get_dummy_value()

    whole = types.intp
    return types.void(whole, whole, x, whole, whole, out, whole, whole), build


def exchanged(v: Vector, rows: list) -> list:
    """The columns of a square of lanes, from its rows.

    Pieces of 16 bytes find their places as wholes, and then the numbers within by interleaving: of
    both processors have instructions.
    """
    rows, inside = list(rows), 128 // v.bits
    s = v.lanes // 2
    while s >= inside:
        for r in range(v.lanes):
            if not r & s:
                low, high = rows[r], rows[r + s]
                rows[r], rows[r + s] = (_mixed(v, low, high, s, odd) for odd in (0, s))
        s //= 2
    for _ in range(inside.bit_length() - 1):
        before = list(rows)
        for q in range(0, v.lanes, inside):
            for r in range(inside):
                pair = before[q + r // 2], before[q + r // 2 + inside // 2]
                rows[q + r] = _interleaved(v, *pair, r % 2)
    return rows


def _mixed(v: Vector, low, high, s: int, odd: int):
    """Of two rows a step of the exchange: runs of s numbers, in turn from the one and the other."""
    places = [
        (lane | odd if not lane & s else v.lanes + ((lane & ~s) | odd)) for lane in range(v.lanes)
    ]
    mask = ir.Constant(ir.VectorType(ir.IntType(32), v.lanes), places)
    return v.builder.shuffle_vector(low, high, mask)


def _interleaved(v: Vector, one, other, half: int):
    """Numbers in turn from the one and the other: of each 16 bytes the first or second half."""
    inside = 128 // v.bits
    places = []
    for lane in range(v.lanes):
        place = lane // inside * inside + half * inside // 2 + lane % inside // 2
        places.append(place + lane % 2 * v.lanes)
    mask = ir.Constant(ir.VectorType(ir.IntType(32), v.lanes), places)
    return v.builder.shuffle_vector(one, other, mask)


def _loop(builder, first, last, by: int, sums, body):
    """Sums after body(k, sums) -> sums for k = first, first + by, ... below last."""
    before = builder.block
    block = builder.append_basic_block("kept")
    after = builder.append_basic_block("kept.end")
    builder.cbranch(builder.icmp_signed("<", first, last), block, after)
    builder.position_at_end(block)
    k = builder.phi(first.type)
    phis = [builder.phi(value.type) for value in sums]
    new = body(k, phis)
    following = builder.add(k, ir.Constant(k.type, by))
    k.add_incoming(first, before)
    k.add_incoming(following, block)
    for phi, start, value in zip(phis, sums, new, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, block)
    again = builder.cbranch(builder.icmp_signed("<", following, last), block, after)
    again.set_metadata("llvm.loop", as_it_is(builder.module))
    builder.position_at_end(after)
    given = [builder.phi(value.type) for value in sums]
    for phi, start, value in zip(given, sums, new, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, block)
    return given


def _for_number(builder, number, most: int, build) -> None:
    """build(n) for that n of 1..most which `number` turns out to be."""
    after = builder.append_basic_block("number.end")
    switch = builder.switch(number, after)
    for n in range(1, most + 1):
        block = builder.append_basic_block(f"number.{n}")
        switch.add_case(ir.Constant(number.type, n), block)
        builder.position_at_end(block)
        build(n)
        builder.branch(after)
    builder.position_at_end(after)


@intrinsic
def add_kept(typingctx, vectors, c, c0, c1, a, a0, values, inputs, first, middle, last):
    """c[:] += sum_s values[s] a[inputs[s], :] for two outputs at once, in the order of s.

    The first, at c0, has s = first..middle-1, and the other, at c1, s = middle..last-1, no fewer.
    Their sums are `vectors` (1 to WIDE) vectors, and rows of a are WIDE vectors apart. One sum's
    additions wait for one another: a second one fills the time.
    """

    def build(context, builder, signature, arguments):
        vectors, c, c0, c1, a, a0, values, inputs, first, middle, last = arguments
        kinds = signature.args
        v = Vector(builder, kinds[1].dtype)
        zero = ir.Constant(first.type, 0)
        c0, c1 = (element(context, builder, kinds[1], c, start) for start in (c0, c1))
        a = element(context, builder, kinds[4], a, a0)
        values = element(context, builder, kinds[6], values, zero)
        inputs = element(context, builder, kinds[7], inputs, zero)
        fewer = builder.sub(middle, first)

        def some(count):
            def at(start, q):
                return builder.gep(start, [ir.Constant(first.type, q * v.lanes)])

            def plus(s, sums):
                value = v.spread(builder.load(builder.gep(values, [s])))
                k = builder.sext(builder.load(builder.gep(inputs, [s])), first.type)
                line = builder.gep(a, [builder.mul(k, ir.Constant(k.type, WIDE * v.lanes))])
                return [v.fma(v.load(at(line, q)), value, total) for q, total in enumerate(sums)]

            def both(s, sums):
                return plus(s, sums[:count]) + plus(builder.add(s, fewer), sums[count:])

            targets = [at(c, q) for c in (c0, c1) for q in range(count)]
            sums = [v.load(target) for target in targets]
            sums = _loop(builder, first, middle, 1, sums, both)
            rest = _loop(builder, builder.add(middle, fewer), last, 1, sums[count:], plus)
            for value, target in zip(sums[:count] + rest, targets, strict=True):
                v.store(value, target)

        _for_number(builder, vectors, WIDE, some)
        return context.get_dummy_value()

    whole = types.intp
    arguments = whole, c, whole, whole, a, whole, values, inputs, whole, whole, whole
    return types.void(*arguments), build


@intrinsic
def _dots(typingctx, number, sums, b, b0, a, a0, step, inputs, s, depth):
    """sums[s + n] += b[:depth] . a[inputs[s + n], :depth] for `number` (1 to WIDE) weights n.

    depth is a whole number of vectors, rows of a are `step` apart.
    """

    def build(context, builder, signature, arguments):
        number, sums, b, b0, a, a0, step, inputs, s, depth = arguments
        kinds = signature.args
        v = Vector(builder, kinds[1].dtype)
        zero = ir.Constant(s.type, 0)
        sums = element(context, builder, kinds[1], sums, s)
        b = element(context, builder, kinds[2], b, b0)
        a = element(context, builder, kinds[4], a, a0)
        inputs = element(context, builder, kinds[7], inputs, s)

        def some(count):
            def at(start, n):
                return builder.gep(start, [ir.Constant(s.type, n)])

            lines = []
            for n in range(count):
                k = builder.sext(builder.load(at(inputs, n)), s.type)
                lines.append(builder.gep(a, [builder.mul(k, step)]))

            def body(r, totals):
                left = v.load(builder.gep(b, [r]))
                return [
                    v.fma(left, v.load(builder.gep(line, [r])), total)
                    for line, total in zip(lines, totals, strict=True)
                ]

            totals = _loop(builder, zero, depth, v.lanes, [v.number(0.0)] * count, body)
            for n, total in enumerate(totals):
                place = at(sums, n)
                builder.store(builder.fadd(builder.load(place), _across(v, total)), place)

        _for_number(builder, number, WIDE, some)
        return context.get_dummy_value()

    whole = types.intp
    arguments = whole, sums, b, whole, a, whole, whole, inputs, whole, whole
    return types.void(*arguments), build


def _across(v: Vector, vector):
    """The sum of a vector's numbers, halves on halves."""
    builder, count = v.builder, v.lanes
    while count > 1:
        count //= 2
        kind = ir.VectorType(ir.IntType(32), count)
        halves = [
            builder.shuffle_vector(vector, vector, ir.Constant(kind, list(range(k, k + count))))
            for k in (0, count)
        ]
        vector = builder.fadd(*halves)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


# --- loops over them --------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def aligned(array):
    """The first place in `array` whose address is a multiple of a vector."""
    lanes = lanes_of(array)
    past = np.int64(array.ctypes.data // array.itemsize) % lanes
    return (lanes - past) % lanes


@njit(cache=True, nogil=True)
def turn(rows, columns, x, x0, xr, out, o0, step):
    """out[c, r] = x[r, c], and zero for rows up to a whole vector; columns: whole vectors."""
    lanes = lanes_of(out)
    for top in range(0, rows, lanes):
        for left in range(0, columns, lanes):
            _turn(min(lanes, rows - top), lanes, x, x0 + top * xr + left, xr,
                  out, o0 + left * step + top, step)  # fmt: skip


@njit(cache=True, nogil=True)
def turn_back(rows, columns, x, x0, step, out, o0, outr):
    """The inverse: out[r, c] = x[c, r] for these rows alone."""
    lanes = lanes_of(out)
    for top in range(0, rows, lanes):
        for left in range(0, columns, lanes):
            _turn(lanes, min(lanes, rows - top), x, x0 + left * step + top, step,
                  out, o0 + top * outr + left, outr)  # fmt: skip


@njit(cache=True, nogil=True)
def multiply(rows, c, c0, cr, a, a0, ar, size, kept, direction, count, bias):
    """c[r, :] += weights a[r, :size], for the `count` outputs of a direction.

    With a bias (of all directions' outputs, else empty) c[r, :] = bias + weights a[r, :size].

    c0, cr, a0, ar: the first elements and the steps from row to row, as `tile` has them; size and
    count: whole numbers of vectors and of blocks. kept: outputs, firsts and inputs of a Pattern of
    all directions, and the values of its weights.
    """
    outputs, firsts, inputs, values = kept
    lanes = lanes_of(c)
    block, wide = 4 * lanes, WIDE * lanes
    scratch = np.empty((size + block) * wide + lanes, c.dtype)
    lines = aligned(scratch)
    sums = lines + size * wide
    for top in range(0, rows, wide):
        height = min(wide, rows - top)
        vectors = (height + lanes - 1) // lanes
        turn(height, size, a, a0 + top * ar, ar, scratch, lines, wide)
        for left in range(0, count, block):
            first = direction * count + left
            if len(bias) > 0:
                for k in range(block):
                    scratch[sums + k * wide : sums + (k + 1) * wide] = bias[first + k]
            elif firsts[first] == firsts[first + block]:
                continue
            else:
                turn(height, block, c, c0 + top * cr + left, cr, scratch, sums, wide)
            for j in range(first, first + block, 2):
                add_kept(vectors, scratch, sums + (outputs[j] - left) * wide,
                         sums + (outputs[j + 1] - left) * wide, scratch, lines, values, inputs,
                         firsts[j], firsts[j + 1], firsts[j + 2])  # fmt: skip
            turn_back(height, block, scratch, sums, wide, c, c0 + top * cr + left, cr)


@njit(cache=True, nogil=True)
def collect(rows, sums, b, b0, br, a, a0, ar, size, kept, first, left, count):
    """sums += the gradient of the kept weights, b.T @ a over `rows` rows.

    For the outputs left..left+count-1 (whole blocks) of b (rows, outputs), which are those from
    `first` on of a Pattern, whose outputs, firsts and inputs are `kept`; a (rows, size).
    """
    outputs, firsts, inputs = kept
    lanes = lanes_of(b)
    block = 4 * lanes
    step = (rows + lanes - 1) // lanes * lanes
    scratch = np.empty((size + block) * step + lanes, b.dtype)
    lines = aligned(scratch)
    slopes = lines + size * step
    turn(rows, size, a, a0, ar, scratch, lines, step)
    for begin in range(0, count, block):
        turn(rows, block, b, b0 + left + begin, br, scratch, slopes, step)
        for j in range(first + begin, first + begin + block):
            slope = slopes + (outputs[j] - left - begin) * step
            for s in range(firsts[j], firsts[j + 1], WIDE):
                _dots(min(WIDE, firsts[j + 1] - s), sums, scratch, slope, scratch, lines, step,
                      inputs, s, step)  # fmt: skip
