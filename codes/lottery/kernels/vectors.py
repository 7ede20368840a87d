"""Vectors and matrix products for the kernels: code that LLVM's vectoriser does not find by itself.

Everything runs on one register-blocked tile, without a BLAS: sums have one order whatever the
machine's BLAS, the number of threads or the rows beside, so that results are equal to the bit.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch
from llvmlite import binding, ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = binding.get_host_cpu_features()
if _FEATURES.get("avx512f"):
    _BYTES, ROWS = 64, 6  # 24 of the 32 registers hold sums
elif _FEATURES.get("avx"):
    _BYTES, ROWS = 32, 3  # 12 of 16
else:
    _BYTES, ROWS = 16, 6 if binding.get_default_triple().startswith(("aarch64", "arm64")) else 3

VECTOR_BITS = 8 * _BYTES
DEPTH = 128  # rows of a product's inner dimension that stay in the first-level cache
WORDS = 96  # rows of the table in one piece of work


class Vector:
    """Builds LLVM code on vectors of one cache-line's (or register's) width."""

    def __init__(self, builder: ir.IRBuilder, dtype: types.Float):
        self.builder, self.bits = builder, dtype.bitwidth
        self.scalar = ir.FloatType() if self.bits == 32 else ir.DoubleType()
        self.lanes = _BYTES * 8 // self.bits
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.integer = ir.VectorType(ir.IntType(self.bits), self.lanes)

    def load(self, pointer, kind=None):
        place = self.builder.bitcast(pointer, (kind or self.type).as_pointer())
        return self.builder.load(place, align=4)

    def store(self, value, pointer):
        place = self.builder.bitcast(pointer, value.type.as_pointer())
        self.builder.store(value, place, align=4)

    def spread(self, scalar):
        none = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = ir.Constant(ir.IntType(32), 0)
        every = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        one = self.builder.insert_element(none, scalar, first)
        return self.builder.shuffle_vector(one, none, every)

    def number(self, value: float):
        return ir.Constant(self.type, [value] * self.lanes)

    def whole(self, value: int):
        return ir.Constant(self.integer, [value] * self.lanes)

    def fma(self, a, b, c):
        name = f"llvm.fmuladd.v{self.lanes}f{self.bits}"
        kind = ir.FunctionType(self.type, [self.type] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [a, b, c])

    def add(self, a, b):
        return self.builder.fadd(a, b)

    def sub(self, a, b):
        return self.builder.fsub(a, b)

    def mul(self, a, b):
        return self.builder.fmul(a, b)

    def div(self, a, b):
        return self.builder.fdiv(a, b)

    def expm1(self, x, bound: float):
        """exp(x) - 1 for |x| clamped to `bound`; NaN stays NaN.

        x = n ln 2 + r, |r| <= ln 2 / 2; exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), so that small x
        keep their relative precision; exp(r) - 1 by its Taylor series.
        """
        single = self.bits == 32
        degree, mantissa, bias = (7, 23, 127) if single else (13, 52, 1023)
        for edge, past in ((-bound, "<"), (bound, ">")):
            edge = self.number(edge)
            x = self.builder.select(self.builder.fcmp_ordered(past, x, edge), edge, x)
        # Adding 1.5 * 2^mantissa rounds to a whole number and leaves it in the lowest bits.
        magic = self.number(1.5 * 2.0**mantissa)
        shifted = self.fma(x, self.number(1.4426950408889634), magic)
        n = self.sub(shifted, magic)
        high, low = (0.693145751953125, 1.4286068203094172e-06) if single else _LN2
        r = self.fma(n, self.number(-low), self.fma(n, self.number(-high), x))
        factorial = [1.0]
        for k in range(1, degree + 1):
            factorial.append(factorial[-1] * k)
        series = self.number(1 / factorial[degree])
        for k in range(degree - 1, 1, -1):
            series = self.fma(series, r, self.number(1 / factorial[k]))
        p = self.fma(self.mul(r, r), series, r)
        exponent = self.builder.shl(
            self.builder.bitcast(shifted, self.integer), self.whole(mantissa)
        )
        power = self.builder.add(exponent, self.whole(bias << mantissa))
        power = self.builder.bitcast(power, self.type)
        return self.fma(power, p, self.sub(power, self.number(1.0)))

    def sigmoid(self, x):
        grown = self.expm1(self.sub(self.number(-0.0), x), 87.0 if self.bits == 32 else 700.0)
        return self.div(self.number(1.0), self.add(grown, self.number(2.0)))

    def tanh(self, x):
        grown = self.expm1(self.add(x, x), 40.0)
        return self.div(grown, self.add(grown, self.number(2.0)))


# ln 2 in two parts, the first with enough zero bits that n times it is exact
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)


@contextmanager
def _vectors(builder, count, lanes):
    """A loop over 0, lanes, 2 lanes, ... below `count` (> 0)."""
    before = builder.block
    body = builder.append_basic_block("sweep")
    after = builder.append_basic_block("sweep.end")
    builder.branch(body)
    builder.position_at_end(body)
    k = builder.phi(count.type)
    yield k
    following = builder.add(k, ir.Constant(count.type, lanes))
    k.add_incoming(ir.Constant(count.type, 0), before)
    k.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)


def element(context, builder, kind, value, offset):
    """Pointer to element `offset` of a contiguous array."""
    return builder.gep(context.make_array(kind)(context, builder, value).data, [offset])


@intrinsic(prefer_literal=True)
def lanes_of(typingctx, array):
    """Numbers in one vector of the array's type."""
    count = _BYTES * 8 // array.dtype.bitwidth

    def build(context, builder, signature, arguments):
        return context.get_constant(types.intp, count)

    return types.intp(array), build


