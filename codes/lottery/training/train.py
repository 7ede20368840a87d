"""One model, one ticket: history and best weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lottery.data import Corpus
from lottery.data.batches import Batch, Split, batches, by_length
from lottery.files import UserError
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Ticket, Weights
from lottery.runs import checkpoints
from lottery.runs.store import Epoch
from lottery.settings import Settings
from lottery.training.adam import Adam

EVALUATION_BATCH = 256  # changes no figure beyond rounding; larger ones only take more memory


class Diverged(Exception):
    """The loss is no longer a finite number. `history` holds the epochs before."""

    def __init__(self, message: str, history: tuple[Epoch, ...] = ()) -> None:
        super().__init__(message)
        self.history = history


@dataclass(frozen=True)
class Outcome:
    """What one training leaves: figures, and the weights after the last epoch."""

    history: tuple[Epoch, ...]
    best_epoch: int
    test_loss: float
    test_accuracy: float
    correct: np.ndarray  # bool (test rows,)
    weights: Weights  # after the last epoch, on the CPU
    best: Weights  # after the best one: those that were tested
    seconds: float  # of the epochs and of the test, without pauses between


class Progress:
    """Nobody watches. The experiment gives one that draws bars."""

    def batches(self, batches: Iterator[Batch], count: int, epoch: int) -> Iterator[Batch]:
        """Pass on the batches of an epoch."""
        return batches

    def loss(self, loss: Tensor) -> None:
        """Take the loss of the step just made (a scalar on the training's device)."""

    def epoch_done(self, epoch: Epoch) -> None:
        """Take the figures of an epoch."""


def use(device: str | None = None, threads: int | None = None) -> torch.device:
    """Choose the device (CUDA, then MPS, then CPU, unless named) and the number of CPU threads.

    UserError if the named device is not there, or for less than one thread.
    """
    if threads is not None and threads < 1:
        raise UserError(f"threads {threads} is not a whole number from 1")
    torch.set_num_threads(1)  # the kernels divide the work themselves; PyTorch's part is small
    most = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(threads or most, most))
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is None:
        return torch.device(next((name for name, found in there.items() if found), "cpu"))
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or not there.get(chosen.type, chosen.type == "cpu"):
        raise UserError(f"device {device!r} is not here: take cpu, or leave --device out")
    return chosen


def train(
    model: nn.Module,
    ticket: Ticket,
    corpus: Corpus,
    settings: Settings,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    kept: Kept | None = None,
) -> Outcome:
    """Train `model` from `ticket` by the protocol of DESIGN ("What a number means", 5).

    Adam, `settings.epochs` passes. The best epoch is the one of lowest validation loss (the first
    of equals); its weights, and only they, read the test set. What `kept` holds of an earlier try
    is gone on from, to the bit on the CPU. Raises Diverged.
    """
    progress = progress or Progress()
    model.to(device).load_state_dict(ticket.weights)
    adam = optimiser(model, ticket.mask, corpus, settings)
    history: list[Epoch] = []
    best: Weights = {}
    if kept is not None:
        history, best = kept.restore(model, adam)
    for epoch in range(len(history) + 1, settings.epochs + 1):
        start = time.perf_counter()
        loss, accuracy = train_epoch(model, adam, corpus.train, settings, epoch, progress)
        valid_loss, valid_accuracy, _ = evaluate(model, corpus.valid)
        if not np.isfinite([loss, valid_loss]).all():
            raise Diverged(
                f"in epoch {epoch} the loss is {loss:g} in training, {valid_loss:g} in validation",
                tuple(history),
            )
        if not history or valid_loss < min(e.valid_loss for e in history):
            best = copied(model)
        seconds = time.perf_counter() - start
        history.append(Epoch(epoch, loss, accuracy, valid_loss, valid_accuracy, seconds))
        if kept is not None:
            kept.save(model, adam, history, best)
        progress.epoch_done(history[-1])
    last = copied(model)
    start = time.perf_counter()
    model.load_state_dict(best)
    test_loss, test_accuracy, correct = evaluate(model, corpus.test)
    best_epoch = min(history, key=lambda e: e.valid_loss).epoch
    seconds = sum(e.seconds for e in history) + time.perf_counter() - start
    return Outcome(
        tuple(history), best_epoch, test_loss, test_accuracy, correct, last, best, seconds
    )


