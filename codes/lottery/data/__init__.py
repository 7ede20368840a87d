"""Text to token ids: `load` a corpus by its name, `describe` it to a person."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from os import environ
from pathlib import Path

import numpy as np
import torch

from lottery import files
from lottery.data import sources, split, tokens
from lottery.data.batches import Split
from lottery.data.sources import DATASETS, Dataset
from lottery.files import Damaged, UserError, root

__all__ = ["DATASETS", "Corpus", "Dataset", "Split", "describe", "load", "reopen"]

FORMAT = 2  # raise it when ids, facts or the split come out differently: old caches are then unread
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus as a model reads it, and what is to be known of it."""

    dataset: str  # its name in DATASETS
    title: str
    source: str  # where it came from, without this machine's paths
    fingerprint: str  # SHA-256 over all rows (words, label, part), whatever their order and file
    generated: bool
    classes: tuple[str, ...]
    vocabulary: tuple[str, ...]  # the word of every id
    train: Split
    valid: Split
    test: Split
    facts: dict  # JSON-able counts, see _facts
    examples: tuple[tuple[str, str], ...]  # class and beginning of some training texts
    file: Path | None = None  # the cache it is mapped from, for other processes to map, too

    @property
    def logits(self) -> int:
        """Outputs of a model: one for two classes."""
        return 1 if len(self.classes) == 2 else len(self.classes)


def load(
    dataset: str,
    *,
    split_seed: int = 0,
    vocabulary_size: int = 25_000,
    say: Callable[[str], object] = print,
) -> Corpus:
    """Read a corpus of DATASETS; the second time from the cache. Arrays are read-only.

    Args:
        dataset: a name in DATASETS.
        split_seed: names the division into train, validation and test.
        vocabulary_size: at most so many words, `<pad>` and `<unk>` among them.
        say: takes the lines a person should see.

    Raises:
        UserError: no such corpus, not found, or its files are not in order.
    """
    if dataset not in DATASETS:
        raise UserError(f"dataset {dataset!r} does not exist; take one of {', '.join(DATASETS)}")
    if vocabulary_size < 3:
        raise UserError(
            f"vocabulary_size {vocabulary_size} leaves no room for a word; take 3 or more"
        )
    known = DATASETS[dataset]
    source = sources.find(dataset, known)
    say(f"{known.title}: {source.words}")
    if known.generated:  # made faster than it is read
        facts, arrays = _build(source.read(), known, split_seed, vocabulary_size)
        return _corpus(dataset, source.words, json.loads(json.dumps(facts)), arrays)
    path = _cache_path(dataset, known, source, split_seed, vocabulary_size)
    found = _cached(path, say) or _fill(
        path, say, _build(source.read(), known, split_seed, vocabulary_size)
    )
    return _corpus(dataset, source.words, *found, path if path.exists() else None)


def reopen(file: Path, dataset: str, source: str) -> Corpus | None:
    """The corpus of another process's `file` and `source`; None if it is not here or not whole."""
    try:
        return _corpus(dataset, source, *_read(file), file) if file.is_file() else None
    except Damaged:
        return None


def _corpus(dataset: str, source: str, facts: dict, arrays: dict, file=None) -> Corpus:
    known = DATASETS[dataset]
    for array in arrays.values():
        array.flags.writeable = False
    return Corpus(
        dataset=dataset,
        title=known.title,
        source=source,
        fingerprint=facts["fingerprint"],
        generated=known.generated,
        classes=known.classes,
        vocabulary=tuple(facts["vocabulary"]),
        **{
            name: Split(*(arrays[f"{name}.{field}"] for field in ("tokens", "offsets", "labels")))
            for name in SPLITS
        },
        facts=facts["facts"],
        examples=tuple(map(tuple, facts["examples"])),
        file=file,
    )


def _cache_path(dataset: str, known: Dataset, source, split_seed: int, size: int) -> Path:
    # Lower case and white space are those of Python's Unicode tables, which grow with its versions.
    about = [FORMAT, unicodedata.unidata_version, dataset, known.classes, known.sizes]
    key = hashlib.sha256(json.dumps([*about, source.digest, split_seed, size]).encode()).hexdigest()
    folder = Path(environ.get("LOTTERY_CACHE") or root() / ".cache")
    return folder / f"{dataset}-{key[:20]}.corpus"


