"""Training steps of this project beside the ways of the well-known tutorials, on the same texts.

    ours      lottery.epoch.train_epoch as it stands: random batches, kernels, fused Adam
    tutorial  nn.Embedding, nn.Conv1d on padded batches, maximum over time
    packed    pack_padded_sequence, nn.LSTM, maximum over the states
    padded    nn.LSTM on the padded batch, maximum over all states, padding among them

All work of a step counts: batching, forward, backward, optimiser, the sum of losses. The tutorials'
ways get batches of texts of like length (a pool of 100 batches is sorted, as torchtext's
BucketIterator does), torch.optim.Adam with a dense gradient, and PyTorch's threads on all cores;
their texts lie ready as tensors. Ours gets the same texts shuffled: its batches need no sorting.

Each pair is compared without weight decay and, as `….decay`, with it in the gradient of both sides'
Adam. The optimiser alone is held against the machine's memory: `adam`; tickets against their dense
network: `sparse`, see `pruned.py`.

In a round the rival is timed right after ours, on the same texts, and a ratio is that of one round;
given are medians over the rounds, and quartiles of the ratios.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from lottery import models
from lottery.data.batches import Split, batches
from lottery.files import UserError, unwritable, write_whole
from lottery.pruning import masks
from lottery.settings import Settings
from lottery.training import device, epoch
from lottery.training.adam import Adam

sys.path.insert(0, str(Path(__file__).parent))
import corpora
import pruned
import rivals
from corpora import SHAPES, SHARES, Texts, load, permutation, tokenise
from machine import facts, quartiles, seconds, sgemm_rate
from pruned import DECAY
from rivals import RIVALS
from written import written


def run(
    json_path: Path | None = None,
    steps: int = 30,
    rounds: int = 5,
    say: Callable[[str], object] = lambda line: print(line, file=sys.stderr),
    **sizes: Any,
) -> dict[str, Any]:
    """Measure, print markdown tables, and write all numbers to `json_path` if it is given.

    steps: of each way in a round, a fifth of it where a step takes seconds (the LSTMs on IMDb);
    rounds: ratios for each rival; sizes: Settings other than the
    defaults, for a quick look. Keys are flat and dotted, e.g. "cnn.imdb.ratio_tutorial".
    UserError if `json_path` cannot be written.
    """
    if json_path is not None and Path(json_path).is_dir():
        raise UserError(f"{json_path}: is a folder; name a file for the numbers")
    if json_path is not None:  # now, and not after minutes
        try:
            Path(json_path).parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=Path(json_path).parent).close()
        except OSError as error:
            raise unwritable(json_path, error) from None
    device.use("cpu")
    every = {name: load(name, Settings(name, "cnn", **sizes).checked(), say) for name in SHAPES}
    figures = facts() | {f"data.{name}": texts.source for name, texts in every.items()}
    figures |= {"steps": steps, "rounds": rounds}
    rate = sgemm_rate()
    pairs = {
        f"{model}.{name}": Ours(Settings(name, model, **sizes).checked(), texts)
        for name, texts in every.items()
        for model in RIVALS
    }
    for key, ours in pairs.items():
        say(f"{key}: ours by itself")
        figures |= {f"{key}.{k}": v for k, v in alone(ours).items()}
    figures["memory.ours_mib"] = pruned.peak_mib()  # before larger batches and the others take any
    for key, ours in pairs.items():
        say(f"{key}: ours in other batches")
        figures |= {f"{key}.{k}": v for k, v in batched(ours).items()}
    for key, ours in pairs.items():
        say(f"{key}: ours and {' and '.join(RIVALS[ours.settings.model])} in turns")
        fewer = max(steps // 5, 1) if key == "lstm.imdb" else steps
        decaying = Ours(replace(ours.settings, weight_decay=DECAY), ours.texts)
        for end, one in (("", ours), (".decay", decaying)):
            figures |= {f"{key}{end}.{k}": v for k, v in compare(one, fewer, rounds).items()}
    for key, ours in pairs.items():
        say(f"{key}: tickets beside their dense network, in turns")
        fewer = max(steps // 5, 1) if key == "lstm.imdb" else steps
        texts = ours.texts
        found = pruned.measure(
            ours.settings, texts.split, texts.words, texts.outputs, fewer, rounds
        )
        found |= pruned.memory(ours.settings, texts.split, texts.words, texts.outputs, fewer)
        figures |= {f"sparse.{key}.{k}": v for k, v in found.items()}
    figures |= {f"sparse.torch.{k}": v for k, v in pruned.product(rounds).items()}
    say("Adam beside the machine's memory")
    figures |= {f"adam.{k}": v for k, v in optimiser(pairs["cnn.imdb"], rounds).items()}
    say("tokenising")
    figures |= tokenise(every["imdb"].source.startswith("generated"))
    figures["memory.all_mib"] = pruned.peak_mib()
    rate = max(rate, sgemm_rate())
    figures["machine.sgemm_gflops"] = rate
    for key in pairs:
        figures[f"{key}.gflops"] = figures[f"{key}.gflop"] / figures[f"{key}.ms_ours"] * 1e3
        figures[f"{key}.sgemm_fraction"] = figures[f"{key}.gflops"] / rate
    figures = {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}
    print(written(figures))
    if json_path is not None:
        write_whole(Path(json_path), json.dumps(figures, indent=1, sort_keys=True) + "\n")
    return figures


class Ours:
    """A dense training of this project in the middle of its epochs."""

    def __init__(self, settings: Settings, texts: Texts) -> None:
        self.settings, self.texts = settings, texts
        self.model = models.build(settings, texts.words, texts.outputs)
        first = models.draw(self.model, 0)
        self.model.load_state_dict(first)
        parameters = dict(self.model.named_parameters())
        self.adam = Adam(
            parameters, None, settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.epoch = 0
        # A word's row costs Adam nothing before its first gradient; from here on every row costs.
        words = np.arange(1, texts.words, dtype=np.int32)
        offsets = np.linspace(0, len(words), settings.batch_size + 1).astype(np.int64)
        self.train(Split(words, offsets, np.zeros(settings.batch_size, np.int64)))

    def train(self, split: Split, settings: Settings | None = None) -> None:
        """One pass over `split`, by the training's own code."""
        self.epoch += 1  # another order, other dropout
        settings = settings or self.settings
        epoch.train_epoch(self.model, self.adam, split, settings, self.epoch, epoch.Progress())


