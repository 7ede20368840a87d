"""Tickets beside their dense network: whole training steps, inference, and one product by itself.

The masks keep random places, every layer at the same sparsity, so that nothing here depends on a
study. Dense network and tickets take turns on the same batches; a ratio is dense over ticket in one
round, given are medians and quartiles over the rounds. Whatever is multiplied, Adam has weight
decay on both sides. Where this project's extra `onnx` is installed ONNX Runtime answers, too: the
masked network as `lottery export --onnx` writes it, on texts of like length, padded. Peak memory is
that of a process that trains one network.
"""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from machine import quartiles, seconds
from torch import nn

from lottery import models
from lottery.data.batches import Split, batches, by_length
from lottery.files import UserError
from lottery.pruning.masks import Mask, full_mask, prunable
from lottery.settings import Settings
from lottery.tickets import onnx
from lottery.training import device, epoch
from lottery.training.adam import Adam

SPARSITIES = (0.5, 0.75, 0.875, 0.9375, 0.984)
BATCHES = (1, 2, 4, 15, 16, 17, 64, 256)  # texts: full vectors and tiles, and one past them
OF_BATCHES = 0.875  # the sparsity of inference by batch size, of ONNX Runtime and of memory
DECAY = 1e-4


class Network:
    """A dense network or a ticket in the middle of its training."""

    def __init__(self, settings: Settings, words: int, outputs: int, sparsity: float) -> None:
        self.settings = settings
        self.model = models.build(settings, words, outputs)
        first = models.draw(self.model, 0)
        mask = random_places(first, sparsity) if sparsity else None
        for name, kept in (mask or {}).items():
            first[name].masked_fill_(~kept, 0.0)
        self.model.load_state_dict(first)
        self.model.wear(mask)
        parameters = dict(self.model.named_parameters())
        self.adam = Adam(parameters, mask, settings.learning_rate, weight_decay=DECAY)

    def train(self, split: Split) -> None:
        """One pass over `split`, by the training's own code."""
        epoch.train_epoch(self.model, self.adam, split, self.settings, 1, epoch.Progress())

    @torch.no_grad()
    def answer(self, split: Split, size: int = 64) -> None:
        """Logits of `split`, `size` texts at a time."""
        self.model.eval()
        for batch in batches(split, size):
            self.model(batch)


def random_places(weights: dict[str, torch.Tensor], sparsity: float) -> Mask:
    """A mask that keeps about the same share of every layer."""
    draw = torch.Generator().manual_seed(0)
    mask = full_mask(weights)
    for part in prunable(mask).values():
        part &= torch.rand(part.shape, generator=draw) >= sparsity
    return mask


def measure(
    settings: Settings, split: Split, words: int, outputs: int, steps: int, rounds: int
) -> dict[str, Any]:
    """Ratios of a model on a corpus; keys as "step_ratio.0.875"."""
    networks = {s: Network(settings, words, outputs, s) for s in (0.0, *SPARSITIES)}
    engine = _engine(networks[OF_BATCHES])
    spent: dict[tuple[str, float], list[float]] = {}
    small: dict[tuple[int, float], list[float]] = {}
    for number in range(rounds + 1):  # the first round compiles and warms, and is left out
        order = np.random.default_rng(number).permutation(len(split))
        some = split.take(order[: steps * settings.batch_size])
        for sparsity, network in networks.items():
            network.train(some.take(np.arange(settings.batch_size)))  # the one before left caches
            for name, work in (("step", network.train), ("inference", network.answer)):
                spent.setdefault((name, sparsity), []).append(seconds(work, some))
        if engine:
            alike = some.take(by_length(some))  # as the ways that pad get them
            for name, work in (("alike", networks[OF_BATCHES].answer), ("onnx", engine)):
                spent.setdefault((name, OF_BATCHES), []).append(seconds(work, alike))
        for size in BATCHES:
            texts = split.take(order[: max(size, min(8 * size, 64))])
            for sparsity in (0.0, OF_BATCHES):
                network = networks[sparsity]
                network.answer(texts, size)
                small.setdefault((size, sparsity), []).append(seconds(network.answer, texts, size))
    found: dict[str, Any] = {}
    for name in ("step", "inference"):
        dense = np.array(spent[name, 0.0][1:])
        found[f"{name}_ms.0"] = float(np.median(dense)) / steps * 1e3
        for sparsity in SPARSITIES:
            own = np.array(spent[name, sparsity][1:])
            found[f"{name}_ms.{sparsity:g}"] = float(np.median(own)) / steps * 1e3
            found |= quartiles(f"{name}_ratio.{sparsity:g}", dense / own)
    if engine:
        theirs, own = (np.array(spent[name, OF_BATCHES][1:]) for name in ("onnx", "alike"))
        found["inference_ms.onnx"] = float(np.median(theirs)) / steps * 1e3
        found |= quartiles("inference_ratio.onnx", theirs / own)
    for size in BATCHES:
        both = (np.array(small[size, s][1:]) for s in (0.0, OF_BATCHES))
        found |= quartiles(f"inference_ratio.{OF_BATCHES:g}.batch_{size}", np.divide(*both))
    return found


