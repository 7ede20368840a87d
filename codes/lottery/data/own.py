"""A corpus of anybody's: its rows are looked at once, and divided and encoded when asked for."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lottery.data import ids, reading, tokens
from lottery.data.sources import DATASETS, Dataset
from lottery.files import UserError, amount, check_known

CLASSES = 1000  # at most
TEST_SHARE = 0.2  # of all rows, as of the 50,000 reviews
VALID_SHARE = 0.3  # of the others, as of both corpora
FEWER = "give more rows, or smaller shares of validation and test"
FEW = 20  # classes of one row may be real ones
ALIKE = "{names} are classes of their own; write them alike if they are one"
# What some programs write where a label is missing.
NO_LABEL = {"nan", "null", "n/a", "none", "<na>", "nat"}
ONE_ROW = "{count} one row ({names}), which is in one split and in no other"
# Names of other things in a results folder, or on the command line.
TAKEN = {*DATASETS, "demo", "runs", "checkpoints", "figures", "tickets", "trials", "cnn", "lstm"}
TAKEN |= {"verdicts"}  # its table would be written over that of the runs


@dataclass(frozen=True, eq=False)
class Own:
    """A corpus from outside, as `Study` takes it in place of a dataset's name."""

    name: str
    source: str  # where its rows come from, without this machine's paths
    known: Dataset
    parts: Mapping[str, reading.Source]  # "all", or "train" and "test"
    digest: str  # of texts and labels, in their order
    tokens: str  # "words" or "characters"
    shares: tuple[float, float]  # of validation and of test
    left_out: dict[str, int] = field(default_factory=dict)  # rows, by what they lack

    @property
    def about(self) -> list[Any]:
        """All that ids and facts depend on, but for the settings of a run."""
        own = [self.name, self.known.classes, self.digest, self.tokens, *self.shares]
        return [*own, sorted(self.left_out.items())]

    def build(self, split_seed: int, size: int, folder: Path) -> tuple[dict, dict]:
        """Facts and arrays as of `ids.build`; ids are kept in nameless files in `folder`."""

        def empty(count: int, dtype: type) -> np.ndarray:
            if not count:
                return np.empty(0, dtype)
            with tempfile.TemporaryFile(dir=folder) as file:  # the map outlives it
                return np.memmap(file, dtype, "w+", shape=count)

        facts, arrays = ids.build(
            self._rows(folder),
            self.known,
            split_seed,
            size,
            exact=False,
            marks=[hashlib.sha256(name.encode()).digest() for name in self.known.classes],
            empty=empty,
        )
        counts = facts["facts"]["rows"]
        if not counts["train"] or not counts["valid"] or counts["test"] < 2:
            given = " / ".join(f"{counts[name]:,}" for name in ids.SPLITS)
            again = self.known.official and facts["facts"]["repeat_official_test"]
            repeat = amount(again, "row repeats", "rows repeat")
            remedy = f"{repeat} the test set; give others" if again else FEWER
            raise UserError(
                f"{self.name}: too few different texts to divide (train / validation / test would "
                f"have {given} rows); {remedy}"
            )
        if sum(map(bool, facts["facts"]["labels"]["test"].values())) < 2:
            raise UserError(
                f"{self.name}: the test set that was drawn has texts of one class only, which "
                f"tells nothing; give more rows, a larger test share, another split seed, or a "
                f"test set of your own"
            )
        how = json.dumps([facts["fingerprint"], self.tokens, *self.shares])
        facts["fingerprint"] = hashlib.sha256(how.encode()).hexdigest()
        facts["facts"]["own"] = {
            "classes": list(self.known.classes),
            "labels": {n: list(of.values()) for n, of in facts["facts"]["labels"].items()},
            "length": round(facts["facts"]["lengths"]["median"]),
            "tokens": self.tokens,
            "given_test": self.known.official,
            "left_out": self.left_out,
        }
        return facts, arrays

    def _rows(self, folder: Path) -> ids.Rows:
        number = {name: label for label, name in enumerate(self.known.classes)}
        raw, digest, counts = bytearray(), hashlib.sha256(), self.known.rows
        labels = np.empty(sum(counts.values()), np.int64)
        place = 0

        def texts() -> Iterator[str]:
            nonlocal place
            for text, label in self._kept(digest):
                if place == len(labels) or label not in number:
                    raise self._changed()
                labels[place] = number[label]
                raw.extend(hashlib.sha256(text.encode()).digest())
                place += 1
                yield text

        with tempfile.TemporaryFile(dir=folder) as spill:  # the map outlives it
            encoded = tokens.encode(texts(), tokens.SPLITTERS[self.tokens], spill)
        if digest.hexdigest() != self.digest:
            raise self._changed()
        parts = np.repeat([part == "test" for part in counts], list(counts.values()))
        different = len(np.unique(np.frombuffer(raw, "V32")))
        return ids.Rows(encoded, labels, parts, len(labels) - different, self._texts)

    def _kept(self, digest) -> Iterator[tuple[str, str]]:
        """The rows that have a text and a label; `digest` takes them in."""
        for part, source in self.parts.items():
            digest.update(part.encode())
            for text, label in source.rows():
                if text is not None and label is not None:
                    digest.update(json.dumps([text, label]).encode())
                    yield text, label

    def _texts(self, rows: Sequence[int]) -> dict[int, str]:
        wanted = set(rows)
        last = max(wanted, default=-1)
        found = {}
        for number, (text, _) in enumerate(self._kept(hashlib.sha256())):
            if number in wanted:
                found[number] = text
            if number >= last:
                break
        return found

    def _changed(self) -> UserError:
        return UserError(f"{self.source}: changed while it was read; run the same again")