def alone(ours: Ours) -> dict[str, float]:
    """What ours costs: parts of a step, evaluation, and each token of 1/8 to all texts."""
    settings, split = ours.settings, ours.texts.split
    some = split.take(permutation(split, 1)[: 16 * settings.batch_size])
    ours.train(some)
    found = _work(settings, some, ours.texts.outputs) | _parts(ours, some)
    several = split.take(permutation(split, 2)[: 32 * settings.batch_size])
    spent = [seconds(epoch.evaluate, ours.model, several) for _ in range(4)][1:]
    found["eval_texts_per_second"] = len(several) / float(np.median(spent))
    for share in SHARES:
        part = split.take(permutation(split, 3)[: max(1, int(share * len(split)))])
        spent = seconds(ours.train, part)
        found[f"ns_per_token.corpus_1_{round(1 / share)}"] = spent / len(part.tokens) * 1e9
    return found


def batched(ours: Ours) -> dict[str, float]:
    """Nanoseconds a token in small and large batches of the same texts.

    Two turns come first: until a kernel's buffers fit the largest batch, they are made anew.
    """
    part = ours.texts.split.take(permutation(ours.texts.split, 4)[: 2 * max(corpora.SIZES)])
    spent: dict[int, list[float]] = {size: [] for size in corpora.SIZES}
    for _ in range(5):
        for size in corpora.SIZES:
            settings = replace(ours.settings, batch_size=size)
            spent[size].append(seconds(ours.train, part, settings) / len(part.tokens) * 1e9)
    return {
        f"ns_per_token.batch_{size}": float(np.median(spent[size][2:])) for size in corpora.SIZES
    }


def _parts(ours: Ours, split: Split) -> dict[str, float]:
    """Milliseconds of a step: forward, loss and backward, Adam, the rest (batching, counting)."""
    marks: list[float] = []

    def mark(*_: object) -> None:
        marks.append(time.perf_counter())

    step = ours.adam.step

    def marked() -> None:
        mark()
        step()
        mark()

    hooks = (
        ours.model.register_forward_pre_hook(mark),
        ours.model.register_forward_hook(mark),
    )
    ours.adam.step = marked
    whole = seconds(ours.train, split)
    ours.adam.step = step
    for hook in hooks:
        hook.remove()
    times = np.reshape(marks, (-1, 4))
    parts = np.diff(times, axis=1).mean(0) * 1e3
    rest = whole * 1e3 / len(times) - parts.sum()
    names = ("forward", "backward", "adam", "rest")
    return {f"ms_{name}": float(part) for name, part in zip(names, [*parts, rest], strict=True)}


def _work(settings: Settings, split: Split, outputs: int) -> dict[str, float]:
    """Tokens, different words and useful flops of a step's matrix products, on average.

    A multiplication and an addition are two flops. U words, T tokens, B texts, E embedding.
    CNN: the words times all taps, 2 U E taps; backward, for each winning window that dropout
    leaves, its share of both gradients, 4 E taps B (1 - dropout).
    LSTM: for each direction, words and recurrent product, each once forward and twice backward,
    3 * 2 (U E 4H + T H 4H). Both: the output layer. What only pads a tile is not counted, nor are
    the additions of looked-up rows, the activations and Adam.
    """
    counted = [(len(b.index), len(b.words), len(b)) for b in batches(split, settings.batch_size)]
    t, u, b = np.mean(counted, axis=0).tolist()
    size = settings.embedding_size
    if settings.model == "cnn":
        taps = settings.filters * sum(settings.widths)
        flops = 2 * u * size * taps + 4 * size * taps * b * (1 - settings.dropout)
        features = settings.filters * len(settings.widths)
    else:
        gates = 4 * settings.hidden
        flops = settings.directions * 6 * gates * (u * size + t * settings.hidden)
        features = settings.hidden * settings.directions
    flops += 6 * b * features * outputs
    return {"tokens": t, "words": u, "gflop": flops / 1e9}


