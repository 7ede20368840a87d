"""One model, one ticket: history and best weights."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lottery.data import Corpus
from lottery.models.base import Model
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Ticket, Weights
from lottery.settings import Settings
from lottery.training.adam import Adam
from lottery.training.epoch import Epoch, Progress, evaluate, train_epoch
from lottery.training.resume import ResumeState


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
    said: np.ndarray  # int64 (test rows,): the class
    weights: Weights  # after the last epoch, on the CPU
    best: Weights  # after the best one: those that were tested
    seconds: float  # of the epochs and of the test, without pauses between


def train(
    model: Model,
    ticket: Ticket,
    corpus: Corpus,
    settings: Settings,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    resume: ResumeState | None = None,
) -> Outcome:
    """Train `model` from `ticket`; test it once, with the weights of the best epoch.

    Adam, `settings.epochs` passes. The best epoch is the one of lowest validation loss (the first
    of equals); its weights, and only they, read the test set. It begins where `resume`
    holds the state of an earlier try, on the CPU to the bit as if undisturbed. Raises Diverged.
    """
    progress = progress or Progress()
    model.to(device).load_state_dict(ticket.weights)
    model.wear(ticket.mask)
    adam = optimiser(model, ticket.mask, corpus, settings)
    history: list[Epoch] = []
    best: Weights = {}
    if resume is not None:
        history, best = resume.restore(model, adam)
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
        if resume is not None:
            resume.save(model, adam, history, best)
        progress.epoch_done(history[-1])
    last = copied(model)
    start = time.perf_counter()
    model.load_state_dict(best)
    test_loss, test_accuracy, said = evaluate(model, corpus.test)
    if not np.isfinite(test_loss):
        raise Diverged(f"the loss is {test_loss:g} on the test set", tuple(history))
    best_epoch = min(history, key=lambda e: e.valid_loss).epoch
    seconds = sum(e.seconds for e in history) + time.perf_counter() - start
    return Outcome(tuple(history), best_epoch, test_loss, test_accuracy, said, last, best, seconds)


def steps_an_epoch(corpus: Corpus, settings: Settings) -> int:
    """Optimiser steps of one pass over the training split."""
    return -(-len(corpus.train) // settings.batch_size)


def optimiser(model: Model, mask: Mask | None, corpus: Corpus, settings: Settings) -> Adam:
    """Adam as the settings ask for it, for the whole of a training."""
    falling = settings.schedule == "linear"
    return Adam(
        dict(model.named_parameters()),
        mask,
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        steps=settings.epochs * steps_an_epoch(corpus, settings) if falling else 0,
    )


def advance(
    model: Model,
    weights: Weights,
    corpus: Corpus,
    settings: Settings,
    steps: int,
    device: torch.device | str = "cpu",
) -> Weights:
    """θₖ: the weights of the dense network after its first `steps` optimiser steps."""
    model.to(device).load_state_dict(weights)
    model.wear(None)
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