def _cached(path: Path, say: Callable[[str], object]):
    try:
        return _read(path) if path.is_file() else None
    except Damaged as damage:
        say(f"the cache is damaged ({damage}); it is built again")


def _read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Facts and arrays of a cache, mapped into memory; raises Damaged."""
    tensors, facts = files.load(path)
    return facts, {name: tensor.numpy() for name, tensor in tensors.items()}


def _fill(path: Path, say: Callable[[str], object], built: tuple[dict, dict]):
    facts, arrays = built
    try:
        files.save(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, facts)
        return _read(path)
    except (UserError, Damaged) as error:  # slower next time, but nothing else is different
        say(f"nothing is cached: {error}")
        return json.loads(json.dumps(facts)), arrays


def _build(
    parts: dict[str, sources.Table], known: Dataset, split_seed: int, size: int
) -> tuple[dict, dict[str, np.ndarray]]:
    """What the cache keeps: facts and arrays."""
    texts = [text for table in parts.values() for text in table[0]]
    labels = np.array([label for table in parts.values() for label in table[1]], np.int64)
    official = np.repeat([part == "test" for part in parts], [len(t[0]) for t in parts.values()])
    encoded = tokens.encode(texts)
    rows = dict(
        zip(
            SPLITS,
            split.divide(
                encoded.digests,
                labels,
                official if known.official else None,
                known.sizes,
                split_seed,
            ),
            strict=True,
        )
    )
    train = np.concatenate(encoded.rows(rows["train"]))
    counts = np.bincount(train, minlength=len(encoded.words))
    words = tokens.vocabulary(encoded.words, counts, size)
    renumber = tokens.renumber(encoded.words, words)
    arrays = {}
    for name in SPLITS:
        pieces = encoded.rows(rows[name])
        arrays[f"{name}.tokens"] = renumber[np.concatenate(pieces)]
        arrays[f"{name}.offsets"] = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        arrays[f"{name}.labels"] = labels[rows[name]]
    facts = {
        "fingerprint": _fingerprint(encoded.digests, labels, official),
        "vocabulary": words,
        "facts": _facts(texts, labels, official, encoded, rows, arrays, known),
        "examples": _examples(texts, labels, encoded.digests, rows["train"], known),
    }
    return facts, arrays


def _fingerprint(digests: list[bytes], labels: np.ndarray, official: np.ndarray) -> str:
    # Over words, not characters: files that differ in no word a model reads are the same data.
    rows = sorted(
        digest + bytes((label, part))
        for digest, label, part in zip(digests, labels.tolist(), official.tolist(), strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _facts(
    texts: list[str],
    labels: np.ndarray,
    official: np.ndarray,
    encoded: tokens.Encoded,
    rows: dict[str, np.ndarray],
    arrays: dict[str, np.ndarray],
    known: Dataset,
) -> dict:
    """Counts for people. None depends on the order of the rows."""
    digests = encoded.digests
    lengths = np.diff(encoded.offsets)
    quarter, median, three, most = np.percentile(lengths, [25, 50, 75, 95]).tolist()
    sets = {name: {digests[row] for row in rows[name].tolist()} for name in SPLITS}
    held = {digests[row] for row in np.flatnonzero(official).tolist()}
    by_label: dict[bytes, Counter] = {}
    for digest, label in zip(digests, labels.tolist(), strict=True):
        by_label.setdefault(digest, Counter())[label] += 1

    def ids(name: str) -> list[bytes]:
        flat, cuts = arrays[f"{name}.tokens"], arrays[f"{name}.offsets"].tolist()
        return [hashlib.sha256(flat[start:stop]).digest() for start, stop in pairwise(cuts)]

    trained = set(ids("train"))
    return {
        "rows": {name: len(rows[name]) for name in SPLITS},
        "labels": {
            name: dict(
                zip(
                    known.classes,
                    np.bincount(labels[rows[name]], minlength=len(known.classes)).tolist(),
                    strict=True,
                )
            )
            for name in SPLITS
        },
        "lengths": {
            "mean": float(lengths.mean()),
            "quartiles": [quarter, median, three],
            "median": median,
            "95 %": most,
            "max": int(lengths.max()),
        },
        "tokens": {name: len(arrays[f"{name}.tokens"]) for name in SPLITS},
        "distinct_words": len(encoded.words),
        "unk_share": {name: float(np.mean(arrays[f"{name}.tokens"] == 1)) for name in SPLITS},
        "repeated_texts_exact": len(texts) - len(set(texts)),  # rows beyond the first of a text
        "repeated_texts": len(texts) - len(by_label),  # the same by their words
        # Of the rows of a text with several labels, those not of its commonest label.
        "repeated_other_label": sum(c.total() - max(c.values()) for c in by_label.values()),
        # Rows outside an official test set whose text is in it: they go to validation.
        "repeat_official_test": sum(
            digest in held and not part
            for digest, part in zip(digests, official.tolist(), strict=True)
        ),
        "shared_texts": {
            f"{a}-{b}": len(sets[a] & sets[b])
            for a, b in (("train", "valid"), ("train", "test"), ("valid", "test"))
        },
        # Different texts that are alike once rare words are `<unk>`: no split can know them.
        "alike_to_train": {
            name: sum(digest in trained for digest in ids(name)) for name in ("valid", "test")
        },
        "wordless": encoded.wordless,
    }


def _examples(
    texts: list[str], labels: np.ndarray, digests: list[bytes], train: np.ndarray, known: Dataset
) -> list[tuple[str, str]]:
    """Two texts a class, at most 300 characters each."""
    examples = []
    for label, name in enumerate(known.classes):
        rows = train[labels[train] == label].tolist()
        for row in rows[:2]:
            # Rows of one text may be written differently; the least does not depend on their order.
            text = min(texts[other] for other in rows if digests[other] == digests[row])
            examples.append((name, text if len(text) <= 300 else text[:299] + "…"))
    return examples


def describe(corpus: Corpus) -> str:
    """Source, sizes, labels, lengths, vocabulary and repeated texts, for a person."""
    facts = corpus.facts
    lines = [
        corpus.title,
        f"  source       {corpus.source}",
        f"  fingerprint  {corpus.fingerprint[:16]}",
        "",
    ]

    def line(name: str, values: dict, form: str = "{:,}") -> str:
        return f"  {name:<15}" + "".join(f"{form.format(values[split]):>12}" for split in SPLITS)

    lines.append(f"  {'':<15}" + "".join(f"{name:>12}" for name in SPLITS))
    lines.append(line("rows", facts["rows"]))
    for name in corpus.classes:
        lines.append(line(name, {split: facts["labels"][split][name] for split in SPLITS}))
    lines.append(line("tokens", facts["tokens"]))
    lines.append(line("<unk>", facts["unk_share"], "{:.2%}"))
    length = facts["lengths"]
    low, middle, high = length["quartiles"]
    shared, alike = facts["shared_texts"], facts["alike_to_train"]
    lines += [
        "",
        f"  words a text    mean {length['mean']:.1f}, quartiles {low:.0f} {middle:.0f} {high:.0f}"
        f", 95 % below {length['95 %']:.0f}, longest {length['max']:,}",
        f"  vocabulary      {len(corpus.vocabulary):,} of {facts['distinct_words']:,} words",
        f"  repeated texts  {facts['repeated_texts']:,} rows repeat another's words "
        f"({facts['repeated_texts_exact']:,} to the character), "
        f"{facts['repeated_other_label']:,} with another label",
        f"                  in train and validation {shared['train-valid']:,}, in train and test "
        f"{shared['train-test']:,}, in validation and test {shared['valid-test']:,}",
        f"                  {facts['repeat_official_test']:,} rows repeat the official test set; "
        f"they are in validation",
        f"                  equal to a training text once rare words are <unk>: "
        f"{alike['valid']:,} of validation, {alike['test']:,} of test",
        f"  without a word  {facts['wordless']:,} texts (each is one <unk>)",
    ]
    return "\n".join(lines)
