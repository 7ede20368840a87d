"""Text to token ids: `load` a corpus by its name or a frame's, `describe` it to a person."""

from __future__ import annotations

import hashlib
import json
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lottery import files
from lottery.data import sources
from lottery.data.balance import Balance
from lottery.data.batches import Split
from lottery.data.own import Own, from_file, from_frame
from lottery.data.rows import SPLITS, build, rows_of
from lottery.data.sources import DATASETS, Dataset
from lottery.files import Damaged, UserError, root

__all__ = [
    "DATASETS",
    "Corpus",
    "Dataset",
    "Own",
    "Split",
    "describe",
    "from_file",
    "from_frame",
    "known",
    "load",
    "name_of",
    "reopen",
    "title",
]

FORMAT = 2  # raise it when ids, facts or the split come out differently: old caches are then unread
SHOWN = 20  # classes that a description lists
UNKNOWN = 0.5  # share of unknown words in validation at which another tokeniser is worth a thought


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus as a model reads it, and what is to be known of it."""

    dataset: str  # its name in DATASETS, or that of a corpus from outside
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

    @property
    def own(self) -> dict[str, Any]:
        """What the records of a corpus from outside say of its shape; of others nothing."""
        return self.facts.get("own", {})


def title(dataset: str) -> str:
    """A corpus as people call it; one from outside by its name."""
    return DATASETS[dataset].title if dataset in DATASETS else dataset


def name_of(dataset: str | Own) -> str:
    """The name of a corpus, by which its records go."""
    return dataset.name if isinstance(dataset, Own) else dataset


def known(dataset: str | Own) -> Dataset:
    """What is known of a corpus before it is divided; UserError if there is none of the name."""
    if isinstance(dataset, Own):
        return dataset.known
    if not isinstance(dataset, str) or dataset not in DATASETS:
        raise UserError(
            f"unknown dataset {dataset!r}: there are {', '.join(DATASETS)}; of your own texts give "
            f"what data.from_frame makes, or --csv FILE"
        )
    return DATASETS[dataset]


def load(
    dataset: str | Own,
    *,
    split_seed: int = 0,
    vocabulary_size: int = 25_000,
    say: Callable[[str], object] = print,
) -> Corpus:
    """Read a corpus; the second time from the cache. Arrays are read-only.

    Args:
        dataset: a name in DATASETS, or what `from_frame` gives.
        split_seed: names the division into train, validation and test.
        vocabulary_size: at most so many words, `<pad>` and `<unk>` among them.
        say: takes the lines a person should see.

    Raises:
        UserError: no such corpus, not found, or its files are not in order.
    """
    if vocabulary_size < 3:
        raise UserError(
            f"vocabulary_size {vocabulary_size} leaves no room for a word; take 3 or more"
        )
    if isinstance(dataset, Own):
        return _load_own(dataset, split_seed, vocabulary_size, say)
    if dataset not in DATASETS:
        raise UserError(f"dataset {dataset!r} does not exist; take one of {', '.join(DATASETS)}")
    official = DATASETS[dataset]
    source = sources.find(dataset, official)
    say(f"{official.title}: {source.words}")

    def built() -> tuple[dict, dict]:
        return build(rows_of(source.read()), official, split_seed, vocabulary_size)

    if official.generated:  # made faster than it is read
        facts, arrays = built()
        return _corpus(dataset, source.words, json.loads(json.dumps(facts)), arrays)
    about = [dataset, official.classes, official.sizes, source.digest]
    path = _cache_path(dataset, [*about, split_seed, vocabulary_size])
    found = _cached(path, say) or _fill(path, say, built())
    return _corpus(dataset, source.words, *found, path if path.exists() else None)


def _load_own(own: Own, split_seed: int, size: int, say: Callable[[str], object]) -> Corpus:
    say(f"{own.name}: {own.source}")
    path = _cache_path(own.name, [*own.about, split_seed, size])
    found = _cached(path, say)
    if found is None:
        folder = path.parent
        try:  # on a disk rather than in a folder of temporary files that is memory
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            folder = Path(tempfile.gettempdir())
        found = _fill(path, say, own.build(split_seed, size, folder))
    facts = found[0]["facts"]
    if lacking := facts["own"]["labels"]["train"].count(0):
        say(f"{own.name}: {lacking} classes have no training text, and cannot be learned")
    unknown = facts["unk_share"]["valid"]
    if unknown > UNKNOWN and own.tokens == "words":
        say(
            f"{own.name}: {unknown:.0%} of validation's words do not occur in training; for texts "
            f"without spaces take characters (--tokens characters)"
        )
    return _corpus(own.name, own.source, *found, path if path.exists() else None)


def reopen(file: Path, dataset: str, source: str) -> Corpus | None:
    """The corpus of another process's `file` and `source`; None if it is not here or not whole."""
    try:
        return _corpus(dataset, source, *_read(file), file) if file.is_file() else None
    except Damaged:
        return None


