"""The training steps of the well-known tutorials."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import rnn

from lottery.data.batches import Split
from lottery.settings import Settings
from lottery.training import epoch

RIVALS = {"cnn": ("tutorial",), "lstm": ("packed", "padded")}
POOL = 100  # batches that are sorted together, as torchtext's BucketIterator does


class TutorialCNN(nn.Module):
    """Kim (2014) as the tutorials write it. Padding is a word: a window over it can win."""

    def __init__(self, settings: Settings, words: int, outputs: int) -> None:
        super().__init__()
        size, filters = settings.embedding_size, settings.filters
        self.embedding = nn.Embedding(words, size, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, filters, width) for width in settings.widths
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(filters * len(settings.widths), outputs)
        self.least = max(settings.widths)

    def forward(self, padded: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, outputs) from token ids (B, longest)."""
        short = max(self.least - padded.shape[1], 0)
        words = self.embedding(functional.pad(padded, (0, short))).transpose(1, 2)
        pooled = [functional.relu(layer(words)).max(2).values for layer in self.convolutions]
        return self.output(self.dropout(torch.cat(pooled, 1)))


class TutorialLSTM(nn.Module):
    """nn.LSTM on packed sequences, or on padded ones as if padding were words."""

    def __init__(self, settings: Settings, words: int, outputs: int, packed: bool) -> None:
        super().__init__()
        size, hidden, directions = settings.embedding_size, settings.hidden, settings.directions
        self.packed = packed
        self.embedding = nn.Embedding(words, size, padding_idx=0)
        self.lstm = nn.LSTM(
            size, hidden, settings.layers, batch_first=True, bidirectional=directions == 2
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(directions * hidden, outputs)

    def forward(self, padded: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, outputs) from token ids (B, longest), the longest text first."""
        words = self.embedding(padded)
        if self.packed:
            states, _ = self.lstm(rnn.pack_padded_sequence(words, lengths, batch_first=True))
            states, _ = rnn.pad_packed_sequence(states, True, padding_value=float("-inf"))
        else:
            states, _ = self.lstm(words)
        return self.output(self.dropout(states.max(1).values))


def tutorial(rival: str, settings: Settings, words: int, outputs: int) -> nn.Module:
    """The model of a rival; its parameters have the names and shapes of ours."""
    if rival == "tutorial":
        return TutorialCNN(settings, words, outputs)
    return TutorialLSTM(settings, words, outputs, packed=rival == "packed")


def collate(texts: list[Tensor], labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids (B, longest) padded with 0, lengths and labels, the longest text first."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    texts = [texts[i] for i in order]
    lengths = torch.tensor([len(text) for text in texts])
    return rnn.pad_sequence(texts, batch_first=True), lengths, labels[order]


def train_tutorial(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    bucketed: list[tuple[list[Tensor], Tensor]],
) -> float:
    """A training loop as the tutorials have it. Gives the mean of the losses."""
    model.train()
    total = 0.0
    for texts, labels in bucketed:
        padded, lengths, labels = collate(texts, labels)
        optimiser.zero_grad()
        logits = model(padded, lengths)
        loss = epoch.criterion(logits, labels)
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / len(bucketed)


def buckets(split: Split, batch_size: int, steps: int, seed: int) -> list[np.ndarray]:
    """Rows of `steps` batches of texts of like length, from a sorted pool of batches.

    One of each of `steps` equal parts of the pool, so that all lengths are there as in an epoch.
    """
    random = np.random.default_rng(seed)
    count = min(POOL, len(split) // batch_size)
    if count < steps:
        raise ValueError(f"{steps} batches of {batch_size} are more than the texts give")
    pool = random.permutation(len(split))[: count * batch_size]
    pool = pool[np.argsort(split.lengths[pool], kind="stable")].reshape(count, batch_size)
    chosen = [random.choice(part) for part in np.array_split(np.arange(count), steps)]
    return [pool[i] for i in random.permutation(chosen)]


def tensors(split: Split, rows: np.ndarray) -> tuple[list[Tensor], Tensor]:
    """Token ids of each of `rows`, as a tutorial holds them, and the labels."""
    bounds = [(split.offsets[row], split.offsets[row + 1]) for row in rows]
    texts = [torch.from_numpy(split.tokens[first:last].astype(np.int64)) for first, last in bounds]
    return texts, torch.from_numpy(split.labels[rows])
