"""One pass over a split: to train, or to measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lottery.data.batches import Batch, Split, batches, by_length
from lottery.settings import Settings
from lottery.training.adam import Adam
from lottery.training.interrupts import between_steps, deferred

EVALUATION_BATCH = 256  # changes no figure beyond rounding; larger ones only take more memory


@dataclass(frozen=True)
class Epoch:
    """Means over the examples of one pass; the training figures are taken while it trains."""

    epoch: int  # from 1
    train_loss: float
    train_accuracy: float  # 0 to 1
    valid_loss: float
    valid_accuracy: float
    seconds: float


class Progress:
    """Hooks into an epoch that do nothing; `experiment.bars` and `cluster.worker` have others."""

    def batches(self, batches: Iterator[Batch], count: int, epoch: int) -> Iterator[Batch]:
        """Pass on the batches of an epoch."""
        return batches

    def loss(self, loss: Tensor) -> None:
        """Take the loss of the step just made (a scalar on the training's device)."""

    def epoch_done(self, epoch: Epoch) -> None:
        """Take the figures of an epoch."""


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
    losses, said, labels = [], [], []  # summed up at the end, all steps at once
    model.train()
    count = -(-len(order) // settings.batch_size)
    ready = batches(split, settings.batch_size, order, device)
    with _stream(device, noise.initial_seed()):
        for batch in progress.batches(ready, count, epoch):
            logits = model(batch, noise)
            loss = criterion(logits, batch.labels)
            loss.backward()
            adam.step()
            adam.zero_grad()
            losses.append(loss.detach())
            said.append(logits.detach().clone())  # may be a view of what is much larger
            labels.append(batch.labels)
            progress.loss(losses[-1])
            between_steps()
    right = hits(torch.cat(said), torch.cat(labels)).sum()
    sizes = torch.tensor([len(some) for some in labels])
    totals = (torch.stack(losses).cpu() * sizes).double()
    total = totals.cumsum(0)[-1]  # step by step, the order in which older records' sums were taken
    return float(total) / len(order), int(right) / len(order)


@contextmanager
def _stream(device: torch.device, seed: int) -> Iterator[None]:
    """PyTorch's own stream on a device, from which its layers (nn.Dropout) draw, begins with `seed`
    and is put back afterwards, for it is a notebook's, too; other devices' go on as they are."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@torch.no_grad()
def evaluate(model: nn.Module, split: Split) -> tuple[float, float, np.ndarray]:
    """Mean loss and accuracy over the examples of `split`, and the class said of each, int64."""
    device = next(model.parameters()).device
    model.eval()
    order = by_length(split)
    losses, guesses = [], []
    with deferred():
        for batch in batches(split, EVALUATION_BATCH, order, device):
            logits = model(batch)
            losses.append(criterion(logits, batch.labels, "none"))
            guesses.append(guess(logits))
            between_steps()
    said = np.empty(len(split), np.int64)
    said[order] = torch.cat(guesses).cpu().numpy()
    loss = torch.cat(losses).cpu().double().mean()  # in double, so that the order cannot matter
    return float(loss), float((said == split.labels).mean()), said


def criterion(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """One logit: binary cross entropy (BCEWithLogitsLoss). Several: cross entropy."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(
            logits[:, 0], labels.to(logits.dtype), reduction=reduction
        )
    return functional.cross_entropy(logits, labels, reduction=reduction)


def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """bool (B,): is the likeliest class the label?"""
    return guess(logits) == labels


def guess(logits: Tensor) -> Tensor:
    """The likeliest class, int64 (B,). A lone logit of exactly 0 means class 0."""
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(1)