def _corpus(dataset: str, source: str, facts: dict, arrays: dict, file=None) -> Corpus:
    own = facts["facts"].get("own")
    for array in arrays.values():
        array.flags.writeable = False
    return Corpus(
        dataset=dataset,
        title=title(dataset),
        source=source,
        fingerprint=facts["fingerprint"],
        generated=not own and DATASETS[dataset].generated,
        classes=tuple(own["classes"]) if own else DATASETS[dataset].classes,
        vocabulary=tuple(facts["vocabulary"]),
        **{
            name: Split(*(arrays[f"{name}.{field}"] for field in ("tokens", "offsets", "labels")))
            for name in SPLITS
        },
        facts=facts["facts"],
        examples=tuple(map(tuple, facts["examples"])),
        file=file,
    )


def _cache_path(dataset: str, about: list[Any]) -> Path:
    # Lower case and white space are those of Python's Unicode tables, which grow with its versions.
    every = [FORMAT, unicodedata.unidata_version, *about]
    key = hashlib.sha256(json.dumps(every).encode()).hexdigest()
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
        files.stream(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, facts)
        return _read(path)
    except (UserError, Damaged) as error:  # slower next time, but nothing else is different
        say(f"nothing is cached: {error}")
        return json.loads(json.dumps(facts)), arrays


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
    for name in _shown(corpus):
        counts = {split: facts["labels"][split][name] for split in SPLITS}
        lines.append(line(name if len(name) <= 14 else f"{name[:13]}…", counts))
    if len(corpus.classes) > SHOWN:
        lines.append(f"  … and {len(corpus.classes) - SHOWN:,} classes of sizes between these")
    lines.append(line("tokens", facts["tokens"]))
    lines.append(line("<unk>", facts["unk_share"], "{:.2%}"))
    length = facts["lengths"]
    low, middle, high = length["quartiles"]
    shared, alike = facts["shared_texts"], facts["alike_to_train"]
    lines += [
        "",
        f"  words a text    mean {length['mean']:.1f}, quartiles {low:.0f} {middle:.0f} {high:.0f}"
        f", 95 % below {length['95 %']:.0f}, longest {length['max']:,}",
        f"  vocabulary      {len(corpus.vocabulary) - 2:,} of "
        f"{facts['distinct_words']:,} different words, and <pad> and <unk>",
        f"  repeated texts  {facts['repeated_texts']:,} rows repeat another's words "
        f"({facts['repeated_texts_exact']:,} to the character), "
        f"{facts['repeated_other_label']:,} with another label",
        f"                  in train and validation {shared['train-valid']:,}, in train and test "
        f"{shared['train-test']:,}, in validation and test {shared['valid-test']:,}",
        *_repeating(corpus),
        f"                  equal to a training text once rare words are <unk>: "
        f"{alike['valid']:,} of validation, {alike['test']:,} of test",
        f"  without a word  {facts['wordless']:,} texts (each is one <unk>)",
        *_of_own(corpus),
    ]
    return "\n".join(lines)


def _repeating(corpus: Corpus) -> list[str]:
    """What was kept from training for a test set that was given; a drawn one has no such rows."""
    if corpus.own and not corpus.own["given_test"]:
        return []
    test = "the given test set" if corpus.own else "the official test set"
    rows = corpus.facts["repeat_official_test"]
    return [f"                  {rows:,} rows repeat {test}; they are in validation"]


def _shown(corpus: Corpus) -> list[str]:
    """The classes; of many the largest and the smallest."""
    if len(corpus.classes) <= SHOWN:
        return list(corpus.classes)
    order = sorted(corpus.classes, key=lambda name: -corpus.facts["labels"]["train"][name])
    return order[: SHOWN // 2] + order[-SHOWN // 2 :]


def _of_own(corpus: Corpus) -> list[str]:
    """Imbalance and what was left out, of a corpus from outside."""
    if not corpus.own:
        return []
    balance = Balance.of(corpus.classes, corpus.own["labels"])
    lines = [
        f"  imbalance       {balance.largest} is {balance.most:.2%} of train, {balance.smallest} "
        f"{balance.least:.2%}; to say {balance.largest} always is right on {balance.floor:.2%} of "
        f"test"
    ]
    left = ", ".join(f"{rows:,} without {lack}" for lack, rows in corpus.own["left_out"].items())
    return [*lines, f"  left out        {left or 'no row'}"]
