"""One run, wherever it is done: what it takes from other runs in, its record and weights out."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

import numba
import torch

from lottery import models
from lottery.data import Corpus
from lottery.files import PACKAGE, UserError
from lottery.kernels.vectors import VECTOR_BITS
from lottery.pruning.inside import by_frequency, vanished
from lottery.pruning.masks import Mask, counts, full_mask, prune
from lottery.pruning.scores import SCORES
from lottery.pruning.tickets import ARMS, FROM_TRAINED, Origins, Ticket, Weights
from lottery.runs import checkpoints
from lottery.runs.store import Record, pack
from lottery.settings import Settings
from lottery.training.train import Diverged, Kept, Progress, advance, steps_an_epoch, train


@dataclass(frozen=True)
class Task:
    """One run and all it takes from others; the rest follows from its settings and the corpus."""

    settings: Settings
    mask: Mask | None = None  # the ladder's at this rung; None: nothing is pruned
    rewound: Weights | None = None  # θₖ for late rewinding; None: θ₀
    trained: Weights | None = None  # those the mask was scored on, for the arms in FROM_TRAINED


def task_of(
    settings: Settings,
    weights_of: Callable[[Settings, str], tuple[Weights, Mask]],
    rewound_of: Callable[[Settings, int], Weights],
) -> Task:
    """Prune what the run below has left.

    `weights_of` gives a run's weights after its "last" or "best" epoch, and its mask;
    `rewound_of` a dense run's θₖ.
    """
    if settings.arm == "dense":
        return Task(settings)
    trained, mask = weights_of(below(settings), settings.scored_at)
    scores, rate = SCORES[settings.score](trained), settings.output_rate
    mask = prune(scores, mask, settings.ladder, settings.scope, rate, settings.kept_dense)
    late = rewinds(settings)
    return Task(
        settings,
        mask,
        rewound_of(*late) if late else None,
        trained if settings.arm in FROM_TRAINED else None,
    )


def below(settings: Settings) -> Settings:
    """The run whose trained weights give this run's mask."""
    if settings.rung == 1:
        return replace(settings, arm="dense").checked()
    return replace(settings, arm="lt", ladder=settings.ladder[:-1]).checked()


def rewinds(settings: Settings) -> tuple[Settings, int] | None:
    """The dense run, and how many of its steps, that a late rewinding goes back to."""
    if settings.arm != "lt" or not settings.rewind_step:
        return None
    return replace(settings, arm="dense").checked(), settings.rewind_step


def ticket(task: Task, corpus: Corpus) -> Ticket:
    """What the run starts from: a mask and the starting weights of what it keeps."""
    settings = task.settings
    model = build(settings, corpus)
    first = models.draw(model, settings.stream("first weights"))
    return ARMS[settings.arm](
        Origins(
            first=first,
            mask=task.mask,
            rewound=first if task.rewound is None else task.rewound,
            trained=task.trained,
            new_draw=lambda: models.draw(model, settings.stream("new draw", settings.rung)),
            seed=settings.stream(settings.arm),
        )
    )


def perform(
    task: Task,
    corpus: Corpus,
    device: torch.device,
    progress: Progress | None = None,
    state: Path | None = None,
    say: Callable[[str], object] = print,
    worker: str = "",
) -> tuple[Record, Weights]:
    """Train one run on `corpus` (whole texts); give its record, and weights and mask as tensors.

    The mask's tensors are named `mask/…`. A run whose loss does not stay finite gives a record
    that says so, and no tensors. What the file `state` keeps of an earlier try is gone on from.
    """
    settings, start = task.settings, ticket(task, corpus)
    mask = full_mask(start.weights) | (start.mask or {})
    corpus = cut(corpus, settings.max_tokens)
    facts = about(settings, mask, corpus, device_name(device), worker)
    of = {
        "settings": settings.to_json(),
        "ticket": checkpoints.digest(start.weights | named(start.mask or {})),
        "data": corpus.fingerprint,
        "device": facts["device"],
        "versions": facts["versions"],
    }
    kept = None if state is None else Kept(state, of, say)
    try:
        outcome = train(build(settings, corpus), start, corpus, settings, device, progress, kept)
    except Diverged as error:
        return Record(**facts, history=error.history, failed=str(error)), {}
    record = Record(
        **facts,
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        test_loss=outcome.test_loss,
        test_accuracy=outcome.test_accuracy,
        test_correct=pack(outcome.correct),
        seconds=outcome.seconds,
        vanished=vanished(outcome.weights, mask),
        words=tuple(by_frequency(outcome.weights, mask, corpus.train.tokens)),
    )
    return record, bundle(mask, outcome.weights, outcome.best)


