"""The GPU's kernels run by Numba's simulator, beside the CPU's: prints the largest differences.

A process of its own, for the simulator must be chosen before Numba is imported.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import torch
from numba import cuda

jit = cuda.jit
# The simulator knows none of the compiler's options.
cuda.jit = lambda device=False, **options: jit(device=device)

from lottery.kernels import recurrence, recurrence_cuda  # noqa: E402

recurrence_cuda._view = torch.Tensor.numpy
launch, kept = recurrence_cuda._launch, []


def noted(kernel, blocks, threads, *arguments):
    """A launch; of the walks forth it is noted whether they keep what a gradient needs."""
    kept.extend(value for value in arguments[4:5] if len(arguments) == 11)
    launch(kernel, blocks, threads, *arguments)


recurrence_cuda._launch = noted


def differences(hidden: int, directions: int, layers: int, how: str) -> list[float]:
    """Of the result and of every gradient, each in parts of the largest number in it."""
    torch.manual_seed(0)
    net = torch.nn.LSTM(5, hidden, layers, bidirectional=directions == 2)
    each = net.all_weights
    weights = [each[k : k + directions] for k in range(0, len(each), directions)]
    table = torch.randn(6, 5, requires_grad=True)
    index = torch.randint(6, (9,), dtype=torch.int32)
    offsets = torch.tensor([0, 1, 6, 9])
    found = []
    for module in (recurrence, recurrence_cuda):
        out = module.lstm_pooled(table, index, offsets, weights, how)
        kept.clear()
        with torch.no_grad():  # where no gradient is wanted, less is written
            assert torch.equal(module.lstm_pooled(table, index, offsets, weights, how), out)
        assert kept == [False] * layers * (module is recurrence_cuda)
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
        parts = [table, *net.parameters()]
        found.append([out.detach(), *(part.grad for part in parts)])
        for part in parts:
            part.grad = None
    with torch.no_grad():
        broken = table.index_fill(0, index[3:4].long(), float("nan"))
        lost = [
            module.lstm_pooled(broken, index, offsets, weights, how).isnan()
            for module in (recurrence, recurrence_cuda)
        ]
    assert lost[0].any() and torch.equal(*lost)
    pairs = zip(*found, strict=True)
    return [float((one - other).abs().max() / one.abs().max()) for one, other in pairs]


if __name__ == "__main__":
    print(json.dumps([differences(*case) for case in json.loads(sys.argv[1])]))
