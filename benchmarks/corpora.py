"""The texts that the steps are timed on: the real ones, or generated ones that cost the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from machine import seconds

from lottery import data as corpus
from lottery.data import sources, tokens
from lottery.data.batches import Split
from lottery.files import UserError
from lottery.settings import Settings

REVIEWS = 50_000  # that are tokenised
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of a corpus
SIZES = (16, 64, 256, 512)  # texts in a batch


@dataclass(frozen=True)
class Shape:
    """Generated texts that cost what the real ones do (28,000 reviews, 84,000 news)."""

    rows: int
    median: float  # tokens
    spread: float  # standard deviation of the logarithm of the lengths
    zipf: float  # the k-th word comes in proportion to 1 / (k + 5) ** zipf
    outputs: int


SHAPES = {
    "imdb": Shape(28_000, 200, 0.64, 1.27, 1),
    "agnews": Shape(84_000, 42, 0.28, 1.15, 4),
}


@dataclass(frozen=True)
class Texts:
    """What the models are trained on."""

    title: str
    source: str
    split: Split
    words: int
    outputs: int


def tokenise(generated: bool) -> dict[str, Any]:
    """Seconds, on one core, from 50,000 reviews to the ids of a vocabulary."""
    if generated:
        split = generate(replace(SHAPES["imdb"], rows=REVIEWS), 25_000, 10_000)
        names = np.array([f"word{number}" for number in range(25_000)])
        words = names[split.tokens].tolist()
        bounds = zip(split.offsets[:-1].tolist(), split.offsets[1:].tolist(), strict=True)
        reviews = [" ".join(words[first:last]) for first, last in bounds]
    else:
        parts = sources.find("imdb", sources.DATASETS["imdb"]).read()
        reviews = list(chain.from_iterable(texts for texts, _ in parts.values()))

    def ids() -> np.ndarray:
        encoded = tokens.encode(reviews)
        counts = np.bincount(encoded.ids, minlength=len(encoded.words))
        words = tokens.vocabulary(encoded.words, counts, 25_000)
        return tokens.renumber(encoded.words, words)[encoded.ids]

    return {"tokenise.seconds": seconds(ids), "tokenise.texts": len(reviews)}


def generate(shape: Shape, words: int, max_tokens: int, seed: int = 0) -> Split:
    """Random words by Zipf's law in texts of log-normal lengths."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(np.log(shape.median), shape.spread, shape.rows))
    lengths = lengths.astype(np.int64).clip(1, max_tokens)
    chances = (np.arange(1, words) + 5.0) ** -shape.zipf
    steps = np.cumsum(chances / chances.sum())
    drawn = np.searchsorted(steps, random.random(lengths.sum()) * steps[-1]) + 1
    labels = random.integers(max(shape.outputs, 2), size=shape.rows)
    return Split(drawn.astype(np.int32), np.cumsum([0, *lengths]), labels)


def load(name: str, settings: Settings, say: Callable[[str], object]) -> Texts:
    shape, title = SHAPES[name], sources.DATASETS[name].title
    try:
        found = corpus.load(name, vocabulary_size=settings.vocabulary_size, say=say)
    except UserError as error:
        say(f"{error}\n{title}: generated texts of the same size take its place")
        split = generate(shape, settings.vocabulary_size, settings.max_tokens)
        return Texts(title, "generated", split, settings.vocabulary_size, shape.outputs)
    split = found.train.cut(settings.max_tokens)
    return Texts(title, found.source, split, len(found.vocabulary), found.outputs)


def permutation(split: Split, seed: int) -> np.ndarray:
    """The rows of `split` in an order of their own."""
    return np.random.default_rng(seed).permutation(len(split))
