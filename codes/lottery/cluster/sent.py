"""The weights and masks that one run stands on, packed to be sent to where no disk has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lottery.experiment.shelf import Below, Gone
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Weights
from lottery.runs.checkpoints import named, packed, unbundle, unpacked
from lottery.settings import Settings


class Sent:
    """What one run stands on, packed by the caller to be sent."""

    def __init__(self) -> None:
        self.packed: dict[tuple[str, object], dict[str, Any]] = {}

    @classmethod
    def of(cls, below: Below, needs: Iterable[tuple[Settings, int]], epoch: str) -> Sent:
        """All that a run needs of `below`, as `plan.needs` names it."""
        made = cls()
        for run, step in needs:
            if step:
                made.packed[run.run, step] = packed(below.rewound(run, step))
            else:
                weights, mask = below.trained(run, epoch)
                made.packed[run.run, epoch] = packed(weights | named(mask))
        return made

    def trained(self, settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        return unbundle(self._sent(settings.run, epoch))

    def rewound(self, dense: Settings, step: int) -> Weights:
        return self._sent(dense.run, step)

    def _sent(self, run: str, what: object) -> Weights:
        if (run, what) not in self.packed:
            raise Gone
        return unpacked(self.packed[run, what])