def compare(ours: Ours, steps: int, rounds: int) -> dict[str, float]:
    """Ours, a rival, ours, the next rival and so on; the first round, a short one, is left out.

    A turn begins with a step that is not counted: the way before it has left the caches and, for a
    while, its waiting threads behind, which an ordinary training never meets.
    """
    settings, texts = ours.settings, ours.texts
    ways = {}
    for rival in RIVALS[settings.model]:
        model = rivals.tutorial(rival, settings, texts.words, texts.outputs)
        model.load_state_dict(ours.model.state_dict())
        ways[rival] = (
            model,
            torch.optim.Adam(
                model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
            ),
        )
    mine: dict[str, list[float]] = {rival: [] for rival in ways}
    theirs: dict[str, list[float]] = {rival: [] for rival in ways}
    for number in range(rounds + 1):
        for rival, (model, optimiser) in ways.items():
            now = steps if number else 1
            first, *rows = rivals.buckets(texts.split, settings.batch_size, now + 1, seed=number)
            bucketed = [rivals.tensors(texts.split, some) for some in rows]
            same = texts.split.take(np.concatenate(rows))
            device.use("cpu")
            ours.train(texts.split.take(first))
            mine[rival].append(seconds(ours.train, same) / now * 1e3)
            torch.set_num_threads(numba.get_num_threads())
            rivals.train_tutorial(model, optimiser, [rivals.tensors(texts.split, first)])
            theirs[rival].append(
                seconds(rivals.train_tutorial, model, optimiser, bucketed) / now * 1e3
            )
    device.use("cpu")
    found = {"ms_ours": float(np.median([times[1:] for times in mine.values()]))}
    for rival in ways:
        found[f"ms_{rival}"] = float(np.median(theirs[rival][1:]))
        found |= quartiles(f"ratio_{rival}", np.divide(theirs[rival], mine[rival])[1:])
    return found


def optimiser(ours: Ours, rounds: int, steps: int = 10) -> dict[str, float]:
    """Milliseconds of an optimiser's step with weight decay, dense and pruned, in turns; beside it
    those of reading and writing weights and both moments once, whatever is done with them.

    The gradients are those of real batches, the masks random.
    """
    settings, texts = ours.settings, ours.texts
    ready = batches(texts.split.take(permutation(texts.split, 5)), settings.batch_size)
    gradients = []
    for batch, _ in zip(ready, range(steps), strict=False):
        epoch.criterion(ours.model(batch), batch.labels).backward()
        gradients.append([weight.grad for weight in ours.model.parameters()])
        ours.adam.zero_grad()
    first = {n: weight.detach().clone() for n, weight in ours.model.named_parameters()}
    draw, ways = torch.Generator().manual_seed(0), {}
    for sparsity in (0.0, *pruned.SPARSITIES):
        mask = {
            name: torch.rand(part.shape, generator=draw) >= sparsity
            for name, part in masks.full_mask(first).items()
        }
        own = {name: weight.clone() for name, weight in first.items()}
        decay = {"weight_decay": DECAY}
        ways[sparsity] = Adam(own, mask if sparsity else None, settings.learning_rate, **decay)
    size = sum(weight.numel() for weight in first.values())
    memory = np.zeros((3, size), np.float32)
    spent: dict[str, list[float]] = {}

    def note(name: str, work: Callable[[], object]) -> None:
        spent.setdefault(name, []).append(seconds(work) * 1e3)

    for _ in range(rounds + 1):
        for gradient in gradients:
            note("ms_memory", lambda: _touch(memory))
            for sparsity, adam in ways.items():
                for weight, slope in zip(adam.parameters.values(), gradient, strict=True):
                    weight.grad = slope
                note(f"ms.{sparsity:g}", adam.step)
    found = {name: float(np.median(times[len(gradients) :])) for name, times in spent.items()}
    return {"mb": 6 * 4 * size / 1e6, **found, "memory_ratio": found["ms.0"] / found["ms_memory"]}


@numba.njit(parallel=True)
def _touch(memory: np.ndarray) -> None:
    """Read and write every number of three arrays (3, N) once."""
    pieces = 256
    for piece in numba.prange(pieces):
        size = memory.shape[1]
        for i in range(size * piece // pieces, size * (piece + 1) // pieces):
            memory[0, i] += 1
            memory[1, i] += 1
            memory[2, i] += 1
