"""The state of a run between two epochs, so that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lottery import files
from lottery.pruning.tickets import Weights
from lottery.training.adam import Adam
from lottery.training.epoch import Epoch


@dataclass(frozen=True)
class ResumeState:
    """The state of a run after its last finished epoch, in a file of its own.

    Order and dropout come from the seed and the epoch's number, so weights, Adam's moments, the
    best weights and the history are all that a run needs to go on. `of` says what it is the state
    of: settings, ticket, data, device, versions and code. A state of anything else is set aside.
    """

    path: Path
    of: dict[str, Any]  # JSON values
    say: Callable[[str], object] = print

    def save(self, model: nn.Module, adam: Adam, history: list[Epoch], best: Weights) -> None:
        """Replace the state by that of the epoch just finished."""
        parts = {"weights": model.state_dict(), "adam": adam.state(), "best": best}
        tensors = {f"{part}/{n}": t for part, held in parts.items() for n, t in held.items()}
        facts = {"of": self.of, "history": [asdict(epoch) for epoch in history]}
        files.save(self.path, tensors, facts)

    def restore(self, model: nn.Module, adam: Adam) -> tuple[list[Epoch], Weights]:
        """Put `model` and `adam` there; give history and best weights. Nothing kept: empty."""
        if not self.path.exists():
            return [], {}
        try:
            tensors, facts = files.load(self.path)
            if (before := facts.get("of", {})) != self.of:
                other = [name for name in self.of if before.get(name) != self.of[name]]
                raise files.Damaged(f"{self.path} is of another {' and '.join(other)}")
        except files.Damaged as error:
            self.say(f"{error}; it is set aside and the run starts again")
            files.set_aside(self.path)
            return [], {}
        parts: dict[str, Weights] = {"weights": {}, "adam": {}, "best": {}}
        for name, tensor in tensors.items():
            part, rest = name.split("/", 1)
            parts[part][rest] = tensor
        model.load_state_dict(parts["weights"])
        adam.load(parts["adam"])
        # In memory of its own: what is mapped keeps Windows from replacing the file.
        best = {name: tensor.clone() for name, tensor in parts["best"].items()}
        return [Epoch(**epoch) for epoch in facts["history"]], best
