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

_LINE = 64  # bytes of a cache's line
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

    def larger(self, old, new):
        """The larger of both, `new` where one is NaN; and where it is `new`."""
        more = self.builder.fcmp_unordered(">", new, old)
        return self.builder.select(more, new, old), more

    def expm1(self, xs, bounds):
        """exp(x) - 1 for each x of `xs`, |x| clamped to its of `bounds`; NaN stays NaN.

        x = n ln 2 + r, |r| <= ln 2 / 2; exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), so that small x
        keep their relative precision; exp(r) - 1 by its Taylor series. Each operation is done for
        all before the next: one x's wait for one another, and a processor looks but little ahead.
        """
        single = self.bits == 32
        degree, mantissa, bias = (7, 23, 127) if single else (13, 52, 1023)
        for sign, past in ((-1, "<"), (1, ">")):
            edges = [self.number(sign * bound) for bound in bounds]
            xs = [
                self.builder.select(self.builder.fcmp_ordered(past, x, edge), edge, x)
                for x, edge in zip(xs, edges, strict=True)
            ]
        # Adding 1.5 * 2^mantissa rounds to a whole number and leaves it in the lowest bits.
        magic, one = self.number(1.5 * 2.0**mantissa), self.number(1.0)
        shifted = [self.fma(x, self.number(1.4426950408889634), magic) for x in xs]
        ns = [self.sub(s, magic) for s in shifted]
        high, low = (0.693145751953125, 1.4286068203094172e-06) if single else _LN2
        rs = [self.fma(n, self.number(-high), x) for n, x in zip(ns, xs, strict=True)]
        rs = [self.fma(n, self.number(-low), r) for n, r in zip(ns, rs, strict=True)]
        factorial = [1.0]
        for k in range(1, degree + 1):
            factorial.append(factorial[-1] * k)
        series = [self.number(1 / factorial[degree])] * len(xs)
        for k in range(degree - 1, 1, -1):
            term = self.number(1 / factorial[k])
            series = [self.fma(s, r, term) for s, r in zip(series, rs, strict=True)]
        squares = [self.mul(r, r) for r in rs]
        ps = [self.fma(q, s, r) for q, s, r in zip(squares, series, rs, strict=True)]
        bits = [self.builder.bitcast(s, self.integer) for s in shifted]
        bits = [self.builder.shl(s, self.whole(mantissa)) for s in bits]
        bits = [self.builder.add(s, self.whole(bias << mantissa)) for s in bits]
        powers = [self.builder.bitcast(s, self.type) for s in bits]
        return [
            self.fma(power, p, self.sub(power, one)) for power, p in zip(powers, ps, strict=True)
        ]

    def gates(self, i, f, g, o):
        """sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)."""
        three = [self.sub(self.number(-0.0), x) for x in (i, f, o)]
        bound = 87.0 if self.bits == 32 else 700.0
        i, f, g, o = self.expm1([*three[:2], self.add(g, g), three[2]], [bound, bound, 40.0, bound])
        one, two = self.number(1.0), self.number(2.0)
        i, f, o = (self.div(one, self.add(grown, two)) for grown in (i, f, o))
        return i, f, self.div(g, self.add(g, two)), o

    def tanh(self, xs):
        """Of each of `xs`."""
        two = self.number(2.0)
        grown = self.expm1([self.add(x, x) for x in xs], [40.0] * len(xs))
        return [self.div(y, self.add(y, two)) for y in grown]


# ln 2 in two parts, the first with enough zero bits that n times it is exact
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)


def as_it_is(module: ir.Module) -> ir.MDValue:
    """A mark on a loop: not to be unrolled. What is unrolled takes longer to compile."""
    off = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    mark = module.add_metadata([ir.Constant(ir.IntType(32), len(module.metadata))])
    mark.operands = mark, off  # its own first operand, so that each loop has one of its own
    return mark


@contextmanager
def vectors(builder, count, lanes):
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
    again = builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    again.set_metadata("llvm.loop", as_it_is(builder.module))
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


