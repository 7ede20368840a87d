"""Files and frames of anybody's to rows of text and label, a part at a time, checked on the way.

A row is a text and the name of its class; None stands for what is missing. A `Source` may be read
many times. Its mistakes are one line that names the place and the remedy.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from lottery.files import UserError, amount, shown

if TYPE_CHECKING:  # half a second to import, which a process that trains does not need
    import pandas as pd

Row = tuple[str | None, str | None]  # text, name of its class

DELIMITERS = (",", ";", "\t", "|")
LONGEST = 1 << 26  # characters of a field: more is a quote that nobody closed
LISTED = 8  # names of columns in one line
UNCLOSED = "a quote opens here that is not closed; close it, and double those inside a text"
BATCH = 1000  # rows of a parquet file or a data set that are in memory at once
OTHER_FORMS = {  # by the first bytes of a file
    b"\x1f\x8b": "packed (gzip); unpack it",
    b"PK\x03\x04": "a ZIP archive or a sheet of Excel's; unpack it, or save it as CSV",
    b"PAR1": "parquet; give it as --parquet FILE",
}
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Source:
    """Rows that can be read again and again."""

    place: str  # for people, without this machine's paths
    rows: Callable[[], Iterator[Row]]


def csv_file(
    path: Path, text: str, label: str, delimiter: str | None = None, encoding: str | None = None
) -> Source:
    """A CSV with a header.

    Without `delimiter` the first of , ; tab | in which the header has both columns; without
    `encoding` what a byte order mark says, else UTF-8. UserError if it has no such columns.
    """
    path = _there(path)
    with path.open("rb") as file:
        start = file.read(4)
    marked = next((name for bom, name in BOMS.items() if start.startswith(bom)), None)
    if encoding is None:
        encoding = marked or "utf-8"
    for mark, what in OTHER_FORMS.items():
        if start.startswith(mark):
            raise UserError(f"{path.name}: is no CSV but {what}")
    check_form(delimiter, encoding)
    if marked == "utf-16" and not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        raise UserError(
            f"{path.name}: its mark says UTF-16, not {encoding.upper()}; leave out its --encoding"
        )
    heads: dict[str, list[str]] = {}
    for between in (delimiter,) if delimiter else DELIMITERS:
        try:
            with _records(path, encoding, between) as records:
                heads[between] = next(records, [])
        except UserError as error:  # quotes that make sense with another
            wrong = error
            continue
        if {str(text), str(label)} <= set(heads[between]):
            break
    else:
        if not heads:
            raise wrong
        between = max(heads, key=lambda one: len(heads[one]))
    columns = _columns(path.name, heads[between], text, label)

    def rows() -> Iterator[Row]:
        width = len(heads[between])
        with _records(path, encoding, between, bar=True) as records:
            next(records)
            for row in records:
                if not row:
                    continue  # an empty line
                if len(row) != width:
                    raise UserError(
                        f"{path.name}: line {records.line_num:,} ends a row of "
                        f"{amount(len(row), 'field', 'fields')} instead of {width}; quote "
                        f"delimiters and line ends, or mend the row"
                    )
                yield _text(row[columns[0]]), class_name(row[columns[1]])

    return Source(path.name, rows)


def check_form(delimiter: str | None, encoding: str) -> None:
    """UserError if a CSV can have no such delimiter or encoding."""
    for name, value in (("delimiter", delimiter), ("encoding", encoding)):
        if not isinstance(value, (str, NoneType)):
            raise UserError(f"{name} {shown(value)} is no text; write it in quotes")
    try:
        "a".encode(encoding)  # `codecs.lookup` knows rot13 and hex, too, which are of no text
    except (LookupError, ValueError):
        raise UserError(f"encoding {encoding!r} is unknown; write e.g. latin-1") from None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise UserError(f"delimiter {delimiter!r} is not one character, e.g. ;")


class _Lines:
    """Lines of a text file, and what csv makes of them, with one line for each mistake."""

    def __init__(self, path: Path, encoding: str, delimiter: str, file: io.BufferedReader, bar):
        self.path, self.encoding, self.file, self.bar = path, encoding, file, bar
        self.lines = io.TextIOWrapper(file, encoding, newline="")
        self.reader = csv.reader(self._whole(), delimiter=delimiter, strict=True)

    @property
    def line_num(self) -> int:
        return self.reader.line_num

    def _whole(self) -> Iterator[str]:
        for number, line in enumerate(self.lines):
            if not number:
                line = line.removeprefix("\ufeff")  # where the encoding's name does not ask for it
            if "\0" in line:
                raise UserError(
                    f"{self.path.name}: NUL byte in line {self.line_num + 1:,}; give its "
                    f"--encoding, e.g. utf-16, or copy it again"
                )
            self.bar.update(self.file.tell() - self.bar.n)
            yield line

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        start = self.line_num + 1
        try:
            return next(self.reader)
        except UnicodeError:
            line = _bad_line(self.path, self.encoding)
            raise UserError(
                f"{self.path.name}: line {line:,} is not {self.encoding.upper()}; give its "
                f"--encoding, e.g. latin-1, or cp949 of Korean"
            ) from None
        except csv.Error as error:
            said = str(error).replace("\t", "\\t")  # a tab that was expected
            if "unexpected end" in said:
                raise UserError(f"{self.path.name}: line {start:,}: {UNCLOSED}") from None
            why = "a field is longer than 64 MB" if "limit" in said else said
            end = self.line_num
            where = f"lines {start:,} to {end:,}" if end > start else f"line {end:,}"
            raise UserError(
                f"{self.path.name}: bad CSV in {where} ({why}); close every quote, and double "
                f"those inside a text"
            ) from None


@contextmanager
def long_fields() -> Iterator[None]:
    """Within, a field of a CSV may have LONGEST characters; usually it has 131,072 at most."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@contextmanager