@intrinsic(prefer_literal=True)
def tile(typingctx, rows, c, c0, cr, a, a0, ar, ak, b, b0, bk, depth):
    """c[r, :] += sum_k a[r, k] b[k, :] for `rows` (literal) rows and four vectors of columns.

    Arrays are flat; `x0` is the place of the first element, `xr` and `xk` the steps from row to
    row and along the inner dimension (depth >= 1). Sums run in the order of k.
    """
    count = rows.literal_value

    def build(context, builder, signature, arguments):
        _, c, c0, cr, a, a0, ar, ak, b, b0, bk, depth = arguments
        kinds = signature.args
        v = Vector(builder, kinds[1].dtype)
        whole = c0.type
        c = element(context, builder, kinds[1], c, c0)
        a = element(context, builder, kinds[4], a, a0)
        b = element(context, builder, kinds[8], b, b0)

        def row(start, step, r):
            return builder.gep(start, [builder.mul(step, ir.Constant(whole, r))])

        def vector(start, q):
            return builder.gep(start, [ir.Constant(whole, q * v.lanes)])

        targets = [[vector(row(c, cr, r), q) for q in range(4)] for r in range(count)]
        lines = [row(a, ar, r) for r in range(count)]
        first = [[v.load(p) for p in line] for line in targets]
        before = builder.block
        body = builder.append_basic_block("tile")
        after = builder.append_basic_block("tile.end")
        builder.branch(body)
        builder.position_at_end(body)
        k = builder.phi(whole)
        sums = [[builder.phi(v.type) for _ in range(4)] for _ in range(count)]
        right = builder.gep(b, [builder.mul(k, bk)])
        left = [v.spread(builder.load(builder.gep(line, [builder.mul(k, ak)]))) for line in lines]
        new: list[list] = [[] for _ in range(count)]
        for q in range(4):  # one vector of b at a time: with ROWS of `left` all registers are full
            column = v.load(vector(right, q))
            for r in range(count):
                new[r].append(v.fma(left[r], column, sums[r][q]))
        following = builder.add(k, ir.Constant(whole, 1))
        k.add_incoming(ir.Constant(whole, 0), before)
        k.add_incoming(following, body)
        for r in range(count):
            for q in range(4):
                sums[r][q].add_incoming(first[r][q], before)
                sums[r][q].add_incoming(new[r][q], body)
        builder.cbranch(builder.icmp_signed("<", following, depth), body, after)
        builder.position_at_end(after)
        for r in range(count):
            for q in range(4):
                v.store(new[r][q], targets[r][q])
        return context.get_dummy_value()

    whole = types.intp
    return types.void(rows, c, whole, whole, a, whole, whole, whole, b, whole, whole, whole), build


