"""The LSTM of `recurrence` on a CUDA GPU, in float32: one block of threads a text and direction.

cuDNN takes a batch step by step, for its longest text: on whole reviews that is a thousand steps,
each of some small kernels. Here each text walks by itself, in one kernel, from its first token to
its last. The weights that every step needs lie in the block's registers and what has no room there
in the first-level cache, so that a step waits for no memory far away. Nothing is padded.

As on the CPU, w_ih x + b is computed once for each different word. Sums over tokens are in no fixed
order, so that two trainings agree to rounding, not to the bit.
"""

from __future__ import annotations

import math
import warnings
from functools import cache

import numpy as np
import torch
from numba import config, cuda, float32
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lottery.kernels.recurrence import Layers

config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a last batch has few texts, and is rightly small

MOST = 128  # units: more, and a step's weights no longer lie near
_REGISTERS = 65_536  # of a block; a thread has 255 at most, four warps of 32 get them by the eight
_OTHERS = 64  # registers of a thread that hold no weight
place = np.uint64


def takes(table: Tensor, hidden: int) -> bool:
    """Are there kernels for words of this type and place, and so many units?"""
    fits = table.dtype == torch.float32 and hidden <= MOST and hidden % 4 == 0
    # Numba launches on PyTorch's current GPU; on another one PyTorch's layer computes.
    here = table.device.type == "cuda" and table.device.index == torch.cuda.current_device()
    return fits and here and _compiles()


@cache
def _compiles() -> bool:
    """Can Numba compile for this GPU? What it lacks shows in a kernel that does nothing."""
    try:
        cuda.jit(_nothing)[1, 1](0)
    except Exception as why:  # whatever a driver, a compiler or a version is in want of
        warnings.warn(
            f"PyTorch's LSTM is used, which is slower: Numba compiles nothing for this GPU ({why})",
            stacklevel=2,
        )
        return False
    return True


def _nothing(number) -> None:
    """A kernel."""


def lstm_pooled(table: Tensor, index: Tensor, offsets: Tensor, layers: Layers, how: str) -> Tensor:
    """(B, D*H) as `recurrence.lstm_pooled` gives it, of the same arguments on a GPU."""
    for number, layer in enumerate(layers):
        w_ih, w_hh, b_ih, b_hh = zip(*layer, strict=True)
        if not torch.is_grad_enabled():  # a Function sees who requires a gradient, not the mode
            w_hh = [weight.detach() for weight in w_hh]
        bias = torch.cat([x + y for x, y in zip(b_ih, b_hh, strict=True)])
        words = functional.linear(table, torch.cat(w_ih), bias)  # (U, D*4H)
        last = number == len(layers) - 1
        table = _Walk.apply(words, index, offsets, last and how == "max", *w_hh)
        index = torch.arange(len(index), dtype=torch.int32, device=index.device)
    return table if how == "max" else _pool(table, offsets, len(layers[-1]), how)


def _pool(states: Tensor, offsets: Tensor, directions: int, how: str) -> Tensor:
    """The mean over each text's states (T, D*H), or the last ones of each direction's walk."""
    if how == "mean":
        lengths = offsets.diff()
        text = torch.arange(len(lengths), device=states.device).repeat_interleave(lengths)
        sums = states.new_zeros(len(lengths), states.shape[1]).index_add(0, text, states)
        return sums / lengths[:, None]
    ends = (offsets[1:] - 1, offsets[:-1])[:directions]
    walks = states.chunk(directions, 1)
    return torch.cat([walk[end] for walk, end in zip(walks, ends, strict=True)], 1)


class _Walk(torch.autograd.Function):
    """From a layer's gates but for w_hh h, a row for each word: its states (T, D*H), or pooled
    by maximum (B, D*H)."""

    @staticmethod
    def forward(ctx, words, index, offsets, pooled, *w_hh):
        directions, (width, hidden) = len(w_hh), w_hh[0].shape
        keep = any(ctx.needs_input_grad)
        tokens, texts, units = len(index), len(offsets) - 1, directions * hidden
        kept = tokens if keep else 1
        gates = words.new_empty(kept, directions * width)
        before, cells = words.new_empty(2, kept, units)
        out = words.new_empty(texts if pooled else tokens, units)
        won = index.new_empty(texts if pooled else 1, units)
        weights = torch.cat([_by_unit(weight.detach()) for weight in w_hh])
        forward, _ = kernels(hidden, directions)
        _launch(forward, texts * directions, width, words, index, offsets, weights,
                keep, pooled, gates, before, cells, out, won)  # fmt: skip
        if keep:
            ctx.save_for_backward(index, offsets, gates, before, cells, won, *w_hh)
            ctx.facts = pooled, len(words)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        index, offsets, gates, before, cells, won, *w_hh = ctx.saved_tensors
        pooled, words = ctx.facts
        directions, (width, hidden) = len(w_hh), w_hh[0].shape
        slopes = torch.empty_like(gates)
        weights = torch.cat([_by_gate(weight.detach()) for weight in w_hh])
        _, backward = kernels(hidden, directions)
        texts = len(offsets) - 1
        _launch(backward, texts * directions, width, offsets, weights, pooled,
                gates, cells, grad.contiguous(), won, slopes)  # fmt: skip
        dwords = slopes.new_zeros(words, slopes.shape[1]).index_add_(0, index, slopes)
        parts = zip(slopes.chunk(directions, 1), before.chunk(directions, 1), strict=True)
        return dwords, None, None, None, *(slope.t() @ state for slope, state in parts)