@intrinsic
def fetch(typingctx, array, start):
    """Have four vectors of `array` on their way to the second-level cache."""

    def build(context, builder, signature, arguments):
        array, start = arguments
        place = element(context, builder, signature.args[0], array, start)
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        place = builder.bitcast(place, byte)
        for line in range(0, 4 * _BYTES, _LINE):
            at = builder.gep(place, [ir.Constant(start.type, line)])
            builder.call(function, [at, *(ir.Constant(number, k) for k in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), build


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
        again = builder.cbranch(builder.icmp_signed("<", following, depth), body, after)
        again.set_metadata("llvm.loop", as_it_is(builder.module))
        builder.position_at_end(after)
        for r in range(count):
            for q in range(4):
                v.store(new[r][q], targets[r][q])
        return context.get_dummy_value()

    whole = types.intp
    return types.void(rows, c, whole, whole, a, whole, whole, whole, b, whole, whole, whole), build


@intrinsic(prefer_literal=True)
def sweep(typingctx, name, count, x, x0, y, y0, value):
    """x[k] = 0 | y[k] | the larger of x[k] and y[k], or x[k] += value y[k], for `count` numbers.

    These are a whole number of vectors. NaN counts as the larger.

    An own loop, since Numba's checks for negative indices keep LLVM from a plain one.
    """
    what = name.literal_value

    def step(v, x, y, value):
        if what == "zero":
            v.store(v.number(0.0), x)
        elif what == "copy":
            v.store(v.load(y), x)
        elif what == "max":
            v.store(v.larger(v.load(x), v.load(y))[0], x)
        else:
            v.store(v.fma(value, v.load(y), v.load(x)), x)

    def build(context, builder, signature, arguments):
        _, count, x, x0, y, y0, value = arguments
        kinds = signature.args
        v = Vector(builder, kinds[2].dtype)
        value = v.spread(context.cast(builder, value, kinds[6], kinds[2].dtype))
        x = element(context, builder, kinds[2], x, x0)
        y = element(context, builder, kinds[4], y, y0)
        with vectors(builder, count, v.lanes) as k:
            step(v, builder.gep(x, [k]), builder.gep(y, [k]), value)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(name, whole, x, whole, y, whole, value), build


@intrinsic
def add_times(typingctx, count, x, x0, y, y0, value):
    """x[k] += value y[k] for any `count` numbers, by vectors, quarters of them, then singly.

    x and y are of one type and do not overlap, and no place is checked. LLVM's vectoriser would ask
    for overlap at each call, and do the rest of a short row one by one.
    """
    if x.dtype != y.dtype:
        return None

    def build(context, builder, signature, arguments):
        count, x, x0, y, y0, value = arguments
        x = element(context, builder, signature.args[1], x, x0)
        y = element(context, builder, signature.args[3], y, y0)
        v = Vector(builder, signature.args[1].dtype)
        value = context.cast(builder, value, signature.args[5], signature.args[1].dtype)
        whole, done = count.type, ir.Constant(count.type, 0)
        for lanes in sorted({v.lanes, max(v.lanes // 4, 1), 1}, reverse=True):
            v.lanes, v.type = lanes, ir.VectorType(v.scalar, lanes) if lanes > 1 else v.scalar
            before, factor = builder.block, v.spread(value) if lanes > 1 else value
            ask, body = (builder.append_basic_block(name) for name in ("ask", "row"))
            builder.branch(ask)
            builder.position_at_end(ask)
            k = builder.phi(whole)
            following = builder.add(k, ir.Constant(whole, lanes))
            after = builder.append_basic_block("row.end")
            builder.cbranch(builder.icmp_signed("<=", following, count), body, after)
            builder.position_at_end(body)
            place = builder.gep(x, [k])
            more = builder.fmul(factor, v.load(builder.gep(y, [k])), flags=["contract"])
            v.store(builder.fadd(v.load(place), more, flags=["contract"]), place)
            again = builder.branch(ask)
            again.set_metadata("llvm.loop", as_it_is(builder.module))
            k.add_incoming(done, before)
            k.add_incoming(following, body)
            builder.position_at_end(after)
            done = k
        return context.get_dummy_value()

    whole = types.intp
    return types.void(whole, x, whole, y, whole, value), build


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
