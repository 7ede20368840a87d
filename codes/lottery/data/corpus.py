"""A corpus as a model reads it: `load` it by its name, or what `own` makes of a person's texts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lottery.data import cache, sources
from lottery.data.batches import Split
from lottery.data.ids import SPLITS, build, rows_of
from lottery.data.own import Own
from lottery.data.sources import DATASETS, Dataset
from lottery.files import Damaged, UserError, amount, meant, shown
from lottery.settings import Settings, options

UNKNOWN = 0.5  # share of unknown words in validation at which another tokeniser is worth a thought
WITHOUT = {  # what it means for a class that a split has no text of it
    "train": "no training text, and cannot be learned",
    "valid": "no validation text, and no share in its accuracy",
    "test": "no test text, and no share in its accuracy",
}


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
    facts: dict  # JSON-able counts, see ids.counted
    examples: tuple[tuple[str, str], ...]  # class and beginning of some training texts
    file: Path | None = None  # the cache it is mapped from, for other processes to map, too

    @property
    def outputs(self) -> int:
        """Logits of a model."""
        return sources.outputs(len(self.classes))

    @property
    def splits(self) -> dict[str, Split]:
        """train, valid and test, by their names."""
        return {name: getattr(self, name) for name in SPLITS}

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


def texts_of(name: str, own: Own | None = None) -> str | Own:
    """The corpus that a run's records call `name`: `own`, if it is one from outside.

    UserError without that, or if it is another.
    """
    if own is None and name not in DATASETS:
        raise UserError(
            f"{name}: is a corpus of your own; give its texts, as made by data.from_frame or by "
            f"--csv FILE --text COLUMN --label COLUMN"
        )
    if own is not None and own.name != name:
        raise UserError(f"these texts are called {own.name}, and the run's {name}")
    return name if own is None else own


def known(dataset: str | Own) -> Dataset:
    """What is known of a corpus before it is divided; UserError if there is none of the name."""
    if isinstance(dataset, Own):
        return dataset.known
    if hasattr(dataset, "columns") or hasattr(dataset, "column_names"):
        raise UserError(
            f"a {type(dataset).__name__} needs its columns named: give "
            f"data.from_frame(frame, text=..., label=..., name=...)"
        )
    if not isinstance(dataset, str) or dataset not in DATASETS:
        raise UserError(
            f"unknown dataset {shown(dataset)}: there are {', '.join(DATASETS)}; of your own "
            f"texts give what data.from_file or data.from_frame makes, or --csv FILE"
            f"{meant(dataset, DATASETS)}"
        )
    return DATASETS[dataset]


def load(
    dataset: str | Own,
    *,
    split_seed: int = Settings.split_seed,
    vocabulary_size: int = Settings.vocabulary_size,
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
    about = {"split_seed": split_seed, "vocabulary_size": vocabulary_size}
    for field in options():
        if field.name in about:
            field.metadata["bounds"](field.name, about[field.name])
    if isinstance(dataset, Own):
        return _load_own(dataset, split_seed, vocabulary_size, say)
    official = known(dataset)
    source = sources.find(dataset, official)
    if source.there:
        say(f"{official.title}: {source.words}")

    def built() -> tuple[dict, dict]:
        return build(rows_of(source.read()), official, split_seed, vocabulary_size)

    if official.generated:  # made faster than it is read
        facts, arrays = built()
        return _corpus(dataset, source.words, json.loads(json.dumps(facts)), arrays)
    about = [dataset, official.classes, official.sizes, source.digest]
    path = cache.path_of(dataset, [*about, split_seed, vocabulary_size])
    found = cache.read(path, say) or cache.fill(path, say, built())
    if not source.there:
        say(f"{official.title}: {source.words}")
    return _corpus(dataset, source.words, *found, path if path.exists() else None)


def _load_own(own: Own, split_seed: int, size: int, say: Callable[[str], object]) -> Corpus:
    say(f"{own.name}: {own.source}")
    path = cache.path_of(own.name, [*own.about, split_seed, size])
    found = cache.read(path, say)
    if found is None:
        folder = path.parent
        try:  # on a disk rather than in a folder of temporary files that is memory
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            folder = Path(tempfile.gettempdir())
        found = cache.fill(path, say, own.build(split_seed, size, folder))
    facts = found[0]["facts"]
    for part, what in WITHOUT.items():
        if lacking := facts["own"]["labels"][part].count(0):
            say(f"{own.name}: {amount(lacking, 'class has', 'classes have')} {what}")
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
        return _corpus(dataset, source, *cache.mapped(file), file) if file.is_file() else None
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
