"""The method: train, score, prune, rewind, train again, up the ladder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial

import torch

from lottery import models
from lottery.data import Corpus
from lottery.experiment.foreign import foreign_ticket
from lottery.experiment.plan import below, rewinds
from lottery.experiment.run import build, train_ticket
from lottery.experiment.scoring import pruned
from lottery.experiment.shelf import Busy, Shelf
from lottery.models.base import Model
from lottery.pruning.arms import ARMS, Origins
from lottery.pruning.masks import full_mask
from lottery.pruning.tickets import Ticket
from lottery.settings import Settings
from lottery.training.epoch import Progress
from lottery.training.interrupts import between_steps, deferred
from lottery.training.train import Diverged


def climb(
    runs: Iterable[Settings],
    shelf: Shelf,
    corpora: Callable[[Settings], Corpus],
    device: torch.device,
    watch: Callable[[Settings], AbstractContextManager[Progress]],
    say: Callable[[str], object] = print,
    worker: str = "",
) -> dict[Settings, Busy | Diverged]:
    """Train what is missing of `runs`; give those that could not be, and why.

    Iterative pruning (Frankle & Carbin 2019, section 2): each round removes the lowest scores of
    the trained network below, and what is left starts again from its first values.
    `runs` come from the dense network up, `lt` before the other arms of its rung; `corpora` gives
    the texts of a run.
    """
    undone: dict[Settings, Busy | Diverged] = {}
    for settings in runs:
        try:
            with deferred(), shelf.hold(settings):
                if shelf.is_done(settings):
                    continue
                corpus = corpora(settings)
                between_steps()
                model = build(settings, corpus)
                ticket = ticket_of(settings, model, corpus, shelf, corpora)
                with watch(settings) as progress:
                    state = shelf.state(settings)
                    record, left = train_ticket(
                        model, ticket, settings, corpus, device, progress, state, say, worker
                    )
                    shelf.keep(record, left)
                if record.failed:
                    raise Diverged(record.failed)
        except (Busy, Diverged) as why:
            # Its traceback would hold this run's tensors, and be held by them.
            undone[settings] = why.with_traceback(None)
    return undone


def ticket_of(
    settings: Settings,
    model: Model,
    corpus: Corpus,
    shelf: Shelf,
    corpora: Callable[[Settings], Corpus],
) -> Ticket:
    """The mask and the first values of a run: the network below is pruned, what is left rewound."""
    draw = partial(models.draw, model)
    first = draw(settings.stream("first weights"))  # θ₀, the same for all arms
    late = rewinds(settings)
    rewound = shelf.rewound(*late) if late else first  # θₖ, or θ₀
    mask, trained = full_mask(first), None
    if under := below(settings):
        # The network one rung below, trained: by `climb`, now or long ago.
        trained, mask = shelf.trained(under, settings.scored_at)
    if settings.ladder:
        mask = pruned(settings, corpus, model, mask, first, rewound, trained)
    origins = Origins(
        first=first,
        mask=mask,
        rewound=rewound,
        trained=trained,
        new_draw=partial(draw, settings.stream("new draw", settings.rung)),
        seed=settings.stream(settings.arm),
        foreign=foreign_ticket(settings, shelf, corpora),
        scope=settings.scope,
    )
    return ARMS[settings.arm](origins)
