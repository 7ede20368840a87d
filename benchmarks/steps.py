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
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import binding
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import rnn

from lottery import data as corpus
from lottery import models
from lottery.data import sources, tokens
from lottery.data.batches import Split, batches
from lottery.files import UserError, write_whole
from lottery.kernels.vectors import VECTOR_BITS
from lottery.pruning import masks
from lottery.settings import Settings
from lottery.training import device, epoch
from lottery.training.adam import Adam

sys.path.insert(0, str(Path(__file__).parent))
import pruned

# The machine's own sgemm rate, for comparison: OpenBLAS takes AVX2 kernels on CPUs newer than
# itself, and must be told of AVX-512 before SciPy loads it.
if binding.get_host_cpu_features().get("avx512f"):
    os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"

MODELS = ("cnn", "lstm")
RIVALS = {"cnn": ("tutorial",), "lstm": ("packed", "padded")}
POOL = 100  # batches that are sorted together, as torchtext's BucketIterator does
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
SIZES = (16, 64, 256, 512)  # texts in a batch
REVIEWS = 50_000
DECAY = 1e-4  # of the comparisons with weight decay
SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.9375, 0.984)


@dataclass(frozen=True)
class Shape:
    """Generated texts that cost what the real ones do (28,000 reviews, 84,000 news)."""

    rows: int
    median: float  # tokens
    spread: float  # standard deviation of the logarithm of the lengths
    zipf: float  # the k-th word comes in proportion to 1 / (k + 5) ** zipf
    outputs: int


SHAPES = {
    "imdb": Shape(28_000, 200, 0.64, 1.27, 1),
    "agnews": Shape(84_000, 42, 0.28, 1.15, 4),
}


