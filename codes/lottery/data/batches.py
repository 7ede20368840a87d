"""Texts as one flat array, and the batches cut from it. Nothing is padded, nothing sorted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Labelled texts as token ids. Id 0 is `<pad>` and never occurs; every text has a token.

    Raises ValueError for an empty text, an id below 1, or arrays that do not fit together.
    """

    tokens: np.ndarray  # int32 (T,) token ids, text after text
    offsets: np.ndarray  # int64 (N+1,) text i is tokens[offsets[i]:offsets[i+1]]
    labels: np.ndarray  # int64 (N,)

    def __post_init__(self) -> None:
        wanted = {"tokens": np.int32, "offsets": np.int64, "labels": np.int64}
        for name, dtype in wanted.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != 1:
                raise ValueError(f"Split.{name} must be one row of {np.dtype(dtype)}")
            object.__setattr__(self, name, np.ascontiguousarray(array))
        if len(self.offsets) != len(self.labels) + 1:
            raise ValueError("Split.offsets must have one entry more than Split.labels")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.tokens):
            raise ValueError("Split.offsets must run from 0 to the number of tokens")
        empty = np.flatnonzero(np.diff(self.offsets) < 1)
        if len(empty):
            raise ValueError(f"text {empty[0]} of the Split is empty; give it a token (<unk>)")
        if len(self.tokens) and self.tokens.min() < 1:
            raise ValueError("Split.tokens holds an id below 1; <pad> (0) is not a token")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each text, int64 (N,)."""
        return np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> Split:
        """Copy the texts `rows` (int (M,)), in that order; ValueError if there is no such row."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise ValueError(f"rows must lie in 0..{len(self) - 1}")
        tokens, offsets = _gather(self.tokens, self.offsets, rows, np.iinfo(np.int64).max)
        return Split(tokens, offsets, self.labels[rows])

    def cut(self, max_tokens: int) -> Split:
        """Keep the first `max_tokens` tokens of each text; itself where no text is longer."""
        if max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        if self.lengths.max(initial=0) <= max_tokens:
            return self
        tokens, offsets = _gather(self.tokens, self.offsets, np.arange(len(self)), max_tokens)
        return Split(tokens, offsets, self.labels)


@dataclass(frozen=True)
class Batch:
    """Some texts, each different word named once. On the CPU the tensors share numpy's memory."""

    words: Tensor  # int64 (U,) the different token ids, in order of first occurrence
    index: Tensor  # int32 (T,) position in `words` of every token
    offsets: Tensor  # int64 (B+1,) text i is index[offsets[i]:offsets[i+1]]
    labels: Tensor  # int64 (B,)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def ids(self) -> Tensor:
        """Token ids, text after text, int64 (T,): what `nn.EmbeddingBag` takes with `offsets`."""
        return self.words[self.index.long()]

    @property
    def lengths(self) -> Tensor:
        """Tokens of each text, int64 (B,)."""
        return self.offsets.diff()

    def padded(self) -> Tensor:
        """Token ids, a text a row, int64 (B, longest), 0 (`<pad>`) behind its end."""
        texts = self.ids.split(self.lengths.tolist())
        return torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)

    def to(self, device: torch.device | str) -> Batch:
        """Copy to `device`; to a GPU without waiting for the copy to end."""
        parts = (self.words, self.index, self.offsets, self.labels)
        if torch.device(device).type == "cuda":
            return Batch(*(part.pin_memory().to(device, non_blocking=True) for part in parts))
        return Batch(*(part.to(device) for part in parts))


def batches(
    split: Split,
    batch_size: int,
    order: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Batch]:
    """Give the texts of `split` in `order` (rows; default: as they lie), `batch_size` at a time.

    The last batch holds what is left. The epoch is gathered once, so that a batch is a view.
    """
    if batch_size < 1:
        raise ValueError("batch_size must be at least 1")
    epoch = split if order is None else split.take(order)
    ready = _cut_up(epoch, batch_size)
    if torch.device(device).type == "cpu":
        # Made when asked for: 0.1 ms beside a step of many; a thread would cost more than it saves.
        yield from ready
        return
    waiting = None  # one batch ahead: its copy runs while the one before it is trained on
    for batch in ready:
        moved = batch.to(device)
        if waiting is not None:
            yield waiting
        waiting = moved
    if waiting is not None:
        yield waiting


def by_length(split: Split) -> np.ndarray:
    """Rows from the longest text to the shortest, ties as they lie: the order for evaluation.

    Texts of one length share a batch, and the largest batch comes first.
    """
    return np.argsort(-split.lengths, kind="stable")


def _cut_up(epoch: Split, batch_size: int) -> Iterator[Batch]:
    scratch = np.zeros(int(epoch.tokens.max(initial=0)) + 1, np.int32)
    for first in range(0, len(epoch), batch_size):
        last = min(first + batch_size, len(epoch))
        offsets = epoch.offsets[first : last + 1]
        words, index = distinct(epoch.tokens[offsets[0] : offsets[-1]], scratch)
        arrays = words, index, offsets - offsets[0], epoch.labels[first:last]
        yield Batch(*(torch.from_numpy(array) for array in arrays))


@njit(cache=True, nogil=True)
def distinct(tokens, scratch):
    """Name each different id once, in order of first occurrence, without sorting.

    tokens int32 (T,), each below len(scratch); scratch int32, all zero, and so again afterwards.
    Returns words int64 (U,) and index int32 (T,) with words[index] == tokens.
    """
    words = np.empty(min(len(tokens), len(scratch)), np.int64)
    index = np.empty(len(tokens), np.int32)
    count = 0
    for place, token in enumerate(tokens):
        position = scratch[token]
        if position == 0:  # not met yet; positions are kept one too high
            words[count] = token
            count += 1
            position = count
            scratch[token] = position
        index[place] = position - 1
    for position in range(count):
        scratch[words[position]] = 0
    return words[:count].copy(), index


@njit(cache=True, nogil=True)
def _gather(tokens, offsets, rows, limit):
    """Copy the first `limit` tokens of the texts `rows`."""
    new_offsets = np.zeros(len(rows) + 1, np.int64)
    for i, row in enumerate(rows):
        new_offsets[i + 1] = new_offsets[i] + min(offsets[row + 1] - offsets[row], limit)
    gathered = np.empty(new_offsets[-1], np.int32)
    for i, row in enumerate(rows):
        shift = offsets[row] - new_offsets[i]
        for place in range(new_offsets[i], new_offsets[i + 1]):
            gathered[place] = tokens[place + shift]
    return gathered, new_offsets