def _engine(network: Network) -> Callable[[Split], object] | None:
    """What answers as `Network.answer` does, by ONNX Runtime on all cores; None without it."""
    try:
        runtime = onnx.libraries()[1]
    except UserError:
        return None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = numba.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others take turns
    weights = network.model.state_dict()
    session = runtime.InferenceSession(onnx.written(network.settings, weights), options)

    def answer(split: Split, size: int = 64) -> None:
        for first in range(0, len(split), size):
            some = split.take(np.arange(first, min(first + size, len(split))))
            onnx.answer(session, some)

    return answer


def memory(
    settings: Settings, split: Split, words: int, outputs: int, steps: int
) -> dict[str, float | None]:
    """MiB that a process of its own has had at most when it has trained: dense, and a ticket."""
    some = split.take(np.arange(min(steps * settings.batch_size, len(split))))
    return {
        f"memory_mib.{sparsity:g}": by_itself(_trained, settings, some, words, outputs, sparsity)
        for sparsity in (0.0, OF_BATCHES)
    }


def by_itself(work: Callable[..., Any], *arguments: object) -> Any:
    """What `work` of these arguments gives in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:  # unlike a Pool, tells if it dies
        return pool.submit(work, *arguments).result()


def _trained(
    settings: Settings, split: Split, words: int, outputs: int, sparsity: float
) -> float | None:
    device.use("cpu")
    Network(settings, words, outputs, sparsity).train(split)
    return peak_mib()


def peak_mib() -> float | None:
    """The most memory this process has had, MiB; None where the system does not say."""
    try:  # on Linux `getrusage` gives a young process its parent's peak
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]) / 2**10
    except (OSError, KeyError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def product(rounds: int, hidden: int = 128, texts: int = 64) -> dict[str, float]:
    """Milliseconds of 100 products (texts, hidden) @ (hidden, 4 hidden), as PyTorch has them, with
    quartiles.

    `dense`: nn.Linear; `csr.S`: a matrix of sparsity S in torch.sparse's CSR layout. What a user
    gets who turns to the library's own sparse layout.
    """
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(texts, hidden, generator=draw)
    weight = torch.randn(4 * hidden, hidden, generator=draw)
    layer = nn.Linear(hidden, 4 * hidden, bias=False).requires_grad_(False)
    ways: dict[str, Any] = {"dense": lambda: layer(states)}
    for sparsity in SPARSITIES:
        kept = weight * (torch.rand(weight.shape, generator=draw) >= sparsity)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the layout is in beta, PyTorch says
            matrix = kept.to_sparse_csr()
        ways[f"csr.{sparsity:g}"] = lambda matrix=matrix: matrix @ states.T
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            spent[name].append(seconds(lambda way=way: [way() for _ in range(100)]))
    found: dict[str, float] = {}
    for name, times in spent.items():
        found |= quartiles(f"ms_{name}", np.array(times[1:]) * 1e3)
    return found


def table(figures: dict[str, Any], key: str) -> list[list[str]]:
    """Rows of milliseconds and ratios of a pair, for a person; the last column ONNX Runtime's."""
    rows = []
    for name in ("step", "inference"):
        cells = [f"{figures[f'{key}.{name}_ms.0']:.1f}"]
        for sparsity in SPARSITIES:
            ms = figures[f"{key}.{name}_ms.{sparsity:g}"]
            ratio = figures[f"{key}.{name}_ratio.{sparsity:g}"]
            cells.append(f"{ms:.1f} ({ratio:.2f}×)")
        theirs = figures.get(f"{key}.{name}_ms.onnx")
        rows.append([name, *cells, "–" if theirs is None else f"{theirs:.1f}"])
    peaks = [figures[f"{key}.memory_mib.{sparsity:g}"] for sparsity in (0.0, OF_BATCHES)]
    dense, own = ("unknown" if mib is None else f"{mib:,.0f}" for mib in peaks)
    own = [own if sparsity == OF_BATCHES else "" for sparsity in SPARSITIES]
    return [*rows, ["peak MiB", dense, *own, ""]]
