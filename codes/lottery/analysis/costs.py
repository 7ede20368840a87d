"""What a ticket saves on paper: parameters and multiply-adds, dense against pruned.

Compression ratio is old size over new size, theoretical speed-up old multiply-adds over new ones
(Blalock et al. 2020). Both are counts: a matrix with holes takes its indices, too, and runs faster
only where the hardware can skip zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lottery.pruning.masks import EMBEDDING, OUTPUT
from lottery.settings import Settings

# The text that multiply-adds are counted for; about the middle length of each corpus.
TOKENS = {"imdb": 200, "agnews": 40, "demo-reviews": 40, "demo-news": 40}

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


def text_length(settings: Settings) -> int:
    """Tokens of the text that a run's multiply-adds are counted for."""
    return min(TOKENS[settings.dataset], settings.max_tokens)


def cost(settings: Settings, layers: Counts, tokens: int) -> Cost:
    """What the weights that `layers` leaves cost, for a text of `tokens` tokens.

    Looking up the embedding multiplies nothing. A filter's weight is used once for each window of
    the text, a recurrent layer's once for each token, the output's once. Multiply-adds of biases,
    gates and pooling are left out, as is usual.
    """
    kept = {name: there - removed for name, (removed, there) in layers.items()}
    uses = {name: _uses(name, settings, tokens) for name in kept}
    embedding = kept.get(EMBEDDING, 0)
    return Cost(
        embedding=embedding,
        others=sum(kept.values()) - embedding + biases(settings, layers),
        multiply_adds=sum(uses[name] * count for name, count in kept.items()),
    )


def full(layers: Counts) -> dict[str, tuple[int, int]]:
    """The same layers before pruning."""
    return {name: (0, there) for name, (_, there) in layers.items()}


def biases(settings: Settings, layers: Counts) -> int:
    """Parameters that are never pruned; the `<pad>` row is zero and none of them."""
    if settings.model == "cnn":
        features = hidden = settings.filters * len(settings.widths)
    else:
        features = settings.directions * settings.hidden
        # Four gates, each with a bias of the input and one of the state, as PyTorch has them.
        hidden = settings.layers * settings.directions * 4 * 2 * settings.hidden
    outputs = layers[OUTPUT][1] // features if OUTPUT in layers else 0
    return hidden + outputs


def _uses(name: str, settings: Settings, tokens: int) -> int:
    """How often one text uses each weight of a tensor."""
    if name == EMBEDDING:
        return 0
    if name == OUTPUT:
        return 1
    if name.startswith("convolutions."):
        width = settings.widths[int(name.split(".")[1])]
        return max(tokens - width + 1, 1)  # a text shorter than the filter is one window
    return tokens
