"""What a ticket saves on paper: parameters and multiply-adds, dense against pruned.

Compression ratio is old size over new size, theoretical speed-up old multiply-adds over new ones
(Blalock et al. 2020). Both are counts: a matrix with holes takes its indices, too, and runs faster
only where the hardware can skip zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lottery import data, models
from lottery.data import DATASETS
from lottery.models import MODELS
from lottery.pruning.masks import EMBEDDING
from lottery.runs.record import Record
from lottery.settings import Settings

Counts = Mapping[str, tuple[int, int]]  # of each prunable tensor: removed, there were


@dataclass(frozen=True)
class Cost:
    """A network's parameters that may be other than zero, and its multiply-adds for one text."""

    embedding: int
    others: int  # with biases; the rest of the network
    multiply_adds: int

    @property
    def parameters(self) -> int:
        return self.embedding + self.others


def text_length(record: Record) -> int:
    """Tokens of the text that a run's multiply-adds are counted for.

    Records of a corpus from outside say its median.
    """
    settings = record.settings
    length = record.data["length"] if record.classes else DATASETS[settings.dataset].length
    return max(1, min(length, settings.max_tokens))


def outputs(record: Record) -> int:
    """Logits of a run's model."""
    return data.outputs(len(record.classes or DATASETS[record.settings.dataset].classes))


def cost(settings: Settings, layers: Counts, tokens: int, outputs: int) -> Cost:
    """What the weights that `layers` leaves cost, for a text of `tokens` tokens.

    Looking up the embedding multiplies nothing. A filter's weight is used once for each window of
    the text, a recurrent layer's once for each token, the output's once. Multiply-adds of biases,
    gates and pooling are left out, as is usual.
    """
    kept = {name: there - removed for name, (removed, there) in layers.items()}
    uses = {name: MODELS[settings.model].uses(settings, name, tokens) for name in kept}
    embedding = kept.get(EMBEDDING, 0)
    return Cost(
        embedding=embedding,
        others=sum(kept.values()) - embedding + biases(settings, outputs),
        multiply_adds=sum(uses[name] * count for name, count in kept.items()),
    )


def full(layers: Counts) -> dict[str, tuple[int, int]]:
    """The same layers before pruning."""
    return {name: (0, there) for name, (_, there) in layers.items()}


def biases(settings: Settings, outputs: int) -> int:
    """Parameters that are never pruned: all that are no matrices."""
    with torch.device("meta"):
        model = models.build(settings, 3, outputs)
    return sum(weight.numel() for weight in model.parameters() if weight.dim() < 2)