def from_frame(
    frame: Any,
    *,
    text: str,
    label: str,
    name: str,
    test: Any = None,
    valid_share: float = VALID_SHARE,
    test_share: float = TEST_SHARE,
    tokens: str = "words",
    say: Callable[[str], object] = print,
) -> Own:
    """A corpus of a pandas DataFrame or a `datasets.Dataset`, for `Study` and `load`.

    Args:
        frame: one row a text.
        text: the column of texts.
        label: the column of classes, 2 to 1,000 of them; strings, numbers or class labels.
        name: what it is called; its results go to `results/<name>`.
        test: another frame, the test set, kept whole; without it `test_share` of the rows are it.
        valid_share: share of the other rows that is validation.
        tokens: "words" (the rules of basic_english), or "characters" for texts without spaces.
        say: takes the lines a person should see.

    Rows that lack a text or a label are left out, counted and said.

    Raises:
        UserError: what is wrong with the columns, the rows or the name, in one line.
    """
    parts = {"train": frame, "test": test} if test is not None else {"all": frame}
    found = {k: reading.frame_rows(one, text, label, k == "test") for k, one in parts.items()}
    return look(found, name, valid_share, test_share, tokens, say)


def from_file(
    path: Path | str,
    *,
    text: str,
    label: str,
    parquet: bool = False,
    name: str | None = None,
    test: Path | str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    valid_share: float = VALID_SHARE,
    test_share: float = TEST_SHARE,
    tokens: str = "words",
    say: Callable[[str], object] = print,
) -> Own:
    """The same of a CSV with a header or a `parquet` file; called after it unless named."""
    if parquet and (delimiter is not None or encoding is not None):
        raise UserError(f"{path}: delimiter and encoding are a CSV's; leave them out with parquet")

    def source(one: Path | str) -> reading.Source:
        if parquet:
            return reading.parquet_file(Path(one), text, label)
        return reading.csv_file(Path(one), text, label, delimiter, encoding)

    found = {"train" if test else "all": source(path)} | ({"test": source(test)} if test else {})
    if name is None:
        name = re.sub(r"[^\w-]+", "-", Path(path).stem, flags=re.ASCII).strip("-_") or "texts"
    return look(found, name, valid_share, test_share, tokens, say)


