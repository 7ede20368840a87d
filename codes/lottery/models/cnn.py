"""The convolutional network of Kim 2014 ("Convolutional Neural Networks for Sentence ...")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lottery.data.batches import Batch
from lottery.kernels.convolution import conv_max
from lottery.models.base import Model
from lottery.models.dropout import drop
from lottery.models.embedding import word_vectors
from lottery.settings import Settings


class CNN(Model):
    """Embedding, filters of several widths, ReLU, maximum over time, dropout, linear."""

    label = "CNN"

    def __init__(self, settings: Settings, words: int, outputs: int) -> None:
        super().__init__()
        self.settings = settings
        size, filters = settings.embedding_size, settings.filters
        nothing = torch.zeros(words, size)  # `draw` fills it; a normal draw here would be slow
        self.embedding = nn.Embedding.from_pretrained(nothing, freeze=False, sparse=True)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, filters, width) for width in settings.widths
        )
        self.output = nn.Linear(filters * len(settings.widths), outputs)

    def forward(self, batch: Batch, noise: torch.Generator | None = None) -> Tensor:
        """Logits (B, outputs). `noise` is the dropout's stream; without it nothing is dropped."""
        rate = self.settings.word_dropout
        table, index = word_vectors(self.embedding.weight, batch, rate, noise)
        weights = [convolution.weight for convolution in self.convolutions]
        biases = [convolution.bias for convolution in self.convolutions]
        pooled = conv_max(table, index, batch.offsets, weights, biases)
        return self.output(drop(pooled, self.settings.dropout, noise))

    @classmethod
    def uses(cls, settings: Settings, name: str, tokens: int) -> int:
        """A filter's weight is used once for each window; a text shorter than it is one window."""
        width = _width(settings, name)
        return super().uses(settings, name, tokens) if not width else max(tokens - width + 1, 1)

    @classmethod
    def layer(cls, settings: Settings, name: str) -> str:
        width = _width(settings, name)
        return f"filters of {width}" if width else super().layer(settings, name)


def _width(settings: Settings, name: str) -> int:
    """Of the filters in "convolutions.1.weight"; 0: the tensor holds none."""
    names = [f"convolutions.{number}.weight" for number in range(len(settings.widths))]
    return settings.widths[names.index(name)] if name in names else 0
