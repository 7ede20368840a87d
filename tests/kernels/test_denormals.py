"""Numbers too small for a normal float: zero within the LSTM's kernels, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from llvmlite import binding, ir
from numba import njit

from kernels.test_recurrence import batch, gradients, network, weights
from kernels.test_sparse import prune
from lottery.kernels import denormals
from lottery.kernels.denormals import flush_denormals, restore
from lottery.kernels.recurrence import lstm_pooled, patterns

SMALLEST = np.finfo(np.float32).tiny


@njit
def halved(x):
    before = flush_denormals()
    result, doubled = x[0] * np.float32(0.5), x[1] * np.float32(2)
    restore(before)
    return result, doubled, x[0] * np.float32(0.5)


def test_results_and_operands_are_zero_until_restored():
    result, doubled, after = halved(np.array([SMALLEST, SMALLEST / 2], np.float32))
    assert result == 0
    assert doubled == 0
    assert after == SMALLEST / 2 > 0


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "pruned"])
def test_a_gradient_fades_to_zero_at_once(density):
    """Of 300 steps only the last gets a gradient; on its way back it fades below a normal float."""
    net = network(20, 64)
    masks = prune(net, density)
    for weight in net.parameters():
        weight.data *= 0.1
    table, index, offsets = batch([300] * 8, 100, 20)
    kept = patterns(masks, table.dtype) if density < 1 else None
    inputs, arguments = [table, *net.parameters()], (table, index, offsets, weights(net), "last")
    found = gradients(lstm_pooled(*arguments, kept) * 1e-30, inputs)
    assert any(part.any() for part in found)
    whole = gradients(lstm_pooled(*arguments) * 1e-30, inputs)
    assert torch.equal(found[0], whole[0]), "pruned and dense take the same numbers as zero"
    for part in found:
        small = part[part != 0].abs()
        assert (small >= SMALLEST).all()
    assert torch.tensor(float(SMALLEST)) / 2 > 0  # this thread is as it was


def test_arm_has_its_own_register(monkeypatch):
    monkeypatch.setattr(denormals, "_X86", False)
    monkeypatch.setattr(denormals, "_ARM", True)
    module = ir.Module()
    module.triple = "aarch64-unknown-linux-gnu"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    denormals._set_mode(builder, denormals._mode(builder))
    builder.ret_void()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(module.triple).create_target_machine()
    code = machine.emit_assembly(binding.parse_assembly(str(module))).lower()
    assert "mrs\t" in code and "msr\t" in code and code.count("fpcr") == 2