def failed(task: Task, corpus: Corpus, why: str) -> Record:
    """The record of a run that never came to an end."""
    start = ticket(task, corpus)
    mask = full_mask(start.weights) | (start.mask or {})
    return Record(**about(task.settings, mask, corpus, "unknown"), history=(), failed=why)


def about(settings: Settings, mask: Mask, corpus: Corpus, device: str, worker: str = "") -> dict:
    """What a record says around its figures."""
    return {
        "settings": settings,
        "layers": counts(mask),
        "device": device,
        "threads": numba.get_num_threads(),
        "versions": versions(),
        "commit": commit(),
        "host": platform.node(),
        "worker": worker,
        "data": {
            "source": corpus.source,
            "fingerprint": corpus.fingerprint,
            "generated": corpus.generated,
            "repeated_texts": corpus.facts["repeated_texts"],
            "rows": {n: len(getattr(corpus, n)) for n in ("train", "valid", "test")},
        },
    }


def rewound(settings: Settings, corpus: Corpus, step: int, device: torch.device) -> Weights:
    """θₖ of a dense run, for k = `step`. UserError if its training is not so long."""
    check_step(replace(settings, rewind_step=step), corpus)
    model = build(settings, corpus)
    first = models.draw(model, settings.stream("first weights"))
    return advance(model, first, cut(corpus, settings.max_tokens), settings, step, device)


def check_step(settings: Settings, corpus: Corpus) -> None:
    """UserError if `rewind_step` is beyond the training of these settings."""
    steps = settings.epochs * steps_an_epoch(corpus, settings)
    if settings.rewind_step > steps:
        raise UserError(f"rewind_step {settings.rewind_step} is beyond the {steps} steps")


def build(settings: Settings, corpus: Corpus) -> torch.nn.Module:
    """The run's model, weights still arbitrary."""
    return models.build(settings, len(corpus.vocabulary), corpus.logits)


@lru_cache(maxsize=2)
def cut(corpus: Corpus, max_tokens: int) -> Corpus:
    """The corpus with later tokens cut; a view where no text is so long."""
    parts = {n: getattr(corpus, n).cut(max_tokens) for n in ("train", "valid", "test")}
    return replace(corpus, **parts)


def named(mask: Mask) -> Weights:
    """The mask as tensors that can stand beside the weights."""
    return {f"mask/{name}": part for name, part in mask.items()}


def bundle(mask: Mask, last: Weights, best: Weights) -> Weights:
    """What a finished run leaves, as tensors of one file: mask, last and best epoch's weights."""
    return named(mask) | last | {f"best/{name}": weight for name, weight in best.items()}


def apart(tensors: Weights, epoch: str = "last") -> tuple[Weights, Mask]:
    """The weights of the "last" or "best" epoch and the mask of a `bundle`."""
    parts: dict[str, Weights] = {"mask": {}, "best": {}, "last": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.rpartition("/")
        parts[part or "last"][rest] = tensor
    return parts[epoch], parts["mask"]


# What a record says of the machine and the program


def device_name(device: torch.device) -> str:
    """The device, and what of it can change the last bits."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    # The width of the vectors orders the sums, and so decides the last bits.
    return f"{device.type} ({platform.machine()}, {VECTOR_BITS}-bit vectors)"


@cache
def versions() -> dict[str, str]:
    """Of this project and of what its figures stand on."""
    names = ("lottery", "torch", "numpy", "numba", "llvmlite")
    return {"python": platform.python_version()} | {n: metadata.version(n) for n in names}


@cache  # of the code that this process has loaded, whatever is edited meanwhile
def commit() -> str:
    """The code's commit, "+" behind it if files differ from it, "unknown" outside a checkout."""
    try:
        git = ["git", "-C", str(PACKAGE)]
        options = {"capture_output": True, "text": True, "check": True, "timeout": 10}
        head = subprocess.run([*git, "rev-parse", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--", "."], **options).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("+" if changed.strip() else "")