def _records(path: Path, encoding: str, delimiter: str, bar: bool = False) -> Iterator[_Lines]:
    options = {"unit": "B", "unit_scale": True, "leave": False, "disable": None if bar else True}
    with long_fields(), path.open("rb") as file, tqdm(
        total=path.stat().st_size, desc=path.name, **options
    ) as shown:  # fmt: skip
        yield _Lines(path, encoding, delimiter, file, shown)


def _bad_line(path: Path, encoding: str) -> int:
    """The first line that the encoding does not explain."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            try:
                line += decoder.decode(part).count("\n")
            except UnicodeError as error:
                if isinstance(error, UnicodeDecodeError):
                    line += error.object[: error.start].count(b"\n")
                break
    return line


def parquet_file(path: Path, text: str, label: str) -> Source:
    """A parquet file; UserError if it is none, or has no such columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _there(path)

    @contextmanager
    def opened() -> Iterator[Any]:
        try:
            with pq.ParquetFile(path) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{path.name}: not a whole parquet file ({reason}); copy it again"
            ) from None

    with opened() as file:
        schema = file.schema_arrow
        text, label = (schema.names[n] for n in _columns(path.name, schema.names, text, label))
        _check_kinds(path.name, text, label, schema)

    def rows() -> Iterator[Row]:
        options = {"desc": path.name, "unit": " rows", "leave": False, "disable": None}
        with opened() as file, tqdm(total=file.metadata.num_rows, **options) as bar:
            for batch in file.iter_batches(BATCH, columns=[text, label]):
                yield from _pairs(path.name, batch.column(text), batch.column(label))
                bar.update(len(batch))

    return Source(path.name, rows)


def _check_kinds(place: str, text: str, label: str, schema) -> None:
    """UserError if the column of texts holds something else, or that of labels no single values."""
    import pyarrow as pa

    kinds = []
    for name in (text, label):
        kind = schema.field(name).type
        kinds.append(kind.value_type if pa.types.is_dictionary(kind) else kind)
    strings = (pa.string(), pa.large_string(), pa.string_view(), pa.null())
    if kinds[0] not in strings:
        raise UserError(f"{place}: column {text!r} holds {kinds[0]}, not text; name another column")
    if pa.types.is_nested(kinds[1]) or pa.types.is_binary(kinds[1]):
        raise UserError(f"{place}: column {label!r} holds {kinds[1]}, not one class a row")