def _by_unit(weight: Tensor) -> Tensor:
    """w_hh as the walk forth reads it, flat (H, 4H): [4 i + gate, 4 unit + part] meets
    h[4 i + part]."""
    hidden = weight.shape[1]
    cut = weight.view(4, hidden, hidden // 4, 4)  # gate, unit, i, part
    return cut.permute(2, 0, 1, 3).flatten()


def _by_gate(weight: Tensor) -> Tensor:
    """The same for the walk back: [4 i + k, 16 group + part] leads from row 16 i + part of w_hh to
    unit 4 group + k."""
    hidden = weight.shape[1]
    cut = weight.view(hidden // 4, 16, hidden // 4, 4)  # i, part, group, k
    return cut.permute(0, 3, 2, 1).flatten()


def _view(tensor: Tensor):
    """The tensor's own memory, as a kernel takes it."""
    return cuda.as_cuda_array(tensor)


def _launch(kernel, blocks: int, threads: int, *arguments) -> None:
    """On the stream of PyTorch, so that neither waits for the other."""
    arguments = [_view(a.detach()) if isinstance(a, Tensor) else a for a in arguments]
    stream = torch.cuda.current_stream().cuda_stream if torch.cuda.is_available() else 0
    kernel[blocks, threads, cuda.external_stream(stream) if stream else 0](*arguments)


@cache
def kernels(hidden: int, directions: int) -> tuple:
    """The walk forth and the walk back, for blocks of 4 * `hidden` threads.

    In a matrix product thread `me` takes a sixteenth or a quarter of the sum for four results. Then
    the first `hidden` threads add the parts, a unit each.
    """
    width = 4 * hidden
    most = min(255, _REGISTERS // (-(-width // 128) * 128) // 8 * 8)
    near = min(hidden, 4 * max(1, (most - _OTHERS) // 4))  # weights of a thread in registers
    steps, near_steps, sums = hidden // 4, near // 4, (16, hidden)
    zero, half, one, lowest = (np.float32(value) for value in (0, 0.5, 1, -math.inf))
    # Places are unsigned: of a signed one each access asks whether it counts from the end.
    one_on, two, three, four, sixteen = (place(value) for value in (1, 2, 3, 4, 16))
    across, units, both = place(width), place(hidden), place(directions)

    @cuda.jit(device=True)
    def four_sums(own, weights, mine, values, stride, part):
        """This thread's part of four results: of `values` every `stride`th from `part` on."""
        s_0 = s_1 = s_2 = s_3 = zero
        for k in range(near_steps):
            value = values[place(stride * k) + part]
            s_0 += own[4 * k] * value
            s_1 += own[4 * k + 1] * value
            s_2 += own[4 * k + 2] * value
            s_3 += own[4 * k + 3] * value
        for k in range(near_steps, steps):
            value = values[place(stride * k) + part]
            s_0 += weights[mine + place(4 * k * width)] * value
            s_1 += weights[mine + place((4 * k + 1) * width)] * value
            s_2 += weights[mine + place((4 * k + 2) * width)] * value
            s_3 += weights[mine + place((4 * k + 3) * width)] * value
        return s_0, s_1, s_2, s_3

    @cuda.jit(max_registers=most)
    def forward(words, index, offsets, weights, keep, pooled, gates, before, cells, out, won):
        direction, text = place(cuda.blockIdx.x) % both, place(cuda.blockIdx.x) // both
        me = place(cuda.threadIdx.x)
        unit, part = me // four, me % four
        i = direction * across + me
        f, g, o = i + units, i + two * units, i + three * units
        column = direction * units + me
        begin, count = offsets[text], offsets[text + one_on] - offsets[text]
        token = begin + count - 1 if direction else begin
        state = cuda.shared.array(hidden, float32)
        parts = cuda.shared.array(sums, float32)
        own = cuda.local.array(near, float32)
        mine = direction * units * across + me  # a flat array: its strides are then constants
        for k in range(near):
            own[k] = weights[mine + place(k * width)]
        cell, best, winner = zero, lowest, token
        a_i = a_f = a_g = a_o = zero
        if me < hidden:
            state[me] = zero
            word = place(index[place(token)])
            a_i, a_f, a_g, a_o = words[word, i], words[word, f], words[word, g], words[word, o]
        cuda.syncthreads()
        for step in range(count):
            s_i, s_f, s_g, s_o = four_sums(own, weights, mine, state, 4, part)
            parts[part, unit] = s_i
            parts[four + part, unit] = s_f
            parts[place(8) + part, unit] = s_g
            parts[place(12) + part, unit] = s_o
            cuda.syncthreads()
            if me < hidden:
                for k in range(4):
                    a_i += parts[place(k), me]
                    a_f += parts[place(4 + k), me]
                    a_g += parts[place(8 + k), me]
                    a_o += parts[place(12 + k), me]
                a_i = half * math.tanh(half * a_i) + half  # sigmoid
                a_f = half * math.tanh(half * a_f) + half
                a_g = math.tanh(a_g)
                a_o = half * math.tanh(half * a_o) + half
                at = place(token)
                if keep:
                    gates[at, i], gates[at, f], gates[at, g], gates[at, o] = a_i, a_f, a_g, a_o
                    before[at, column], cells[at, column] = state[me], cell
                cell = a_f * cell + a_i * a_g
                h = a_o * math.tanh(cell)
                state[me] = h
                if not pooled:
                    out[at, column] = h
                elif not h <= best:  # NaN counts as the larger
                    best, winner = h, token
                token += -1 if direction else 1
                if step + 1 < count:  # the next word is on its way while the others compute
                    word = place(index[place(token)])
                    a_i, a_f = words[word, i], words[word, f]
                    a_g, a_o = words[word, g], words[word, o]
            cuda.syncthreads()
        if pooled and me < hidden:
            out[text, column], won[text, column] = best, winner

    @cuda.jit(max_registers=most)
    def backward(offsets, weights, pooled, gates, cells, slope, won, slopes):
        direction, text = place(cuda.blockIdx.x) % both, place(cuda.blockIdx.x) // both
        me = place(cuda.threadIdx.x)
        group, part = me // sixteen, me % sixteen
        i = direction * across + me
        f, g, o = i + units, i + two * units, i + three * units
        column = direction * units + me
        begin, count = offsets[text], offsets[text + one_on] - offsets[text]
        token = begin if direction else begin + count - 1
        sent = cuda.shared.array(width, float32)
        parts = cuda.shared.array(sums, float32)
        own = cuda.local.array(near, float32)
        mine = direction * units * across + me  # a flat array: its strides are then constants
        for k in range(near):
            own[k] = weights[mine + place(k * width)]
        d_cell = d_best = cell = a_i = a_f = a_g = a_o = zero
        winner = begin
        if me < hidden:
            for k in range(16):
                parts[place(k), me] = zero
            if pooled:
                d_best, winner = slope[text, column], won[text, column]
            at = place(token)
            a_i, a_f, a_g, a_o = gates[at, i], gates[at, f], gates[at, g], gates[at, o]
            cell = cells[at, column]
        for step in range(count):
            if me < hidden:
                at = place(token)
                d_h = zero
                if not pooled:
                    d_h = slope[at, column]
                elif token == winner:
                    d_h = d_best
                for k in range(16):
                    d_h += parts[place(k), me]
                bent = math.tanh(a_f * cell + a_i * a_g)
                d_cell += d_h * a_o * (one - bent * bent)
                d_i = d_cell * a_g * a_i * (one - a_i)
                d_f = d_cell * cell * a_f * (one - a_f)
                d_g = d_cell * a_i * (one - a_g * a_g)
                d_o = d_h * bent * a_o * (one - a_o)
                d_cell *= a_f
                sent[me], sent[units + me] = d_i, d_f
                sent[two * units + me], sent[three * units + me] = d_g, d_o
                slopes[at, i], slopes[at, f], slopes[at, g], slopes[at, o] = d_i, d_f, d_g, d_o
                token += 1 if direction else -1
                if step + 1 < count:  # the next gates are on their way while the others compute
                    at = place(token)
                    a_i, a_f, a_g, a_o = gates[at, i], gates[at, f], gates[at, g], gates[at, o]
                    cell = cells[at, column]
            cuda.syncthreads()
            s_0, s_1, s_2, s_3 = four_sums(own, weights, mine, sent, 16, part)
            parts[part, four * group] = s_0
            parts[part, four * group + place(1)] = s_1
            parts[part, four * group + place(2)] = s_2
            parts[part, four * group + place(3)] = s_3
            cuda.syncthreads()

    return forward, backward
