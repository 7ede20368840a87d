"""One training: a ticket in, a record and weights out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from lottery import files, models
from lottery.data import Corpus
from lottery.data.batches import batches, by_length
from lottery.experiment.plan import removed, shapes
from lottery.files import UserError
from lottery.models.base import Model
from lottery.plugins.register import OUTSIDE, check_code
from lottery.pruning.masks import counts, digest, full_mask, prunable
from lottery.pruning.tally import by_frequency, vanished
from lottery.pruning.tickets import Ticket, Weights
from lottery.runs.checkpoints import bundle, named
from lottery.runs.provenance import about, code, device_name
from lottery.runs.record import Record, pack
from lottery.settings import Settings, title
from lottery.training.epoch import Progress
from lottery.training.resume import ResumeState
from lottery.training.train import Diverged, Outcome, advance, steps_an_epoch, train

TRIED = 7  # texts that a model from outside is tried on
TOO_BIG = ("not enough memory", "out of memory", "can't allocate memory")  # PyTorch's words


def train_ticket(
    model: Model,
    ticket: Ticket,
    settings: Settings,
    corpus: Corpus,
    device: torch.device,
    progress: Progress | None = None,
    state: Path | None = None,
    say: Callable[[str], object] = print,
    worker: str = "",
) -> tuple[Record, Weights]:
    """Train one run on `corpus` (whole texts); give its record, and a `bundle` of what it leaves.

    A run whose loss does not stay finite gives a record that says so, and no tensors. What the
    file `state` keeps of an earlier try is where it begins.
    """
    mask = full_mask(ticket.weights) | (ticket.mask or {})
    corpus = cut(corpus, settings.max_tokens)
    facts = about(settings, counts(mask), corpus, device_name(device), worker)
    facts |= {"mask": digest(mask), "transfer": ticket.transfer}
    of = {
        "settings": settings.to_json(),
        "ticket": files.digest(ticket.weights | named(ticket.mask or {})),
        "data": corpus.fingerprint,
        "device": facts["device"],
        "versions": facts["versions"],
        "code": code(),
    }
    resume = None if state is None else ResumeState(state, of, say)
    try:
        outcome = train(model, ticket, corpus, settings, device, progress, resume)
    except Diverged as error:
        return Record(**facts, history=error.history, failed=str(error)), {}
    record = Record(
        **facts,
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        test_loss=outcome.test_loss,
        test_accuracy=outcome.test_accuracy,
        test_correct=pack(outcome.said == corpus.test.labels),
        seconds=outcome.seconds,
        vanished=vanished(outcome.weights, mask),
        words=tuple(by_frequency(outcome.weights, mask, corpus.train.tokens)),
        by_class=_by_class(outcome, corpus),
        sparse=list(model.sparse),
    )
    return record, bundle(mask, outcome.weights, outcome.best)


def _by_class(outcome: Outcome, corpus: Corpus) -> dict[str, list[int]]:
    """In a corpus from outside: how often each class was said of a test text, how often rightly."""
    if not corpus.own:
        return {}
    said = outcome.said
    counts = {"said": said, "right": said[said == corpus.test.labels]}
    size = len(corpus.classes)
    return {name: np.bincount(some, minlength=size).tolist() for name, some in counts.items()}


def failed(settings: Settings, corpus: Corpus, why: str) -> Record:
    """The record of a run that never came to an end."""
    free = prunable(shapes(settings, len(corpus.vocabulary), corpus.outputs))
    sizes = {name: part.numel() for name, part in free.items()}
    gone = removed(settings, sizes)
    layers = {} if gone is None else {name: (gone[name], sizes[name]) for name in sizes}
    return Record(**about(settings, layers, corpus, "unknown"), history=(), failed=why)


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


def build(settings: Settings, corpus: Corpus) -> Model:
    """The run's model, weights still arbitrary.

    UserError if its code is no longer that here, it gives other than logits, or it does not fit
    into memory.
    """
    check_code(settings)
    try:
        if ("model", settings.model) in OUTSIDE:
            _try(settings, corpus)
        return models.build(settings, len(corpus.vocabulary), corpus.outputs)
    except (MemoryError, RuntimeError) as error:
        said = str(error).lower()
        if not isinstance(error, MemoryError) and not any(word in said for word in TOO_BIG):
            raise
        raise UserError(
            f"{title(settings)}: a network of these sizes does not fit into memory; take smaller "
            f"ones, e.g. embedding_size, filters or hidden"
        ) from None


def _try(settings: Settings, corpus: Corpus) -> None:
    """Check the logits of another such model, so that the run's own has seen no text."""
    split = corpus.train.take(by_length(corpus.train)[:TRIED]).cut(settings.max_tokens)
    with torch.random.fork_rng([]):  # nothing is drawn from a notebook's stream
        model = models.build(settings, len(corpus.vocabulary), corpus.outputs)
        models.check_logits(settings.model, model, next(batches(split, TRIED)), corpus.outputs)


@lru_cache(maxsize=2)
def cut(corpus: Corpus, max_tokens: int) -> Corpus:
    """The corpus with later tokens cut; the same splits where no text is so long."""
    parts = {name: split.cut(max_tokens) for name, split in corpus.splits.items()}
    return replace(corpus, **parts)
