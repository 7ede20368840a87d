"""A step of the LSTM's cell on vectors, forward and back, and its pooling over time.

See `recurrence` for the equations and the layout of the gates.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from lottery.kernels.vectors import Vector, element, lanes_of, vectors

STATES, MAX, MEAN, LAST = range(4)  # what is given: every state, or the states pooled over a text
TOGETHER = 4  # vectors: one's operations wait for one another, and others fill the time


@intrinsic(prefer_literal=True)
def gates_and_cell(typingctx, keep, gates, g0, apart, cells, before, after):
    """One vector, one step: gates (sums -> activations, in place; `apart` from one another), c_t.

    keep (literal): all gates are wanted, and not the output gate alone. `state` follows when all
    vectors beside have come so far: the one's exponentials then need not wait for the other's.
    """
    wanted = range(4) if keep.literal_value else (3,)

    def build(context, builder, signature, arguments):
        _, gates, g0, apart, cells, before, after = arguments
        kinds = signature.args
        v = Vector(builder, kinds[1].dtype)
        gates = element(context, builder, kinds[1], gates, g0)
        gates = [
            builder.gep(gates, [builder.mul(apart, ir.Constant(g0.type, q))]) for q in range(4)
        ]
        values = i, f, g, _ = v.gates(*(v.load(place) for place in gates))
        previous = v.load(element(context, builder, kinds[4], cells, before))
        for q in wanted:
            v.store(values[q], gates[q])
        c = v.fma(f, previous, v.mul(i, g))
        v.store(c, element(context, builder, kinds[4], cells, after))
        return context.get_dummy_value()

    whole = types.intp
    return types.void(keep, gates, whole, whole, cells, whole, whole), build


@njit(cache=True, nogil=True)
def together(array):
    """Vectors that one call of `state` computes."""
    return min(lanes_of(array), TOGETHER)


@intrinsic
def state(typingctx, gates, o0, apart, cells, c0, hidden, h0, step):
    """h_t of `together` vectors, from their output gates, `apart` from one another, and c_t.

    step: from vector to vector in cells and hidden.
    """

    def build(context, builder, signature, arguments):
        gates, o0, apart, cells, c0, hidden, h0, step = arguments
        kinds = signature.args
        v = Vector(builder, kinds[0].dtype)

        def some(kind, array, start, step):
            start = element(context, builder, kind, array, start)
            numbers = [ir.Constant(o0.type, k) for k in range(min(v.lanes, TOGETHER))]
            return [builder.gep(start, [builder.mul(step, number)]) for number in numbers]

        opens = [v.load(place) for place in some(kinds[0], gates, o0, apart)]
        tanhs = v.tanh([v.load(place) for place in some(kinds[3], cells, c0, step)])
        for o, tanh, place in zip(opens, tanhs, some(kinds[5], hidden, h0, step), strict=True):
            v.store(v.mul(o, tanh), place)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(gates, whole, whole, cells, whole, hidden, whole, whole), build


@intrinsic
def cell_back(typingctx, gates, g0, cells, before, dh, dc, d0, dgates, dg0):
    """Back through `state` and `gates_and_cell`: dgates from dh and dc; dc then is c_{t-1}'s."""

    def build(context, builder, signature, arguments):
        gates, g0, cells, before, dh, dc, d0, dgates, dg0 = arguments
        kinds = signature.args
        v = Vector(builder, kinds[0].dtype)

        def four(kind, array, start):
            start = element(context, builder, kind, array, start)
            return [builder.gep(start, [ir.Constant(g0.type, q * v.lanes)]) for q in range(4)]

        i, f, g, o = (v.load(p) for p in four(kinds[0], gates, g0))
        previous = v.load(element(context, builder, kinds[2], cells, before))
        (tanh,) = v.tanh([v.fma(f, previous, v.mul(i, g))])
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
        with vectors(builder, count, v.lanes) as k:
            body(v, *(builder.gep(place, [k]) for place in (y, pick, x)), steps)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(whole, y, pick, whole, x, whole, whole), build


@intrinsic
def take_max(typingctx, count, out, pick, y0, hidden, x0, step):
    """out = max(out, hidden) and where hidden is the larger, or NaN, pick = step."""

    def body(v, out, pick, hidden, steps):
        most, more = v.larger(v.load(out), v.load(hidden))
        v.store(most, out)
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
