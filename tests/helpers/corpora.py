"""Small corpora, made without any file."""

from __future__ import annotations

import numpy as np

from lottery.data import Corpus
from lottery.data.batches import Split


def make_split(rows: int, words: int, classes: int, seed: int) -> Split:
    """Texts of 1 to 30 tokens; the label is the class of most of the telling words."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(rows):
        label = int(random.integers(classes))
        text = random.integers(2 + classes, words, random.integers(1, 30))
        text[random.integers(0, len(text), 1 + len(text) // 5)] = 2 + label
        texts.append(text.astype(np.int32))
        labels.append(label)
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return Split(np.concatenate(texts), offsets, np.array(labels, np.int64))


def make_corpus(classes: int = 2, words: int = 60, rows: int = 200) -> Corpus:
    """A corpus that a model learns in a few epochs, made without any file."""
    return Corpus(
        dataset="demo-reviews" if classes == 2 else "demo-news",
        title="test",
        source="made by the tests",
        fingerprint="0" * 64,
        generated=True,
        classes=tuple(f"class {i}" for i in range(classes)),
        vocabulary=("<pad>", "<unk>", *(f"w{i}" for i in range(2, words))),
        train=make_split(rows, words, classes, 1),
        valid=make_split(rows // 2, words, classes, 2),
        test=make_split(rows // 2, words, classes, 3),
        facts={"repeated_texts": 0},
        examples=(),
    )