@dataclass(frozen=True)
class Kept:
    """The state of a run after its last finished epoch, in a file of its own.

    Order and dropout come from the seed and the epoch's number, so weights, Adam's moments, the
    best weights and the history are all that a run needs to go on. `of` says what it is the state
    of: settings, ticket, data, device and versions. From another's state nothing is gone on.
    """

    path: Path
    of: dict[str, Any]  # JSON values
    say: Callable[[str], object] = print

    def save(self, model: nn.Module, adam: Adam, history: list[Epoch], best: Weights) -> None:
        """Replace the state by that of the epoch just finished."""
        parts = {"weights": model.state_dict(), "adam": adam.state(), "best": best}
        tensors = {f"{part}/{n}": t for part, held in parts.items() for n, t in held.items()}
        facts = {"of": self.of, "history": [asdict(epoch) for epoch in history]}
        checkpoints.save(self.path, tensors, facts)

    def restore(self, model: nn.Module, adam: Adam) -> tuple[list[Epoch], Weights]:
        """Put `model` and `adam` there; give history and best weights. Nothing kept: empty."""
        if not self.path.exists():
            return [], {}
        try:
            tensors, facts = checkpoints.load(self.path)
            if (before := facts.get("of", {})) != self.of:
                other = [name for name in self.of if before.get(name) != self.of[name]]
                raise checkpoints.Damaged(f"{self.path} is of another {' and '.join(other)}")
        except checkpoints.Damaged as error:
            self.say(f"{error}; it is set aside and the run starts again")
            checkpoints.set_aside(self.path)
            return [], {}
        parts: dict[str, Weights] = {"weights": {}, "adam": {}, "best": {}}
        for name, tensor in tensors.items():
            part, rest = name.split("/", 1)
            parts[part][rest] = tensor
        model.load_state_dict(parts["weights"])
        adam.load(parts["adam"])
        return [Epoch(**epoch) for epoch in facts["history"]], parts["best"]


def steps_an_epoch(corpus: Corpus, settings: Settings) -> int:
    """Optimiser steps of one pass over the training split."""
    return -(-len(corpus.train) // settings.batch_size)


def optimiser(model: nn.Module, mask: Mask | None, corpus: Corpus, settings: Settings) -> Adam:
    """Adam as the settings ask for it, for the whole of a training."""
    falling = settings.schedule == "linear"
    return Adam(
        dict(model.named_parameters()),
        mask,
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        steps=settings.epochs * steps_an_epoch(corpus, settings) if falling else 0,
    )


def train_epoch(
    model: nn.Module,
    adam: Adam,
    split: Split,
    settings: Settings,
    epoch: int,
    progress: Progress,
    steps: int | None = None,
) -> tuple[float, float]:
    """One pass over `split`, or its first `steps` steps. Gives mean loss and accuracy.

    The means are over examples, each met by the weights of its own step and with dropout on.
    Order and dropout depend on the seed and the epoch alone, so an epoch can be done again.
    """
    device = next(model.parameters()).device
    order = np.random.default_rng(settings.stream("order", epoch)).permutation(len(split))
    if steps is not None:
        order = order[: steps * settings.batch_size]
    noise = torch.Generator().manual_seed(settings.stream("dropout", epoch))
    total = torch.zeros((), dtype=torch.float64, device=device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    model.train()
    count = -(-len(order) // settings.batch_size)
    ready = batches(split, settings.batch_size, order, device)
    for batch in progress.batches(ready, count, epoch):
        logits = model(batch, noise)
        loss = criterion(logits, batch.labels)
        loss.backward()
        adam.step()
        adam.zero_grad()
        total += loss.detach() * len(batch)
        right += hits(logits, batch.labels).sum()
        progress.loss(loss.detach())
    return float(total) / len(order), int(right) / len(order)


@torch.no_grad()
def evaluate(model: nn.Module, split: Split) -> tuple[float, float, np.ndarray]:
    """Mean loss and accuracy over the examples of `split`, and for each if it was right."""
    device = next(model.parameters()).device
    model.eval()
    order = by_length(split)
    losses, right = [], []
    for batch in batches(split, EVALUATION_BATCH, order, device):
        logits = model(batch)
        losses.append(criterion(logits, batch.labels, "none"))
        right.append(hits(logits, batch.labels))
    correct = np.empty(len(split), bool)
    correct[order] = torch.cat(right).cpu().numpy()
    loss = torch.cat(losses).cpu().double().mean()  # in double, so that the order cannot matter
    return float(loss), float(correct.mean()), correct


def criterion(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """One logit: binary cross entropy (BCEWithLogitsLoss). Several: cross entropy."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(
            logits[:, 0], labels.to(logits.dtype), reduction=reduction
        )
    return functional.cross_entropy(logits, labels, reduction=reduction)


def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """bool (B,): is the likeliest class the label? A lone logit of exactly 0 means class 0."""
    guess = (logits[:, 0] > 0) if logits.shape[1] == 1 else logits.argmax(1)
    return guess == labels


def advance(
    model: nn.Module,
    weights: Weights,
    corpus: Corpus,
    settings: Settings,
    steps: int,
    device: torch.device | str = "cpu",
) -> Weights:
    """θₖ: the weights of the dense network after its first `steps` optimiser steps."""
    model.to(device).load_state_dict(weights)
    adam = optimiser(model, None, corpus, settings)
    each = steps_an_epoch(corpus, settings)
    for epoch in range(1, settings.epochs + 1):
        now = min(each, steps - (epoch - 1) * each)
        if now > 0:
            train_epoch(model, adam, corpus.train, settings, epoch, Progress(), now)
    return copied(model)


def copied(model: nn.Module) -> Weights:
    """The weights of `model` now, on the CPU, in memory of their own."""
    return {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
