"""Products with pruned matrices on the CPU, equal to the bit to those of the dense tiles.

A product with an exact zero adds nothing. So a sum over the kept weights alone, in the order of the
dense sum and with its fused operations, is the dense sum.

The outputs of a product lie along the vector, as the dense tiles have them. The kept weights of
one vector of outputs are dealt to slots. A slot is a window of `lanes` neighbouring inputs and, for
each output, at most one weight on an input of that window: a vector of weights and a permutation
that brings every output its input. To multiply costs a permutation and an fma for each slot and
row, whatever number of rows. Windows begin at multiples of half a vector; each row of inputs is
laid out twice, the second time half a vector on, so that every window is an aligned vector.

The gradient of the weights uses the same slots: its sum runs over rows one after another, and so
its vectors, too, must lie along the outputs.

Bell & Garland (2009), "Implementing sparse matrix-vector multiplication on throughput-oriented
processors", section 4.4 (hybrid of sliced formats), has the slots; the permutations are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lottery.kernels.vectors import VECTOR_BITS, Vector, element, lanes_of, sweep

_ARM = binding.get_default_triple().startswith(("aarch64", "arm64"))
# The CPU's feature, its permutation by an index, and the bytes that move together.
_FEATURE, _PERMUTE, _PIECE = {
    512: ("avx512f", "llvm.x86.avx512.permvar.sf.512", 4),
    256: ("avx2", "llvm.x86.avx2.permps", 4),
    128: ("neon", "llvm.aarch64.neon.tbl1.v16i8", 1)
    if _ARM
    else ("ssse3", "llvm.x86.ssse3.pshuf.b.128", 1),
}[VECTOR_BITS]

# Whether there are permutations by an index that is not a constant. Numba must use this very CPU.
PERMUTES = bool(binding.get_host_cpu_features().get(_FEATURE)) and not (
    config.CPU_NAME or config.CPU_FEATURES
)
_PICKS = VECTOR_BITS // 8 // _PIECE  # numbers in a permutation
HEIGHT = 8  # rows of a product that go together
_ROWS = 32  # rows that a gradient lays out at once, for the first-level cache
_GATHER = 8 if VECTOR_BITS == 512 or _ARM else 6  # slots of a gradient that go together: registers

# A product is sparse if its slots are at most this share of the vectors that the dense one takes.
# A slot costs up to three times as much as a vector of a full tile; fewer rows change little.
SHARE = 0.3


class Pattern(NamedTuple):
    """Where the kept weights of a matrix (outputs, inputs) are; no values.

    outputs is a multiple of lanes. `places` are those of the weights in their flat array, the one
    after all weights where an output has no weight in a slot: there is a zero.
    """

    firsts: np.ndarray  # int64 (outputs / lanes + 1,) first slot of each vector of outputs
    windows: np.ndarray  # int64 (slots,) where the window begins in a row laid out twice
    picks: np.ndarray  # uint8 (slots * _PICKS,) permutations
    places: np.ndarray  # uint32 (slots, lanes)


def nothing(dtype: np.dtype) -> Pattern:
    """No pattern: the product is dense."""
    lanes = VECTOR_BITS // 8 // dtype.itemsize
    none = np.zeros(0, np.int64)
    return Pattern(none, none, np.zeros(0, np.uint8), np.zeros((0, lanes), np.uint32))


def pays(found: Pattern, outputs: int, inputs: int) -> bool:
    """Whether the sparse product is to be taken. Decided by the pattern alone, never by a clock."""
    return PERMUTES and found.places.size <= SHARE * outputs * inputs


def pattern(places: np.ndarray, dtype: np.dtype, none: int) -> Pattern:
    """The pattern of a matrix, given as the `places` (outputs, inputs) of its weights or -1;
    none: what stands for no weight in a slot.

    Inputs and outputs are whole numbers of vectors. Every output meets its inputs in their order.
    """
    lanes = VECTOR_BITS // 8 // dtype.itemsize
    count = np.zeros(len(places) // lanes + 1, np.int64)
    _deal(places, lanes, count, np.empty(0, np.int64), np.empty((0, lanes), np.uint32),
          np.empty((0, lanes), np.uint8))  # fmt: skip
    firsts = np.cumsum(count)
    windows = np.empty(firsts[-1], np.int64)
    dealt = np.full((firsts[-1], lanes), none, np.uint32)
    lane = np.zeros((firsts[-1], lanes), np.uint8)
    _deal(places, lanes, firsts, windows, dealt, lane)
    part = _PICKS // lanes  # pieces of a number
    picks = lane[:, :, None] * part + np.arange(part, dtype=np.uint8)
    return Pattern(firsts, windows, picks.astype(np.uint8).reshape(-1), dealt)


@njit(cache=True, nogil=True)
def _deal(places, lanes, firsts, windows, dealt, lane):
    """Deal weights to slots; without room for slots (windows) only count them, in `firsts`.

    The next slot begins at the first input that any output still waits for; every output whose
    next weight is in the window takes it.
    """
    outputs, inputs = places.shape
    half = lanes // 2
    at = np.empty(lanes, np.int64)
    counting = len(windows) == 0
    for vector in range(outputs // lanes):
        slots = 0
        for q in range(lanes):
            at[q] = 0
        while True:
            start = inputs
            for q in range(lanes):
                row = places[vector * lanes + q]
                while at[q] < inputs and row[at[q]] < 0:
                    at[q] += 1
                start = min(start, at[q])
            if start == inputs:
                break
            start = min(start // half * half, inputs - lanes)
            slot = firsts[vector] + slots
            for q in range(lanes):
                if at[q] < start + lanes:
                    if not counting:
                        dealt[slot, q] = places[vector * lanes + q, at[q]]
                        lane[slot, q] = at[q] - start
                    at[q] += 1
            if not counting:
                windows[slot] = start if start % lanes == 0 else inputs + start - half
            slots += 1
        if counting:
            firsts[vector + 1] = slots


# --- vectors ----------------------------------------------------------------------------------


def _permuted(v: Vector, window, pick):
    """What `pick` chooses of the window that begins at this pointer."""
    size = 8 if _PIECE == 1 else 32
    index = ir.VectorType(ir.IntType(size), _PICKS)
    kind = index if _PIECE == 1 else ir.VectorType(ir.FloatType(), _PICKS)
    function = cgutils.get_or_insert_function(
        v.builder.module, ir.FunctionType(kind, [kind, index]), _PERMUTE
    )
    window = v.builder.bitcast(v.load(window), kind)
    return v.builder.bitcast(v.builder.call(function, [window, pick]), v.type)


def _pick(v: Vector, picks, slot):
    """The permutation of a slot."""
    kind = ir.VectorType(ir.IntType(8), _PICKS)
    start = v.builder.gep(picks, [v.builder.mul(slot, ir.Constant(slot.type, _PICKS))])
    pick = v.builder.load(v.builder.bitcast(start, kind.as_pointer()), align=1)
    return pick if _PIECE == 1 else v.builder.zext(pick, ir.VectorType(ir.IntType(32), _PICKS))


def _on(v: Vector, start, count: int, step=None):
    """The pointer `count` elements on, or `count` steps."""
    many = ir.Constant(ir.IntType(64), count)
    return v.builder.gep(start, [many if step is None else v.builder.mul(step, many)])


def _loop(v: Vector, first, last, sums, body):
    """Sums after body(k, sums) -> sums for k = first..last-1, one turn at least."""
    builder, before = v.builder, v.builder.block
    block = builder.append_basic_block("slots")
    after = builder.append_basic_block("slots.end")
    builder.branch(block)
    builder.position_at_end(block)
    k = builder.phi(first.type)
    phis = [builder.phi(v.type) for _ in sums]
    new = body(k, phis)
    following = builder.add(k, ir.Constant(k.type, 1))
    k.add_incoming(first, before)
    k.add_incoming(following, block)
    for phi, start, value in zip(phis, sums, new, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, block)
    builder.cbranch(builder.icmp_signed("<", following, last), block, after)
    builder.position_at_end(after)
    return new


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
def _pluck(typingctx, rows, c, c0, cr, a, a0, ar, values, picks, windows, first, last):
    """c[r, lane] += sum_s values[s, lane] a[r, windows[s] + picks[s, lane]], one vector of outputs.

    For `rows` (1 to HEIGHT) rows and the slots s = first..last-1, one at least, in their order.
    """

    def build(context, builder, signature, arguments):
        rows, c, c0, cr, a, a0, ar, values, picks, windows, first, last = arguments
        kinds = signature.args
        v = Vector(builder, kinds[1].dtype)
        zero = ir.Constant(first.type, 0)
        c = element(context, builder, kinds[1], c, c0)
        a = element(context, builder, kinds[4], a, a0)
        values = element(context, builder, kinds[7], values, zero)
        picks = element(context, builder, kinds[8], picks, zero)
        windows = element(context, builder, kinds[9], windows, zero)

        def some(count):
            targets, lines = (
                [_on(v, start, r, step) for r in range(count)] for start, step in ((c, cr), (a, ar))
            )

            def body(s, sums):
                at = builder.mul(s, ir.Constant(s.type, v.lanes))
                value = v.load(builder.gep(values, [at]))
                pick = _pick(v, picks, s)
                window = builder.load(builder.gep(windows, [s]))
                return [
                    v.fma(_permuted(v, builder.gep(line, [window]), pick), value, total)
                    for line, total in zip(lines, sums, strict=True)
                ]

            sums = _loop(v, first, last, [v.load(pointer) for pointer in targets], body)
            for value, pointer in zip(sums, targets, strict=True):
                v.store(value, pointer)

        _for_number(builder, rows, HEIGHT, some)
        return context.get_dummy_value()

    whole = types.intp
    arguments = whole, c, whole, whole, a, whole, whole, values, picks, windows, whole, whole
    return types.void(*arguments), build


@intrinsic
def _gather(typingctx, slots, sums, b, b0, br, a, a0, ar, picks, windows, first, depth):
    """sums[s, lane] += sum_k b[k, lane] a[k, windows[s] + picks[s, lane]], k < depth in order.

    For `slots` (1 to _GATHER) slots s from `first` on; depth is 1 at least.
    """

    def build(context, builder, signature, arguments):
        slots, sums, b, b0, br, a, a0, ar, picks, windows, first, depth = arguments
        kinds = signature.args
        v = Vector(builder, kinds[1].dtype)
        zero = ir.Constant(first.type, 0)
        at = builder.mul(first, ir.Constant(first.type, v.lanes))
        sums = element(context, builder, kinds[1], sums, at)
        b = element(context, builder, kinds[2], b, b0)
        a = element(context, builder, kinds[5], a, a0)
        picks = element(context, builder, kinds[8], picks, zero)
        windows = element(context, builder, kinds[9], windows, first)

        def some(count):
            targets = [_on(v, sums, n * v.lanes) for n in range(count)]
            orders = [
                _pick(v, picks, builder.add(first, ir.Constant(first.type, n)))
                for n in range(count)
            ]
            lines = [builder.gep(a, [builder.load(_on(v, windows, n))]) for n in range(count)]

            def body(k, sums):
                left = v.load(builder.gep(b, [builder.mul(k, br)]))
                at = builder.mul(k, ar)
                return [
                    v.fma(left, _permuted(v, builder.gep(line, [at]), order), total)
                    for line, order, total in zip(lines, orders, sums, strict=True)
                ]

            new = _loop(v, zero, depth, [v.load(pointer) for pointer in targets], body)
            for value, pointer in zip(new, targets, strict=True):
                v.store(value, pointer)

        _for_number(builder, slots, _GATHER, some)
        return context.get_dummy_value()

    whole = types.intp
    arguments = whole, sums, b, whole, whole, a, whole, whole, picks, windows, whole, whole
    return types.void(*arguments), build


# --- loops over them --------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def aligned(array):
    """The first place in `array` whose address is a multiple of a vector."""
    lanes = lanes_of(array)
    past = np.int64(array.ctypes.data // array.itemsize) % lanes
    return (lanes - past) % lanes


@njit(cache=True, nogil=True)
def _copy(count, out, o0, x, x0):
    whole = count // lanes_of(out) * lanes_of(out)
    if whole > 0:
        sweep("copy", whole, out, o0, x, x0, 0)
    for k in range(whole, count):
        out[o0 + k] = x[x0 + k]


@njit(cache=True, nogil=True)
def _twice(rows, size, out, o0, x, x0, step):
    """Lay out rows of `size` inputs, `step` apart in x, as the windows want them; the stride."""
    lanes = lanes_of(out)
    half, stride = lanes // 2, (size + lanes - 1) // lanes * lanes
    for r in range(rows):
        _copy(size, out, o0 + 2 * r * stride, x, x0 + r * step)
        if size > half:
            _copy(size - half, out, o0 + (2 * r + 1) * stride, x, x0 + r * step + half)
    return stride


@njit(cache=True, nogil=True)
def multiply(rows, c, c0, cr, a, a0, ar, size, kept, direction, count):
    """c[r, :] += weights a[r, :size], for the `count` outputs of a direction.

    c0, cr, a0, ar: the first elements and the steps from row to row, as `tile` has them; kept:
    firsts, windows and picks of a Pattern of all directions, and the weights in its slots.
    """
    firsts, windows, picks, values = kept
    lanes = lanes_of(c)
    scratch = np.empty(HEIGHT * 2 * (size + lanes) + lanes, c.dtype)
    begin = aligned(scratch)
    vectors = count // lanes
    for first in range(0, rows, HEIGHT):
        height = min(HEIGHT, rows - first)
        stride = _twice(height, size, scratch, begin, a, a0 + first * ar, ar)
        for k in range(vectors):
            slot, last = firsts[direction * vectors + k], firsts[direction * vectors + k + 1]
            if slot < last:
                _pluck(height, c, c0 + first * cr + k * lanes, cr, scratch, begin, 2 * stride,
                       values, picks, windows, slot, last)  # fmt: skip


@njit(cache=True, nogil=True)
def collect(rows, sums, b, b0, br, a, a0, ar, size, slots, vector, vectors):
    """sums += the gradient of the weights, b.T @ a over `rows` rows in order, slot by slot.

    b (rows, outputs) has the outputs of `vectors` vectors from `vector` on, a (rows, size); slots:
    firsts, windows and picks of a Pattern.
    """
    firsts, windows, picks = slots
    lanes = lanes_of(b)
    scratch = np.empty(_ROWS * 2 * (size + lanes) + lanes, b.dtype)
    begin = aligned(scratch)
    for top in range(0, rows, _ROWS):
        depth = min(_ROWS, rows - top)
        stride = _twice(depth, size, scratch, begin, a, a0 + top * ar, ar)
        for k in range(vectors):
            start, end = firsts[vector + k], firsts[vector + k + 1]
            pieces = (end - start + _GATHER - 1) // _GATHER
            for piece in range(pieces):
                first = start + (end - start) * piece // pieces
                count = start + (end - start) * (piece + 1) // pieces - first
                _gather(count, sums, b, b0 + top * br + k * lanes, br, scratch, begin, 2 * stride,
                        picks, windows, first, depth)  # fmt: skip


@njit(cache=True, nogil=True)
def fill(places, weights, out):
    """out = weights[places], all flat."""
    for k in range(len(places)):
        out[k] = weights[places[k]]


@njit(cache=True, nogil=True)
def spread(places, sums, out):
    """The inverse: out[places] = the sum of `sums` (parts, slots, lanes) over parts, in order."""
    for slot in range(len(places)):
        for q in range(places.shape[1]):
            total = sums[0, slot, q]
            for part in range(1, len(sums)):
                total += sums[part, slot, q]
            out[places[slot, q]] = total
