"""A bidirectional LSTM, pooled over time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lottery.data.batches import Batch
from lottery.kernels import recurrence, recurrence_cuda
from lottery.models.base import Model
from lottery.models.dropout import drop
from lottery.models.embedding import word_vectors
from lottery.settings import Settings


class LSTM(Model):
    """Embedding, LSTM (Hochreiter & Schmidhuber 1997), pooling over time, dropout, linear."""

    label = "LSTM"

    def __init__(self, settings: Settings, words: int, outputs: int) -> None:
        super().__init__()
        self.settings = settings
        self.directions = directions = settings.directions
        size, hidden = settings.embedding_size, settings.hidden
        nothing = torch.zeros(words, size)  # `draw` fills it; a normal draw here would be slow
        self.embedding = nn.Embedding.from_pretrained(nothing, freeze=False, sparse=True)
        # Holds the weights everywhere, and computes where our own kernels do not.
        self.lstm = nn.LSTM(size, hidden, settings.layers, bidirectional=directions == 2)
        self.output = nn.Linear(directions * hidden, outputs)
        self.kept: list[recurrence.LayerKept] | None = None

    def wear(self, mask: Mapping[str, Tensor] | None) -> None:
        """Compute on the CPU with the kept weights of the LSTM's layers alone, where that pays."""
        self.kept, self.sparse = None, ()
        if not mask or self.embedding.weight.device.type != "cpu":
            return
        names = [[f"lstm.{name}" for name in some[:2]] for some in self.lstm._all_weights]
        masks = [[mask.get(name) for name in some] for some in names]
        self.kept = recurrence.patterns(self._layers(masks), self.lstm.weight_hh_l0.dtype)
        self.sparse = tuple(
            name
            for layer, kept in zip(self._layers(names), self.kept, strict=True)
            for some in layer
            for name, is_kept in zip(some, kept, strict=True)
            if is_kept
        )

    def _layers(self, each: list) -> list[list]:
        """What comes once for each layer and direction, layer by layer."""
        return [each[i : i + self.directions] for i in range(0, len(each), self.directions)]

    def forward(self, batch: Batch, noise: torch.Generator | None = None) -> Tensor:
        """Logits (B, outputs). `noise` is the dropout's stream; without it nothing is dropped."""
        rate = self.settings.word_dropout
        table, index = word_vectors(self.embedding.weight, batch, rate, noise)
        how = self.settings.pooling
        layers = self._layers(self.lstm.all_weights)
        if table.device.type == "cpu":
            pooled = recurrence.lstm_pooled(table, index, batch.offsets, layers, how, self.kept)
        elif recurrence_cuda.takes(table, self.settings.hidden):
            pooled = recurrence_cuda.lstm_pooled(table, index, batch.offsets, layers, how)
        else:
            pooled = lstm_pooled_layers(table, index, batch.offsets, self.lstm, how)
        return self.output(drop(pooled, self.settings.dropout, noise))

    @classmethod
    def layer(cls, settings: Settings, name: str) -> str:
        for start, said in (("lstm.weight_ih", "input"), ("lstm.weight_hh", "recurrent")):
            if name.startswith(start):
                return said + (" back" if "_reverse" in name else "")
        return super().layer(settings, name)


def lstm_pooled_layers(
    table: Tensor, index: Tensor, offsets: Tensor, lstm: nn.LSTM, how: str
) -> Tensor:
    """`recurrence.lstm_pooled` (B, directions * hidden) of PyTorch's packed layer, on any device.

    A padded position takes no part.
    """
    lengths = offsets.diff()
    texts = table[index.long()].split(lengths.tolist())
    packed = nn.utils.rnn.pack_sequence(texts, enforce_sorted=False)
    states, (last, _) = lstm(packed)
    if how == "last":
        directions = 2 if lstm.bidirectional else 1
        return last[-directions:].transpose(0, 1).flatten(1)
    fill = float("-inf") if how == "max" else 0.0
    padded, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, padding_value=fill)
    return padded.amax(1) if how == "max" else padded.sum(1) / lengths.unsqueeze(1)
