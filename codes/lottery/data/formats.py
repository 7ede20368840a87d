"""The forms in which the known corpora's files are spread: bytes to texts and labels, row by row.

`place` is the file's name for people. A file that is not what it should be is one UserError.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from lottery.data.reading import long_fields
from lottery.files import UserError, amount

Table = tuple[list[str], list[int]]  # texts and labels, row by row


def check_rows(texts: list, labels: list, place: str, classes: Sequence[str]) -> None:
    """Every row has a text and the label of a class.

    Raises:
        UserError: how many rows do not, and which is the first (counted from 1).
    """
    bare = {row: "" for row, t in enumerate(texts, 1) if not isinstance(t, str) or not t.strip()}
    _refuse(place, bare, "no text", "take the original file")
    numbers = range(len(classes))
    wrong = {row: f" ({label})" for row, label in enumerate(labels, 1) if label not in numbers}
    _refuse(place, wrong, f"a `label` outside 0 to {numbers[-1]}", "take the original file")


def _refuse(place: str, wrong: Mapping[int, str], what: str, remedy: str) -> None:
    """UserError if there are wrong rows: how many, and of the first number and content."""
    if wrong:
        row, held = next(iter(wrong.items()))
        rows = amount(len(wrong), "row has", "rows have")
        raise UserError(f"{place}: {rows} {what}, first row {row:,}{held}; {remedy}")


def parquet(raw: bytes, place: str, classes: Sequence[str]) -> Table:
    """Parquet with the columns `text` (string) and `label` (integer, counted from 0)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(raw))
        wanted = [name for name in ("text", "label") if name in file.schema_arrow.names]
        table = file.read(columns=wanted) if len(wanted) == 2 else file.schema_arrow.empty_table()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).split("\n")[0].split(". ")[0][:120]
        raise UserError(f"{place}: not a whole parquet file ({reason}); copy it again") from None
    return columns(table, place)


def columns(table, place: str) -> Table:
    """`text` and `label` of an arrow table; UserError if one is missing or of another kind."""
    import pyarrow as pa

    for name in ("text", "label"):
        there = table.column_names.count(name)
        if there != 1:
            names = ", ".join(table.column_names) or "none"
            raise UserError(
                f"{place}: {'several columns' if there else 'no column'} `{name}` (there: "
                f"{names}); it needs one `text` and one `label`"
            )
    text, label = table.column("text"), table.column("label")
    kind = text.type.value_type if pa.types.is_dictionary(text.type) else text.type
    if kind not in (pa.string(), pa.large_string(), pa.string_view()):
        raise UserError(f"{place}: column `text` holds {kind}, not text; write it as strings")
    if not pa.types.is_integer(label.type):
        raise UserError(
            f"{place}: column `label` holds {label.type}, not integers; write it as int64"
        )
    try:
        return text.to_pylist(), label.to_pylist()
    except UnicodeDecodeError:
        raise UserError(f"{place}: column `text` is not valid UTF-8; write it again") from None


def _csv(raw: bytes, place: str, width: int) -> list[list[str]]:
    """Rows of `width` fields each; a first line's byte order mark is dropped."""
    nul = raw.find(b"\0")
    if nul >= 0:
        line = raw.count(b"\n", 0, nul) + 1
        raise UserError(
            f"{place}: NUL byte in line {line:,}; save it as UTF-8 text or copy it again"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{place}: line {line:,} is not UTF-8; save the file as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        with long_fields():
            for row in reader:
                if row and len(row) != width:
                    raise UserError(
                        f"{place}: line {reader.line_num:,} ends a row of "
                        f"{amount(len(row), 'field', 'fields')} instead of {width}; quote "
                        f"commas and line ends, or copy it again"
                    )
                if row:
                    rows.append(row)
    except csv.Error as error:
        raise UserError(
            f"{place}: bad CSV up to line {reader.line_num:,} ({error}); copy it again"
        ) from None
    return rows


def imdb_csv(raw: bytes, place: str, classes: Sequence[str]) -> Table:
    """The 50k CSV: header `review,sentiment`, sentiments written out."""
    head, *rows = _csv(raw, place, 2) or [[]]
    if head != ["review", "sentiment"]:
        raise UserError(
            f"{place}: the first line must be the header review,sentiment; it is "
            f"{','.join(head)[:60]!r}"
        )
    number = {name: label for label, name in enumerate(classes)}
    wrong = {n: f" ({name[:40]!r})" for n, (_, name) in enumerate(rows, 1) if name not in number}
    _refuse(place, wrong, f"a `sentiment` other than {' or '.join(classes)}", "correct them")
    return [text for text, _ in rows], [number[name] for _, name in rows]


def ag_news_csv(raw: bytes, place: str, classes: Sequence[str]) -> Table:
    """The original CSV: class 1 to 4, title, description; no header.

    Its readme says that line ends are written as backslash and n. In the original they are a bare
    backslash, and every backslash-n begins a word with n ("\\new"): there a backslash stays what
    it is, as in torchtext and on the hub. Only where no other backslash occurs is the file written
    as the readme says, and backslash-n becomes a line end.
    """
    rows = _csv(raw, place, 3)
    if rows and [field.casefold() for field in rows[0]] == ["class index", "title", "description"]:
        rows = rows[1:]  # some copies have a header all the same
    if all(part.startswith("n") for _, *texts in rows for t in texts for part in t.split("\\")[1:]):
        rows = [[name, *(text.replace("\\n", "\n") for text in texts)] for name, *texts in rows]
    number = {str(label + 1): label for label in range(len(classes))}
    wrong = {n: f" ({name[:40]!r})" for n, (name, *_) in enumerate(rows, 1) if name not in number}
    _refuse(place, wrong, f"a class other than 1 to {len(number)}", "correct them")
    return [f"{title} {words}" for _, title, words in rows], [number[name] for name, _, _ in rows]
