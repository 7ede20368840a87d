"""Texts to the ids of three splits, with vocabulary and counts. No text stays in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lottery.data import split, tokens
from lottery.data.formats import Table
from lottery.data.sources import Dataset

SPLITS = ("train", "valid", "test")
SHOWN = 20  # classes with examples


@dataclass(frozen=True)
class Rows:
    """All rows of a corpus, before they are divided."""

    encoded: tokens.Encoded
    labels: np.ndarray  # int64 (N,)
    official: np.ndarray  # bool (N,): is the row of a test set that was given?
    repeated: int  # rows beyond the first of a text, to the character
    texts: Callable[[Sequence[int]], dict[int, str]]  # of some rows


def rows_of(parts: dict[str, Table]) -> Rows:
    """Those of a corpus whose texts are in memory."""
    texts = [text for table in parts.values() for text in table[0]]
    return Rows(
        tokens.encode(texts),
        np.array([label for table in parts.values() for label in table[1]], np.int64),
        np.repeat([part == "test" for part in parts], [len(t[0]) for t in parts.values()]),
        len(texts) - len(set(texts)),
        lambda rows: {row: texts[row] for row in rows},
    )


def build(
    found: Rows,
    known: Dataset,
    split_seed: int,
    size: int,
    *,
    exact: bool = True,
    marks: Sequence[bytes] | None = None,
    empty: Callable[[int, type], np.ndarray] = np.empty,
) -> tuple[dict, dict[str, np.ndarray]]:
    """What the cache keeps: facts and arrays.

    `exact` is that of `split.divide`, `marks` those of `fingerprint`; `empty` gives the arrays of
    the ids their place.
    """
    encoded, labels = found.encoded, found.labels
    official = found.official if known.official else None
    divided = split.divide(encoded.digests, labels, official, known.sizes, split_seed, exact)
    rows = dict(zip(SPLITS, divided, strict=True))
    counts = np.zeros(len(encoded.words), np.int64)
    for block in encoded.blocks(rows["train"]):
        counts += np.bincount(block, minlength=len(counts))
    words = tokens.vocabulary(encoded.words, counts, size)
    renumber = tokens.renumber(encoded.words, words)
    lengths = np.diff(encoded.offsets)
    arrays = {}
    for name in SPLITS:
        offsets = np.concatenate([[0], np.cumsum(lengths[rows[name]], dtype=np.int64)])
        ids, end = empty(int(offsets[-1]), np.int32), 0
        for block in encoded.blocks(rows[name]):
            ids[end : end + len(block)] = renumber[block]
            end += len(block)
        arrays[f"{name}.tokens"] = ids
        arrays[f"{name}.offsets"] = offsets
        arrays[f"{name}.labels"] = labels[rows[name]]
    facts = {
        "fingerprint": fingerprint(encoded.digests, labels, found.official, marks),
        "vocabulary": words,
        "facts": counted(found, rows, arrays, known),
        "examples": examples(found, rows["train"], known.classes),
    }
    return facts, arrays


def fingerprint(
    digests: Sequence[bytes] | np.ndarray,
    labels: np.ndarray,
    official: np.ndarray,
    marks: Sequence[bytes] | None = None,
) -> str:
    """SHA-256 over all rows, whatever their order; `marks` stand for the labels, all as long."""
    # Over words, not characters: files that differ in no word a model reads are the same data.
    marks = [bytes((label,)) for label in range(256)] if marks is None else marks
    digests = split.digests(digests)
    bare = np.frombuffer(b"".join(marks), np.uint8).reshape(len(marks), -1)
    columns = digests.view(np.uint8).reshape(-1, 32), bare[labels], official[:, None]
    rows = np.hstack([part.astype(np.uint8) for part in columns])
    whole = np.sort(np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0])
    return hashlib.sha256(whole).hexdigest()


def counted(
    found: Rows, rows: dict[str, np.ndarray], arrays: dict[str, np.ndarray], known: Dataset
) -> dict:
    """Counts for people. None depends on the order of the rows."""
    encoded, labels, official = found.encoded, found.labels, found.official
    lengths = np.diff(encoded.offsets)
    quarter, median, three, most = np.percentile(lengths, [25, 50, 75, 95]).tolist()
    different, text = np.unique(encoded.digests, return_inverse=True)
    text = text.reshape(-1)
    sets = {name: np.unique(text[rows[name]]) for name in SPLITS}
    held = np.bincount(text, official, len(different)) > 0
    # Of the rows of each text, those of its commonest label.
    pairs, count = np.unique(text * len(known.classes) + labels, return_counts=True)
    commonest = np.zeros(len(different), np.int64)
    np.maximum.at(commonest, pairs // len(known.classes), count)
    by_label = {
        name: np.bincount(labels[rows[name]], minlength=len(known.classes)).tolist()
        for name in SPLITS
    }
    trained = _digests(arrays, "train")
    return {
        "rows": {name: len(rows[name]) for name in SPLITS},
        "labels": {n: dict(zip(known.classes, by_label[n], strict=True)) for n in SPLITS},
        "lengths": {
            "mean": float(lengths.mean()),
            "quartiles": [quarter, median, three],
            "median": median,
            "95 %": most,
            "max": int(lengths.max()),
        },
        "tokens": {name: len(arrays[f"{name}.tokens"]) for name in SPLITS},
        "distinct_words": len(encoded.words),
        "unk_share": {name: _share_unknown(arrays[f"{name}.tokens"]) for name in SPLITS},
        "repeated_texts_exact": found.repeated,
        "repeated_texts": len(text) - len(different),  # rows beyond the first, by their words
        # Of the rows of a text with several labels, those not of its commonest label.
        "repeated_other_label": len(text) - int(commonest.sum()),
        # Rows outside an official test set whose text is in it: they go to validation.
        "repeat_official_test": int((held[text] & ~official).sum()),
        "shared_texts": {
            f"{a}-{b}": len(np.intersect1d(sets[a], sets[b], assume_unique=True))
            for a, b in (("train", "valid"), ("train", "test"), ("valid", "test"))
        },
        # Different texts that are alike once rare words are `<unk>`: no split can know them.
        "alike_to_train": {
            name: int(np.isin(_digests(arrays, name), trained).sum()) for name in ("valid", "test")
        },
        "wordless": encoded.wordless,
    }


def _share_unknown(ids: np.ndarray) -> float:
    parts = (ids[first : first + (1 << 22)] for first in range(0, len(ids), 1 << 22))
    return sum(np.count_nonzero(part == 1) for part in parts) / max(len(ids), 1)


def _digests(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Of the ids of each text of a split."""
    flat, cuts = arrays[f"{name}.tokens"], arrays[f"{name}.offsets"].tolist()
    ids = bytearray()
    for start, stop in pairwise(cuts):
        ids += hashlib.sha256(flat[start:stop]).digest()
    return np.frombuffer(ids, "V32")


def examples(found: Rows, train: np.ndarray, classes: Sequence[str]) -> list[tuple[str, str]]:
    """Two texts a class, at most 300 characters each, of the first classes."""
    wanted: list[tuple[str, list[int]]] = []
    digests = found.encoded.digests
    for label, name in enumerate(classes[:SHOWN]):
        rows = train[found.labels[train] == label]
        for row in rows[:2]:
            # Rows of one text may be written differently; the least does not depend on their order.
            wanted.append((name, rows[digests[rows] == digests[row]].tolist()))
    texts = found.texts([row for _, rows in wanted for row in rows])
    made = [(name, min(texts[row] for row in rows)) for name, rows in wanted]
    return [(name, text if len(text) <= 300 else text[:299] + "…") for name, text in made]