def check_name(name: str) -> str:
    """A name that a folder may have and that nothing else has; else UserError."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise UserError(
            f"name {name!r} is no name of a corpus: up to 64 letters, digits, - and _, e.g. reviews"
        )
    if name.lower() in TAKEN:
        raise UserError(f"name {name!r} is taken; give another, e.g. my-{name}")
    return name


def look(
    parts: Mapping[str, reading.Source],
    name: str,
    valid_share: float,
    test_share: float,
    how: str,
    say: Callable[[str], object],
) -> Own:
    """Read all rows once, keep none: which classes there are, how many rows, what they lack."""
    check_name(name)
    for word, share in (("valid_share", valid_share), ("test_share", test_share)):
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
            raise UserError(f"{word} {share!r} is not a share between 0 and 1, e.g. 0.2")
    check_known("tokens", how, tokens.SPLITTERS)
    digest, left_out = hashlib.sha256(), Counter()
    counts = {part: _looked(part, source, digest, left_out) for part, source in parts.items()}
    every = set().union(*counts.values())
    place = next(iter(parts.values())).place
    if len(every) < 2:
        raise UserError(f"{place}: one class only ({_few(every)}); name a column of 2 to 1,000")
    if strange := every - set(next(iter(counts.values()))):
        raise UserError(
            f"{parts['test'].place}: {_few(strange)} occurs in the test set alone; train on it, too"
        )
    if len(counts.get("test", every)) < 2:
        raise UserError(
            f"{parts['test'].place}: one class only ({_few(counts['test'])}), which tells nothing; "
            f"give test texts of two classes or more"
        )
    total = counts["all" if "all" in counts else "train"]
    if single := [one for one in every if sum(of[one] for of in counts.values()) == 1]:
        if len(single) > max(FEW, len(every) / 2):  # identifiers, or numbers to be predicted
            raise UserError(
                f"{place}: {len(single):,} of {len(every):,} classes have one row "
                f"({_few(single)}); name the column of classes"
            )
        count = amount(len(single), "class has", "classes have")
        say(f"{name}: {ONE_ROW.format(count=count, names=_few(single))}")
    _doubt(name, every, say)
    for lack, count in left_out.items():
        one, many = f"row has no {lack}; it is", f"rows have no {lack}; they are"
        say(f"{name}: {amount(count, one, many)} left out")
    given, size = "test" in counts, sum(total.values())
    held = sum(counts["test"].values()) if given else max(2, round(test_share * size))
    valid = max(1, round(valid_share * (size if given else size - held)))
    known = Dataset(
        title=name,
        classes=tuple(sorted(every, key=_in_order)),
        sizes=(size - valid - (0 if given else held), valid, held),
        official=given,
    )
    source = " + ".join(source.place for source in parts.values())
    shares = float(valid_share), 0.0 if given else float(test_share)
    return Own(name, source, known, parts, digest.hexdigest(), how, shares, dict(left_out))


def _doubt(name: str, every: set[str], say: Callable[[str], object]) -> None:
    """Say which classes may be one, or none: nothing is merged or left out by a guess."""
    alike: dict[tuple, set[str]] = defaultdict(set)
    for one in every:
        alike[_in_order(one)[:2] if _is_number(one) else (1, one.casefold())].add(one)
    for _, same in sorted(alike.items()):
        if len(same) > 1:
            say(f"{name}: {ALIKE.format(names=_few(same))}")
    for one in sorted(one for one in every if one.casefold() in NO_LABEL):
        say(f"{name}: {one!r} is a class; leave the label empty where it is missing")


def _looked(part: str, source: reading.Source, digest, left_out: Counter) -> Counter:
    """Rows of each class; UserError if the rows of a part are no texts with classes."""
    found, numbers, lacks = Counter(), True, Counter()
    digest.update(part.encode())
    for text, label in source.rows():
        if text is None or label is None:
            lacks["text" if text is None else "label"] += 1
            continue
        if not tokens.is_unicode(f"{text}{label}"):
            raise UserError(f"{source.place}: a text is not valid Unicode ({text[:20]!a}); mend it")
        digest.update(json.dumps([text, label]).encode())
        last, numbers = text, numbers and _is_number(text)
        found[label] += 1
        if len(found) > CLASSES:
            raise UserError(
                f"{source.place}: more than {CLASSES:,} classes ({_few(found)}, …); name a column "
                f"of 2 to 1,000"
            )
    if not found:
        why = ", ".join(f"{amount(n, 'has', 'have')} no {lack}" for lack, n in lacks.items())
        raise UserError(f"{source.place}: no row has a text and a label ({why or 'there is none'})")
    if numbers:
        raise UserError(
            f"{source.place}: the texts are numbers ({last[:20]!r} is one); name another column"
        )
    left_out.update(lacks)
    return found


def _few(names) -> str:
    return ", ".join(repr(name[:30]) for name in sorted(names)[:3]) or "none"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text.replace(",", ".")))
    except ValueError:
        return False


def _in_order(name: str) -> tuple:
    """Numbers by their size, then words."""
    return (0, float(name.replace(",", ".")), name) if _is_number(name) else (1, 0.0, name)