@dataclass(frozen=True)
class Texts:
    """What the models are trained on."""

    title: str
    source: str
    split: Split
    words: int
    outputs: int


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
    device.use("cpu")
    every = {name: _load(name, Settings(name, "cnn", **sizes).checked(), say) for name in SHAPES}
    figures = machine() | {f"data.{name}": texts.source for name, texts in every.items()}
    figures |= {"steps": steps, "rounds": rounds}
    rate = sgemm_rate()
    pairs = {
        f"{model}.{name}": Ours(Settings(name, model, **sizes).checked(), texts)
        for name, texts in every.items()
        for model in MODELS
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


# --- ours -------------------------------------------------------------------------------------


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
    some = split.take(_permutation(split, 1)[: 16 * settings.batch_size])
    ours.train(some)
    found = _work(settings, some, ours.texts.outputs) | _parts(ours, some)
    several = split.take(_permutation(split, 2)[: 32 * settings.batch_size])
    spent = [_seconds(epoch.evaluate, ours.model, several) for _ in range(4)][1:]
    found["eval_texts_per_second"] = len(several) / float(np.median(spent))
    for share in SHARES:
        part = split.take(_permutation(split, 3)[: max(1, int(share * len(split)))])
        spent = _seconds(ours.train, part)
        found[f"ns_per_token.corpus_1_{round(1 / share)}"] = spent / len(part.tokens) * 1e9
    return found


def batched(ours: Ours) -> dict[str, float]:
    """Nanoseconds a token in small and large batches of the same texts.

    Two turns come first: until a kernel's buffers fit the largest batch, they are made anew.
    """
    part = ours.texts.split.take(_permutation(ours.texts.split, 4)[: 2 * max(SIZES)])
    spent: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(5):
        for size in SIZES:
            settings = replace(ours.settings, batch_size=size)
            spent[size].append(_seconds(ours.train, part, settings) / len(part.tokens) * 1e9)
    return {f"ns_per_token.batch_{size}": float(np.median(spent[size][2:])) for size in SIZES}


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
    whole = _seconds(ours.train, split)
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


# --- the ways of the tutorials ----------------------------------------------------------------


class TutorialCNN(nn.Module):
    """Kim (2014) as the tutorials write it. Padding is a word: a window over it can win."""

    def __init__(self, settings: Settings, words: int, outputs: int) -> None:
        super().__init__()
        size, filters = settings.embedding_size, settings.filters
        self.embedding = nn.Embedding(words, size, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, filters, width) for width in settings.widths
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(filters * len(settings.widths), outputs)
        self.least = max(settings.widths)

    def forward(self, padded: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, outputs) from token ids (B, longest)."""
        short = max(self.least - padded.shape[1], 0)
        words = self.embedding(functional.pad(padded, (0, short))).transpose(1, 2)
        pooled = [functional.relu(layer(words)).max(2).values for layer in self.convolutions]
        return self.output(self.dropout(torch.cat(pooled, 1)))


class TutorialLSTM(nn.Module):
    """nn.LSTM on packed sequences, or on padded ones as if padding were words."""

    def __init__(self, settings: Settings, words: int, outputs: int, packed: bool) -> None:
        super().__init__()
        size, hidden, directions = settings.embedding_size, settings.hidden, settings.directions
        self.packed = packed
        self.embedding = nn.Embedding(words, size, padding_idx=0)
        self.lstm = nn.LSTM(
            size, hidden, settings.layers, batch_first=True, bidirectional=directions == 2
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(directions * hidden, outputs)

    def forward(self, padded: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, outputs) from token ids (B, longest), the longest text first."""
        words = self.embedding(padded)
        if self.packed:
            states, _ = self.lstm(rnn.pack_padded_sequence(words, lengths, batch_first=True))
            states, _ = rnn.pad_packed_sequence(states, True, padding_value=float("-inf"))
        else:
            states, _ = self.lstm(words)
        return self.output(self.dropout(states.max(1).values))


def tutorial(rival: str, settings: Settings, words: int, outputs: int) -> nn.Module:
    """The model of a rival; its parameters have the names and shapes of ours."""
    if rival == "tutorial":
        return TutorialCNN(settings, words, outputs)
    return TutorialLSTM(settings, words, outputs, packed=rival == "packed")


def collate(texts: list[Tensor], labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids (B, longest) padded with 0, lengths and labels, the longest text first."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    texts = [texts[i] for i in order]
    lengths = torch.tensor([len(text) for text in texts])
    return rnn.pad_sequence(texts, batch_first=True), lengths, labels[order]


def train_tutorial(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    bucketed: list[tuple[list[Tensor], Tensor]],
) -> float:
    """A training loop as the tutorials have it. Gives the mean of the losses."""
    model.train()
    total = 0.0
    for texts, labels in bucketed:
        padded, lengths, labels = collate(texts, labels)
        optimiser.zero_grad()
        logits = model(padded, lengths)
        loss = epoch.criterion(logits, labels)
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / len(bucketed)


def buckets(split: Split, batch_size: int, steps: int, seed: int) -> list[np.ndarray]:
    """Rows of `steps` batches of texts of like length, from a sorted pool of batches.

    One of each of `steps` equal parts of the pool, so that all lengths are there as in an epoch.
    """
    random = np.random.default_rng(seed)
    count = min(POOL, len(split) // batch_size)
    if count < steps:
        raise ValueError(f"{steps} batches of {batch_size} are more than the texts give")
    pool = random.permutation(len(split))[: count * batch_size]
    pool = pool[np.argsort(split.lengths[pool], kind="stable")].reshape(count, batch_size)
    chosen = [random.choice(part) for part in np.array_split(np.arange(count), steps)]
    return [pool[i] for i in random.permutation(chosen)]


def compare(ours: Ours, steps: int, rounds: int) -> dict[str, float]:
    """Ours, a rival, ours, the next rival and so on; the first round, a short one, is left out.

    A turn begins with a step that is not counted: the way before it has left the caches and, for a
    while, its waiting threads behind, which an ordinary training never meets.
    """
    settings, texts = ours.settings, ours.texts
    rivals = {}
    for rival in RIVALS[settings.model]:
        model = tutorial(rival, settings, texts.words, texts.outputs)
        model.load_state_dict(ours.model.state_dict())
        rivals[rival] = (
            model,
            torch.optim.Adam(
                model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
            ),
        )
    mine: dict[str, list[float]] = {rival: [] for rival in rivals}
    theirs: dict[str, list[float]] = {rival: [] for rival in rivals}
    for number in range(rounds + 1):
        for rival, (model, optimiser) in rivals.items():
            now = steps if number else 1
            first, *rows = buckets(texts.split, settings.batch_size, now + 1, seed=number)
            bucketed = [_tensors(texts.split, some) for some in rows]
            same = texts.split.take(np.concatenate(rows))
            device.use("cpu")
            ours.train(texts.split.take(first))
            mine[rival].append(_seconds(ours.train, same) / now * 1e3)
            torch.set_num_threads(numba.get_num_threads())
            train_tutorial(model, optimiser, [_tensors(texts.split, first)])
            theirs[rival].append(_seconds(train_tutorial, model, optimiser, bucketed) / now * 1e3)
    device.use("cpu")
    found = {"ms_ours": float(np.median([times[1:] for times in mine.values()]))}
    for rival in rivals:
        found[f"ms_{rival}"] = float(np.median(theirs[rival][1:]))
        ratios = np.divide(theirs[rival], mine[rival])[1:]
        low, middle, high = np.percentile(ratios, [25, 50, 75]).tolist()
        found |= {f"ratio_{rival}": middle}
        found |= {f"ratio_{rival}_q25": low, f"ratio_{rival}_q75": high}
    return found


def optimiser(ours: Ours, rounds: int, steps: int = 10) -> dict[str, float]:
    """Milliseconds of an optimiser's step with weight decay, dense and pruned, in turns; beside it
    those of reading and writing weights and both moments once, whatever is done with them.

    The gradients are those of real batches, the masks random.
    """
    settings, texts = ours.settings, ours.texts
    ready = batches(texts.split.take(_permutation(texts.split, 5)), settings.batch_size)
    gradients = []
    for batch, _ in zip(ready, range(steps), strict=False):
        epoch.criterion(ours.model(batch), batch.labels).backward()
        gradients.append([weight.grad for weight in ours.model.parameters()])
        ours.adam.zero_grad()
    first = {n: weight.detach().clone() for n, weight in ours.model.named_parameters()}
    draw, ways = torch.Generator().manual_seed(0), {}
    for sparsity in SPARSITIES:
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
        spent.setdefault(name, []).append(_seconds(work) * 1e3)

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


def _tensors(split: Split, rows: np.ndarray) -> tuple[list[Tensor], Tensor]:
    bounds = [(split.offsets[row], split.offsets[row + 1]) for row in rows]
    texts = [torch.from_numpy(split.tokens[first:last].astype(np.int64)) for first, last in bounds]
    return texts, torch.from_numpy(split.labels[rows])


# --- machine and texts ------------------------------------------------------------------------


def sgemm_rate(size: int = 2048, times: int = 7) -> float:
    """GFLOP/s of SciPy's BLAS on square matrices with as many threads as the kernels; the best."""
    from scipy.linalg.blas import sgemm

    random = np.random.default_rng(0)
    a, b = (np.asfortranarray(random.random((size, size), np.float32)) for _ in range(2))
    with threadpool_limits(numba.get_num_threads(), user_api="blas"):
        sgemm(1.0, a, b)
        best = min(_seconds(sgemm, 1.0, a, b) for _ in range(times))
    return 2 * size**3 / best / 1e9


def tokenise(generated: bool) -> dict[str, Any]:
    """Seconds, on one core, from 50,000 reviews to the ids of a vocabulary."""
    if generated:
        split = generate(replace(SHAPES["imdb"], rows=REVIEWS), 25_000, 10_000)
        names = np.array([f"word{number}" for number in range(25_000)])
        words = names[split.tokens].tolist()
        bounds = zip(split.offsets[:-1].tolist(), split.offsets[1:].tolist(), strict=True)
        reviews = [" ".join(words[first:last]) for first, last in bounds]
    else:
        parts = sources.find("imdb", sources.DATASETS["imdb"]).read()
        reviews = list(chain.from_iterable(texts for texts, _ in parts.values()))

    def ids() -> np.ndarray:
        encoded = tokens.encode(reviews)
        counts = np.bincount(encoded.ids, minlength=len(encoded.words))
        words = tokens.vocabulary(encoded.words, counts, 25_000)
        return tokens.renumber(encoded.words, words)[encoded.ids]

    return {"tokenise.seconds": _seconds(ids), "tokenise.texts": len(reviews)}


def generate(shape: Shape, words: int, max_tokens: int, seed: int = 0) -> Split:
    """Random words by Zipf's law in texts of log-normal lengths."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(np.log(shape.median), shape.spread, shape.rows))
    lengths = lengths.astype(np.int64).clip(1, max_tokens)
    chances = (np.arange(1, words) + 5.0) ** -shape.zipf
    steps = np.cumsum(chances / chances.sum())
    drawn = np.searchsorted(steps, random.random(lengths.sum()) * steps[-1]) + 1
    labels = random.integers(max(shape.outputs, 2), size=shape.rows)
    return Split(drawn.astype(np.int32), np.cumsum([0, *lengths]), labels)


def _load(name: str, settings: Settings, say: Callable[[str], object]) -> Texts:
    shape, title = SHAPES[name], sources.DATASETS[name].title
    try:
        found = corpus.load(name, vocabulary_size=settings.vocabulary_size, say=say)
    except UserError as error:
        say(f"{error}\n{title}: generated texts of the same size take its place")
        split = generate(shape, settings.vocabulary_size, settings.max_tokens)
        return Texts(title, "generated", split, settings.vocabulary_size, shape.outputs)
    split = found.train.cut(settings.max_tokens)
    return Texts(title, found.source, split, len(found.vocabulary), found.logits)


def machine() -> dict[str, Any]:
    """Processor, threads, BLAS and versions."""
    import scipy.linalg  # noqa: F401  (its BLAS must be loaded to be seen)

    found = [info for info in threadpool_info() if info["user_api"] == "blas"]
    # NumPy's wheel brings a BLAS of its own, which the kernels do not use.
    own = [i for i in found if any(p.startswith("scipy") for p in Path(i["filepath"]).parent.parts)]
    words = ("internal_api", "version", "architecture")
    blas = [" ".join(str(info[word]) for word in words if word in info) for info in own or found]
    return {
        "machine.cpu": _processor(),
        "machine.threads": numba.get_num_threads(),
        "machine.system": f"{platform.system()} {platform.machine()}",
        "machine.blas": ", ".join(blas) or "unknown",
        "machine.vector_bits": VECTOR_BITS,  # of our kernels
        "machine.vectors": torch.backends.cpu.get_cpu_capability(),
        "machine.python": platform.python_version(),
        "machine.torch": torch.__version__,
        "machine.numba": numba.__version__,
        "machine.load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _permutation(split: Split, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(len(split))


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


# --- for a person -----------------------------------------------------------------------------


def written(figures: dict[str, Any]) -> str:
    """The figures as markdown."""
    pairs = [(model, name) for name in SHAPES for model in MODELS]

    def titled(model: str, name: str) -> str:
        generated = " (generated)" if figures[f"data.{name}"] == "generated" else ""
        return f"{model.upper()}, {sources.DATASETS[name].title}{generated}"

    def of(name: str, form: str) -> list[str]:
        return [form.format(figures[f"{model}.{data}.{name}"]) for model, data in pairs]

    compared = []
    for end, decay in (("", "0"), (".decay", f"{DECAY:g}")):
        for model, name in pairs:
            for rival in RIVALS[model]:
                keys = "ms_{}", "ms_ours", "ratio_{}", "ratio_{}_q25", "ratio_{}_q75"
                row = [figures[f"{model}.{name}{end}.{key.format(rival)}"] for key in keys]
                form = "{:,.1f}|{:,.1f}|{:.1f}|{:.1f} to {:.1f}".format(*row)
                compared.append([titled(model, name), rival, decay, *form.split("|")])
    own = [
        ["tokens a step", *of("tokens", "{:,.0f}")],
        ["different words a step", *of("words", "{:,.0f}")],
        ["forward, ms", *of("ms_forward", "{:.1f}")],
        ["loss and backward, ms", *of("ms_backward", "{:.1f}")],
        ["Adam, ms", *of("ms_adam", "{:.1f}")],
        ["batching and counting, ms", *of("ms_rest", "{:.1f}")],
        ["GFLOP of matrix products", *of("gflop", "{:.2f}")],
        ["share of the sgemm rate", *of("sgemm_fraction", "{:.0%}")],
        ["texts a second, evaluation", *of("eval_texts_per_second", "{:,.0f}")],
    ]
    for share in SHARES:
        part = f"1/{1 / share:.0f} of the corpus" if share < 1 else "whole corpus"
        key = f"ns_per_token.corpus_1_{1 / share:.0f}"
        own.append([f"ns a token, {part}", *of(key, "{:,.0f}")])
    for size in SIZES:
        own.append([f"ns a token, batch {size}", *of(f"ns_per_token.batch_{size}", "{:,.0f}")])
    tickets = [
        [titled(model, name), *row]
        for model, name in pairs
        for row in pruned.table(figures, f"sparse.{model}.{name}")
    ]
    kept = [f"{share:.4g}" for share in pruned.SPARSITIES]
    engine = f"ONNX Runtime, {pruned.OF_BATCHES:.4g}"
    batch = [f"{size}" for size in pruned.BATCHES]
    by_size = [
        [titled(model, name), *(_ratio(figures, model, name, size) for size in pruned.BATCHES)]
        for model, name in pairs
    ]
    csr = [f"{figures[f'sparse.torch.ms_csr.{share:g}']:.2f}" for share in pruned.SPARSITIES]
    heads = ["model, texts", "way", "decay", "its ms a step", "ours", "ratio", "quartiles"]
    memory = [figures["memory.ours_mib"], figures["memory.all_mib"]]
    ours_mib, all_mib = ("unknown" if m is None else f"{m:,.0f} MiB" for m in memory)
    return "\n".join(
        [
            _table(heads, compared),
            "",
            f"Medians of {figures['rounds']} rounds of {figures['steps']} steps each; of the LSTMs "
            "on IMDb a fifth of the steps.",
            "",
            _table(
                ["Adam with decay, IMDb CNN", *(f"{share:.4g}" for share in SPARSITIES), "memory"],
                [
                    [
                        "ms a step",
                        *(f"{figures[f'adam.ms.{share:g}']:.2f}" for share in SPARSITIES),
                        f"{figures['adam.ms_memory']:.2f}",
                    ]
                ],
            ),
            "",
            _table(["tickets, ms (dense over ticket)", "", "dense", *kept, engine], tickets),
            "",
            _table([f"inference at {pruned.OF_BATCHES:g}, texts a batch", *batch], by_size),
            "",
            _table(
                ["100 recurrent products of torch, ms", "dense", *(f"CSR {s}" for s in kept)],
                [["64 texts, 128 units", f"{figures['sparse.torch.ms_dense']:.2f}", *csr]],
            ),
            "",
            _table(["ours", *(titled(*pair) for pair in pairs)], own),
            "",
            f"- {figures['machine.cpu']}, {figures['machine.threads']} threads, PyTorch "
            f"{figures['machine.torch']} ({figures['machine.vectors']}), BLAS "
            f"{figures['machine.blas']}: {figures['machine.sgemm_gflops']:,.0f} GFLOP/s",
            f"- peak memory {ours_mib} of ours, {all_mib} of all ways",
            f"- {figures['tokenise.seconds']:.1f} s to tokenise "
            f"{figures['tokenise.texts']:,} reviews",
        ]
    )


def _ratio(figures: dict[str, Any], model: str, name: str, size: int) -> str:
    key = f"sparse.{model}.{name}.inference_ratio.{pruned.OF_BATCHES:g}.batch_{size}"
    return f"{figures[key]:.2f}×"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", "---", *["---:"] * (len(heads) - 2)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
