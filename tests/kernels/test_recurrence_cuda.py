"""The GPU's LSTM, by Numba's simulator where there is no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from numba import cuda

from lottery.kernels import recurrence_cuda
from lottery.models.lstm import lstm_pooled_layers

SIMULATOR = Path(__file__).parents[1] / "helpers" / "cuda_simulator.py"
CASES = [
    (4, 2, 1, "max"),
    (8, 2, 2, "mean"),
    (8, 1, 1, "last"),
    (4, 2, 2, "last"),
    (8, 1, 2, "max"),
]
a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.process
def test_the_simulated_gpu_gives_the_cpus_numbers():
    command = [sys.executable, SIMULATOR, json.dumps(CASES)]  # one process: it starts slowly
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for (_, directions, layers, _), found in zip(CASES, json.loads(done.stdout), strict=True):
        assert len(found) == 2 + 4 * directions * layers and max(found) < 2e-6


@a_gpu
@pytest.mark.parametrize("how", ["max", "mean", "last"])
@pytest.mark.parametrize("hidden", [4, 100, 128])
def test_the_gpu_gives_pytorchs_numbers_in_float64(hidden, how):
    torch.manual_seed(0)
    net = torch.nn.LSTM(30, hidden, 2, bidirectional=True)
    lengths = torch.randint(1, 90, (40,))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    index = torch.randint(50, (int(offsets[-1]),), dtype=torch.int32)
    table = torch.randn(50, 30)
    found = []
    for device, dtype in (("cpu", torch.float64), ("cuda", torch.float32)):
        net = net.to(device, dtype)
        words = table.to(device, dtype).requires_grad_()
        places = index.to(device), offsets.to(device)
        if device == "cuda":
            assert recurrence_cuda.takes(words, hidden)
            each = net.all_weights
            layers = [each[:2], each[2:]]
            out = recurrence_cuda.lstm_pooled(words, *places, layers, how)
        else:
            out = lstm_pooled_layers(words, *places, net, how)
        slope = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
        net.zero_grad()
        (out * slope.to(device, dtype)).sum().backward()
        parts = [out.detach(), words.grad, *(part.grad for part in net.parameters())]
        found.append([part.cpu().double() for part in parts])
    for exact, ours in zip(*found, strict=True):
        assert (ours - exact).norm() < 3e-6 * exact.norm()


def test_only_float32_on_a_gpu_is_taken():
    assert not recurrence_cuda.takes(torch.zeros(2, 3), 8)
    words = torch.zeros(2, 3, device="meta")
    assert not recurrence_cuda.takes(words, 8) and not recurrence_cuda.takes(words.double(), 8)


@pytest.mark.skipif(cuda.is_available(), reason="Numba compiles for this GPU")
def test_a_gpu_that_numba_cannot_compile_for_is_told_of_once():
    recurrence_cuda._compiles.cache_clear()
    with pytest.warns(UserWarning, match=r"PyTorch's LSTM is used.*Numba compiles nothing"):
        assert not recurrence_cuda._compiles()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not recurrence_cuda._compiles()