def _pairs(place: str, texts, labels, names: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of two arrow columns; `names` of numbered classes."""
    try:
        texts, labels = texts.to_pylist(), labels.to_pylist()
    except UnicodeDecodeError:
        raise UserError(f"{place}: a text is not valid UTF-8; write the file again") from None
    except (OverflowError, ValueError) as error:  # a date that Python cannot hold
        raise UserError(f"{place}: a label cannot be read ({error}); write it as text") from None
    for text, label in zip(texts, labels, strict=True):
        if names is not None:  # the library writes -1 where there is no label
            label = names[label] if label is not None and label >= 0 else None
        yield _text(text), class_name(label)


def frame_rows(frame: Any, text: str, label: str, test: bool = False) -> Source:
    """A pandas DataFrame or a `datasets.Dataset`; UserError for anything else."""
    import pandas as pd

    kind = type(frame).__name__
    place = f"test {kind}" if test else kind
    if isinstance(frame, pd.DataFrame):
        place = place if test else f"{kind} of {amount(len(frame), 'row', 'rows')}"
        return _pandas(frame, text, label, place)
    if hasattr(frame, "features") and hasattr(frame, "column_names") and hasattr(frame, "iter"):
        if not test and hasattr(frame, "num_rows"):  # a stream has none
            place = f"{kind} of {amount(frame.num_rows, 'row', 'rows')}"
        return _dataset(frame, text, label, place)
    if isinstance(frame, (str, Path)):
        remedy = "give a file's path to data.from_file"
    elif isinstance(frame, dict):
        remedy = "of a dictionary give one of its parts, and test="
    elif hasattr(frame, "to_pandas"):
        remedy = "give its to_pandas()"
    else:
        remedy = "make one with pd.DataFrame"
    role = "test" if test else "frame"
    raise UserError(f"{role}: {kind} is no pandas DataFrame and no datasets.Dataset; {remedy}")


def _pandas(frame: pd.DataFrame, text: str, label: str, place: str) -> Source:
    from pandas.api.types import is_list_like, is_numeric_dtype

    columns = _columns(place, list(frame.columns), text, label)
    texts, labels = (frame.iloc[:, n].copy() for n in columns)  # whoever changes the frame later
    if is_numeric_dtype(texts) and not texts.isna().all():
        raise UserError(
            f"{place}: column {text!r} holds {texts.dtype}, not text; name another column"
        )

    def rows() -> Iterator[Row]:
        for number, (one, other) in enumerate(zip(texts, labels, strict=True)):
            if not isinstance(one, str) and not _is_missing(one):
                raise UserError(
                    f"{place}: column {text!r} holds {type(one).__name__} in row {number:,}, not "
                    f"text; write it as strings"
                )
            if is_list_like(other):
                raise UserError(
                    f"{place}: column {label!r} holds {type(other).__name__} in row {number:,}, "
                    f"not one class a row"
                )
            yield _text(one if isinstance(one, str) else None), class_name(other)

    return Source(place, rows)


def _dataset(frame: Any, text: str, label: str, place: str) -> Source:
    if frame.features is None:
        raise UserError(
            f"{place}: its columns are not known before it is read; load it without streaming=True"
        )
    heads = frame.column_names
    text, label = (heads[n] for n in _columns(place, heads, text, label))
    _check_kinds(place, text, label, frame.features.arrow_schema)
    names = getattr(frame.features[label], "names", None)
    two = frame.select_columns([text, label]).with_format("arrow")

    def rows() -> Iterator[Row]:
        for batch in two.iter(BATCH):
            yield from _pairs(place, batch.column(text), batch.column(label), names)

    return Source(place, rows)


def _there(path: Path) -> Path:
    path = Path(path)
    try:
        if not path.is_file():
            why = "is a folder, not a file" if path.is_dir() else "is not there"
            raise UserError(f"{path}: {why}; name a file")
        with path.open("rb") as file:
            if not file.read(1):
                raise UserError(f"{path}: the file is empty; copy it again")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); allow reading it, or name another file"
        ) from None
    return path


def _columns(place: str, heads: Sequence[Any], text: str, label: str) -> tuple[int, int]:
    """Where the two columns stand; UserError with the nearest names if one is not there once."""
    names = [str(head) for head in heads]
    text, label = str(text), str(label)  # a frame may number its columns
    for name in (text, label):
        if names.count(name) == 1:
            continue
        if name in names:
            raise UserError(f"{place}: {names.count(name)} columns {name!r}; name each once")
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], 3, 0.5)
        found = list(dict.fromkeys(n for one in near for n in names if n.lower() == one))
        hint = f"; did you mean {_listed(found)}?" if found else ""
        raise UserError(f"{place}: no column {name!r}{hint} (there: {_listed(names) or 'none'})")
    if text == label:
        raise UserError(f"{place}: text and label are the same column {text!r}; name two")
    return names.index(text), names.index(label)


def _listed(names: Sequence[str]) -> str:
    """Names for people: a few, none of them long."""
    shown = [repr(name if len(name) <= 30 else name[:29] + "…") for name in names[:LISTED]]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(shown) + more


def _text(value: str | None) -> str | None:
    return value if value and not value.isspace() else None


def class_name(value: Any) -> str | None:
    """A label as the name of its class: 3 and 3.0 are "3"; None if it is missing or blank."""
    if _is_missing(value):
        return None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return " ".join(str(value).split()) or None


def _is_missing(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return value is None
    import pandas as pd

    if value is pd.NA or value is pd.NaT:
        return True
    return bool(pd.api.types.is_scalar(value) and value != value)  # an array has no one answer
