"""Numbers below the smallest normal one count as zero while a task of the LSTM's walks runs.

Over hundreds of steps a gradient fades to such numbers, in a pruned network soonest, and some
processors take a hundred cycles for each operation on one: there a pruned LSTM trained six times
slower than its dense network. A task sets the mode of the thread it runs on and puts the old one
back, so that what else the thread does is as it was, and results are the same on any number of
threads.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_MACHINE = binding.get_default_triple().split("-")[0]
_X86 = _MACHINE in ("x86_64", "amd64")
_ARM = _MACHINE in ("aarch64", "arm64")
# Intel's manual, volume 1, 10.2.3: bit 15 of MXCSR flushes results, bit 6 takes operands as zero.
# Arm's, FPCR: bit 24 does both.
_FLUSH = 1 << 15 | 1 << 6 if _X86 else 1 << 24


@intrinsic
def flush_denormals(typingctx):
    """Take numbers below the smallest normal one as zero on this thread, from here on.

    Gives the thread's mode before (uint64), for `restore`. On processors of other kinds: nothing.
    """

    def build(context, builder, signature, arguments):
        before = _mode(builder)
        _set_mode(builder, builder.or_(before, ir.Constant(before.type, _FLUSH)))
        return before

    return types.uint64(), build


@intrinsic
def restore(typingctx, before):
    """Put this thread's mode back to what `flush_denormals` gave."""

    def build(context, builder, signature, arguments):
        _set_mode(builder, *arguments)
        return context.get_dummy_value()

    return types.void(types.uint64), build


def _mode(builder):
    """The register that says how this thread treats them, as 64 bits; 0 on other processors."""
    if _X86:
        place = cgutils.alloca_once(builder, ir.IntType(32))
        _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), _bytes(builder, place))
        return builder.zext(builder.load(place), ir.IntType(64))
    if _ARM:
        return _call(builder, "llvm.aarch64.get.fpcr", ir.IntType(64))
    return ir.Constant(ir.IntType(64), 0)


def _set_mode(builder, mode):
    if _X86:
        place = cgutils.alloca_once(builder, ir.IntType(32))
        builder.store(builder.trunc(mode, ir.IntType(32)), place)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), _bytes(builder, place))
    elif _ARM:
        _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), mode)


def _bytes(builder, place):
    return builder.bitcast(place, ir.IntType(8).as_pointer())


def _call(builder, name: str, result, *arguments):
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments)