@intrinsic
def cell(typingctx, gates, g0, cells, before, after, hidden, h0):
    """One vector of units, one step: gates (sums -> activations, in place), c_t and h_t."""

    def build(context, builder, signature, arguments):
        gates, g0, cells, before, after, hidden, h0 = arguments
        kinds = signature.args
        v = Vector(builder, kinds[0].dtype)
        gates = element(context, builder, kinds[0], gates, g0)
        gates = [builder.gep(gates, [ir.Constant(g0.type, q * v.lanes)]) for q in range(4)]
        i, f, g, o = (
            v.tanh(v.load(p)) if q == 2 else v.sigmoid(v.load(p)) for q, p in enumerate(gates)
        )
        previous = v.load(element(context, builder, kinds[2], cells, before))
        c = v.fma(f, previous, v.mul(i, g))
        for value, place in zip((i, f, g, o), gates, strict=True):
            v.store(value, place)
        v.store(c, element(context, builder, kinds[2], cells, after))
        v.store(v.mul(o, v.tanh(c)), element(context, builder, kinds[5], hidden, h0))
        return context.get_dummy_value()

    whole = types.intp
    return types.void(gates, whole, cells, whole, whole, hidden, whole), build


@intrinsic
def cell_back(typingctx, gates, g0, cells, before, dh, dc, d0, dgates, dg0):
    """The gradients of `cell`: dgates from dh and dc; dc becomes the gradient of c_{t-1}."""

    def build(context, builder, signature, arguments):
        gates, g0, cells, before, dh, dc, d0, dgates, dg0 = arguments
        kinds = signature.args
        v = Vector(builder, kinds[0].dtype)

        def four(kind, array, start):
            start = element(context, builder, kind, array, start)
            return [builder.gep(start, [ir.Constant(g0.type, q * v.lanes)]) for q in range(4)]

        i, f, g, o = (v.load(p) for p in four(kinds[0], gates, g0))
        previous = v.load(element(context, builder, kinds[2], cells, before))
        tanh = v.tanh(v.fma(f, previous, v.mul(i, g)))
        one = v.number(1.0)
        dh = v.load(element(context, builder, kinds[4], dh, d0))
        dc_place = element(context, builder, kinds[5], dc, d0)
        dc = v.mul(v.mul(dh, o), v.sub(one, v.mul(tanh, tanh)))
        dc = v.add(dc, v.load(dc_place))
        gradients = (
            v.mul(v.mul(dc, g), v.mul(i, v.sub(one, i))),
            v.mul(v.mul(dc, previous), v.mul(f, v.sub(one, f))),
            v.mul(v.mul(dc, i), v.sub(one, v.mul(g, g))),
            v.mul(v.mul(dh, tanh), v.mul(o, v.sub(one, o))),
        )
        for value, place in zip(gradients, four(kinds[7], dgates, dg0), strict=True):
            v.store(value, place)
        v.store(v.mul(dc, f), dc_place)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(gates, whole, cells, whole, dh, dc, whole, dgates, whole), build


@intrinsic(prefer_literal=True)
def sweep(typingctx, name, count, x, x0, y, y0, value):
    """x[k] = 0 | y[k], or x[k] += value y[k], for `count` numbers, a whole number of vectors.

    An own loop, since Numba's checks for negative indices keep LLVM from a plain one.
    """
    what = name.literal_value

    def step(v, x, y, value):
        if what == "zero":
            v.store(v.number(0.0), x)
        elif what == "copy":
            v.store(v.load(y), x)
        else:
            v.store(v.fma(value, v.load(y), v.load(x)), x)

    def build(context, builder, signature, arguments):
        _, count, x, x0, y, y0, value = arguments
        kinds = signature.args
        v = Vector(builder, kinds[2].dtype)
        value = v.spread(context.cast(builder, value, kinds[6], kinds[2].dtype))
        x = element(context, builder, kinds[2], x, x0)
        y = element(context, builder, kinds[4], y, y0)
        with _vectors(builder, count, v.lanes) as k:
            step(v, builder.gep(x, [k]), builder.gep(y, [k]), value)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(name, whole, x, whole, y, whole, value), build


