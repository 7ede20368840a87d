"""The LSTM's kernels on a GPU: exact to rounding, and their time beside cuDNN's.

`python benchmarks/gpu.py` says for some shapes how far result and gradients are from
`torch.nn.LSTM` in float64 on the CPU, and the milliseconds forth and back of a batch, medians of
ten. cuDNN is met as PyTorch's users meet it: sequences packed, states padded again and pooled.
"""

from __future__ import annotations

import copy
import time

import numpy as np
import torch

from lottery.kernels import recurrence_cuda
from lottery.models.lstm import lstm_pooled_layers
from lottery.training.device import use

# units, size of a word's vector, directions, layers; texts, tokens of the longest, words
SHAPES = (
    (128, 100, 2, 1, 64, 200, 500),
    (128, 100, 2, 1, 3, 40, 9),
    (64, 30, 1, 2, 20, 50, 70),
    (8, 5, 2, 2, 5, 9, 7),
    (4, 3, 1, 1, 4, 6, 5),
    (100, 50, 2, 1, 17, 60, 40),
)
BATCHES = ((64, 800), (64, 60), (256, 800))  # texts, tokens of the longest


def made(hidden, size, directions, layers, texts, longest, words, generator):
    """A layer, the words of a batch of texts with lengths drawn evenly, and their vectors."""
    lstm = torch.nn.LSTM(size, hidden, layers, bidirectional=directions == 2)
    lengths = torch.randint(1, longest + 1, (texts,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    shape = (int(offsets[-1]),)
    index = torch.randint(0, words, shape, generator=generator, dtype=torch.int32)
    return lstm, index, offsets, torch.randn(words, size, generator=generator)


def ours(lstm, index, offsets, table, how):
    """By our kernels."""
    directions = 2 if lstm.bidirectional else 1
    each = lstm.all_weights
    layers = [each[i : i + directions] for i in range(0, len(each), directions)]
    return recurrence_cuda.lstm_pooled(table, index, offsets, layers, how)


def theirs(lstm, index, offsets, table, how):
    """By PyTorch's layer."""
    return lstm_pooled_layers(table, index, offsets, lstm, how)


def both_ways(case, how, by, device, dtype):
    """Result and gradients of one pass, in float64 on the CPU."""
    lstm, index, offsets, table = case
    lstm = copy.deepcopy(lstm).to(device, dtype)
    table = table.to(device, dtype).requires_grad_()
    out = by(lstm, index.to(device), offsets.to(device), table, how)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (out * weight.to(device, dtype)).sum().backward()
    found = [out, table.grad, *(parameter.grad for parameter in lstm.parameters())]
    return [tensor.detach().cpu().double() for tensor in found]


def exactness(generator) -> None:
    """Print the largest relative error of a tensor, for each shape and pooling."""
    for shape in SHAPES:
        for how in ("max", "mean", "last"):
            case = made(*shape, generator)
            exact = both_ways(case, how, theirs, "cpu", torch.float64)
            said = []
            for name, by in (("ours", ours), ("cuDNN", theirs)):
                found = both_ways(case, how, by, "cuda", torch.float32)
                off = max(
                    float((p - q).norm() / q.norm()) for p, q in zip(found, exact, strict=True)
                )
                said.append(f"{name} {off:.1e}")
            print(shape, how, *said, flush=True)


def times(generator) -> None:
    """Print the milliseconds forth and back of a batch."""
    for texts, longest in BATCHES:
        lstm, index, offsets, table = made(128, 100, 2, 1, texts, longest, 5_000, generator)
        lstm, table = lstm.to("cuda"), table.to("cuda").requires_grad_()
        index, offsets = index.to("cuda"), offsets.to("cuda")
        for name, by in (("ours", ours), ("cuDNN", theirs)):
            spent = []
            for _ in range(12):
                torch.cuda.synchronize()
                start = time.perf_counter()
                out = by(lstm, index, offsets, table, "max")
                torch.cuda.synchronize()
                middle = time.perf_counter()
                out.sum().backward()
                torch.cuda.synchronize()
                spent.append((middle - start, time.perf_counter() - middle))
            forth, back = 1e3 * np.median(spent[2:], 0)
            print(f"{texts} texts to {longest}: {name} {forth:.2f} + {back:.2f} ms", flush=True)


if __name__ == "__main__":
    use("cuda")
    if not recurrence_cuda.takes(torch.zeros(1, device="cuda"), 128):
        raise SystemExit("the kernels do not compile here: pip install -r requirements-gpu.txt")
    seeded = torch.Generator().manual_seed(0)
    exactness(seeded)
    times(seeded)
