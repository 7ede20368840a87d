"""The best window of each filter in a text, a few filters at a time in registers."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lottery.kernels.vectors import Vector, element

BYTES = 64  # of the filters that go together: one vector of 512 bits, two of 256
SUMS = 4  # vectors of responses that grow at once


def together(itemsize: int) -> int:
    """Filters that go together, for numbers of so many bytes."""
    return BYTES // itemsize


@intrinsic
def together_of(typingctx, array):
    """`together` of an array's numbers."""
    count = together(array.dtype.bitwidth // 8)

    def build(context, builder, signature, arguments):
        return context.get_constant(types.intp, count)

    return types.intp(array), build


@intrinsic
def best_window(
    typingctx, table, t0, stride, filters, taps, index, first, last, bias, best, winner
):
    """best, winner = the largest response among the windows first..last - 1, and the first such.

    Of window t it is bias + sum_k table[t0 + index[t + k] * stride + k * filters], k < `taps` in
    this order, for the `together` columns from there; what lies past `filters` is of no use. A NaN
    wins over what came before it. Arrays are flat; best (together,), winner int32 (together,).
    """

    def build(context, builder, signature, arguments):
        table, t0, stride, filters, taps, index, first, last, bias, best, winner = arguments
        kinds = signature.args
        v = Vector(builder, kinds[0].dtype)
        whole, small = t0.type, ir.IntType(32)
        parts = range(BYTES // (v.lanes * v.bits // 8))
        zero, one = ir.Constant(whole, 0), ir.Constant(whole, 1)
        table = element(context, builder, kinds[0], table, t0)
        index = element(context, builder, kinds[5], index, zero)
        bias = element(context, builder, kinds[8], bias, zero)
        best = element(context, builder, kinds[9], best, zero)
        winner = element(context, builder, kinds[10], winner, zero)

        def part(place, q):
            return builder.gep(place, [ir.Constant(whole, q * v.lanes)])

        biases = [v.load(part(bias, q)) for q in parts]
        places = ir.VectorType(small, v.lanes)

        def walk(begin, end, abreast, best, winner):
            """The windows begin, begin + abreast, ... below `end`, some abreast: their loads wait
            for one another as little as there is room for in registers. Gives the first window
            that is left, and the best responses so far with their windows."""
            before = builder.block
            ask_ = builder.append_basic_block("windows")
            window_ = builder.append_basic_block("window")
            tap_ = builder.append_basic_block("tap")
            compare_ = builder.append_basic_block("compare")
            after = builder.append_basic_block("windows.end")
            builder.branch(ask_)

            builder.position_at_end(ask_)
            window = builder.phi(whole)
            old = [builder.phi(v.type) for _ in parts]
            places_ = [builder.phi(places) for _ in parts]
            following = builder.add(window, ir.Constant(whole, abreast))
            builder.cbranch(builder.icmp_signed("<=", following, end), window_, after)

            builder.position_at_end(window_)
            builder.branch(tap_)

            builder.position_at_end(tap_)
            tap = builder.phi(whole)
            sums = [[builder.phi(v.type) for _ in parts] for _ in range(abreast)]
            word = builder.gep(index, [builder.add(window, tap)])
            column = builder.gep(table, [builder.mul(tap, filters)])
            new = []
            for aside, totals in enumerate(sums):
                row = builder.load(builder.gep(word, [ir.Constant(whole, aside)]))
                place = builder.gep(column, [builder.mul(builder.sext(row, whole), stride)])
                new.append([v.add(t, v.load(part(place, q))) for q, t in enumerate(totals)])
            next_ = builder.add(tap, one)
            for totals, values in zip(sums, new, strict=True):
                for total, start, value in zip(totals, biases, values, strict=True):
                    total.add_incoming(start, window_)
                    total.add_incoming(value, tap_)
            tap.add_incoming(zero, window_)
            tap.add_incoming(next_, tap_)
            builder.cbranch(builder.icmp_signed("<", next_, taps), tap_, compare_)

            builder.position_at_end(compare_)
            highest, won = old, places_
            for aside, values in enumerate(new):
                here = builder.add(window, ir.Constant(whole, aside))
                here = v.spread(builder.trunc(here, small))
                highest, more = zip(*map(v.larger, highest, values), strict=True)
                won = [builder.select(m, here, p) for m, p in zip(more, won, strict=True)]
            builder.branch(ask_)
            window.add_incoming(begin, before)
            window.add_incoming(following, compare_)
            for q in parts:
                old[q].add_incoming(best[q], before)
                old[q].add_incoming(highest[q], compare_)
                places_[q].add_incoming(winner[q], before)
                places_[q].add_incoming(won[q], compare_)
            builder.position_at_end(after)
            return window, old, places_

        highest = [v.number(float("-inf"))] * len(parts)
        won = [v.spread(builder.trunc(first, small))] * len(parts)
        for abreast in (SUMS // len(parts), 1):
            first, highest, won = walk(first, last, abreast, highest, won)
        for q in parts:
            v.store(highest[q], part(best, q))
            v.store(won[q], part(winner, q))
        return context.get_dummy_value()

    size = types.intp
    return (
        types.void(table, size, size, size, size, index, size, size, bias, best, winner),
        build,
    )