def _over_time(y, pick, x, body):
    """An intrinsic of max-pooling: `body` on the vectors of y and pick (at y0) and x (at x0).

    Its arguments are count, y, pick, y0, x, x0 and the step in time.
    """

    def build(context, builder, signature, arguments):
        count, y, pick, y0, x, x0, step = arguments
        kinds = signature.args
        v = Vector(builder, kinds[1].dtype)
        steps = v.spread(builder.trunc(step, ir.IntType(32)))
        y = element(context, builder, kinds[1], y, y0)
        pick = element(context, builder, kinds[2], pick, y0)
        x = element(context, builder, kinds[4], x, x0)
        with _vectors(builder, count, v.lanes) as k:
            body(v, *(builder.gep(place, [k]) for place in (y, pick, x)), steps)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(whole, y, pick, whole, x, whole, whole), build


@intrinsic
def take_max(typingctx, count, out, pick, y0, hidden, x0, step):
    """out = max(out, hidden) and where hidden is the larger, or NaN, pick = step."""

    def body(v, out, pick, hidden, steps):
        old, new = v.load(out), v.load(hidden)
        more = v.builder.fcmp_unordered(">", new, old)
        v.store(v.builder.select(more, new, old), out)
        v.store(v.builder.select(more, steps, v.load(pick, steps.type)), pick)

    return _over_time(out, pick, hidden, body)


@intrinsic
def give_max(typingctx, count, grad, pick, y0, dh, x0, step):
    """dh += grad where pick == step."""

    def body(v, grad, pick, dh, steps):
        here = v.builder.icmp_signed("==", v.load(pick, steps.type), steps)
        more = v.builder.select(here, v.load(grad), v.number(0.0))
        v.store(v.add(v.load(dh), more), dh)

    return _over_time(grad, pick, dh, body)


def columns(dtype: torch.dtype) -> int:
    """Columns of a tile; hidden and input sizes are padded to a multiple of it."""
    return 4 * _BYTES // dtype.itemsize


@njit(cache=True, nogil=True)
def tiles(rows, c, c0, cr, a, a0, ar, ak, b, b0, bk, depth):
    """`tile` for any number of rows, in tiles of nearly equal height."""
    pieces = (rows + ROWS - 1) // ROWS
    for piece in range(pieces):
        first = rows * piece // pieces
        height = rows * (piece + 1) // pieces - first
        x, y = c0 + first * cr, a0 + first * ar
        if height == 6:
            tile(6, c, x, cr, a, y, ar, ak, b, b0, bk, depth)
        elif height == 5:
            tile(5, c, x, cr, a, y, ar, ak, b, b0, bk, depth)
        elif height == 4:
            tile(4, c, x, cr, a, y, ar, ak, b, b0, bk, depth)
        elif height == 3:
            tile(3, c, x, cr, a, y, ar, ak, b, b0, bk, depth)
        elif height == 2:
            tile(2, c, x, cr, a, y, ar, ak, b, b0, bk, depth)
        else:
            tile(1, c, x, cr, a, y, ar, ak, b, b0, bk, depth)


@njit(parallel=True, cache=True, nogil=True)
def project(table, size, bias, weights, out):
    """out (U, G) = table (U, size) @ weights + bias; weights (G / columns, size, columns)."""
    width, columns = len(bias), 4 * lanes_of(bias)
    count = len(out) // width
    for piece in prange((count + WORDS - 1) // WORDS):
        first = piece * WORDS
        rows = min(WORDS, count - first)
        for row in range(first, first + rows):
            sweep("copy", width, out, row * width, bias, 0, 0)
        for block in range(width // columns):
            tiles(rows, out, first * width + block * columns, width, table, first * size, size, 1,
                   weights, block * size * columns, columns, size)  # fmt: skip
