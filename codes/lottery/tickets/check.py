"""Is a ticket what its record says? The test set is read with it, example by example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lottery import data
from lottery.report.words import percent
from lottery.tickets.ticket import Ticket, is_own
from lottery.training.epoch import evaluate

# Another machine sums in another order; a logit that is nearly zero may then change sides.
ROUNDING = 0.001

SAME = "test accuracy {accuracy} of {examples:,} texts, as recorded, example by example"
STRANGE = "the corpus here is not the one it was trained on"
OF_OWN = (
    "; give its file's --text, --label, --tokens, --test, --valid-share and --test-share as they "
    "were at its run"
)
OTHER = "test accuracy {accuracy} of {examples:,} texts, {differ} examples other than recorded"


@dataclass(frozen=True)
class Check:
    """What a test found."""

    accuracy: float
    examples: int
    differ: int  # examples right here and wrong in the record, or the other way round
    same_data: bool
    own: bool = False  # the corpus is one from outside

    @property
    def is_good(self) -> bool:
        return self.same_data and self.differ <= ROUNDING * self.examples

    def __str__(self) -> str:
        if not self.same_data:
            return STRANGE + OF_OWN * self.own
        said = OTHER if self.differ else SAME
        accuracy = percent(self.accuracy)
        return said.format(accuracy=accuracy, examples=self.examples, differ=self.differ)


def check(
    ticket: Ticket, say: Callable[[str], object] = print, texts: data.Own | None = None
) -> Check:
    """Test a ticket on its corpus; UserError if that is not here.

    `texts`: the corpus, if it is one from outside.
    """
    s = ticket.settings
    corpus = data.load(data.texts_of(s.dataset, texts), **s.of_corpus, say=say)
    if not is_own(ticket, corpus) or corpus.vocabulary != ticket.contents.vocabulary:
        return Check(0.0, 0, 0, False, texts is not None)
    _, accuracy, said = evaluate(ticket.model(), corpus.test.cut(s.max_tokens))
    differ = int(np.count_nonzero((said == corpus.test.labels) != ticket.record.correct))
    return Check(accuracy, len(said), differ, True)
