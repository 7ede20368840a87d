"""Another dataset's ticket, fetched for the runs that take its mask."""

from __future__ import annotations

from collections.abc import Callable

from lottery import models
from lottery.data import Corpus
from lottery.experiment.plan import foreign, rewinds
from lottery.experiment.run import build
from lottery.experiment.shelf import Shelf
from lottery.pruning.transfer import Foreign, rows_of
from lottery.settings import TRANSFERRED, Settings


def foreign_ticket(
    settings: Settings, shelf: Shelf, corpora: Callable[[Settings], Corpus]
) -> Foreign | None:
    """The ticket of `plan.foreign`, with its words' places; None for a run that takes none.

    Raises Gone if its weights are not there, and Diverged if it failed.
    """
    other = foreign(settings)
    if other is None:
        return None
    texts = corpora(other)
    _, mask = shelf.trained(other, settings.scored_at)
    late = rewinds(other)
    first = other.stream("first weights")
    return Foreign(
        run=other.run,
        mask=mask,
        first=shelf.rewound(*late) if late else models.draw(build(other, texts), first),
        rows=rows_of(corpora(settings).vocabulary, texts.vocabulary),
        fingerprint=texts.fingerprint,
        seed=settings.stream(TRANSFERRED),  # one for all arms: the controls are of one mask
    )
