"""Texts from a stream to labels and probabilities, a part at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO, TextIO

import numpy as np
from tqdm import tqdm

from lottery.data.reading import DELIMITERS, LONGEST, UNCLOSED, check_form, long_fields
from lottery.data.tokens import is_unicode
from lottery.files import UserError, amount
from lottery.tickets.ticket import HEADS, Ticket, columns

PART = 1024  # texts that are in memory at once
UTF16 = ("\udcff\udcfe", "\udcfe\udcff")  # its mark, read as UTF-8
ICONV = "write it so, from Latin-1 with iconv -f latin1 -t utf-8"


@dataclass(frozen=True)
class Line:
    """A text and the number of its line, from 1; without a text, what is wrong with it."""

    number: int
    text: str | None
    wrong: str = ""


def lines(stream: BinaryIO) -> Iterator[Line]:
    """One text a line, in UTF-8; UserError for UTF-16 and for what has no lines.

    A line ends as in a CSV: with a line feed, a carriage return or both.
    """
    decoded = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
    try:
        for number in count(1):
            text = decoded.readline(LONGEST)
            if not text:
                return
            if len(text) == LONGEST and not text.endswith("\n"):
                raise UserError(
                    f"standard input: line {number:,} is longer than 64 MB; give a text a line"
                )
            if number == 1 and text.startswith(UTF16):
                raise UserError(
                    "standard input: is UTF-16; write it as UTF-8 (iconv -f utf-16 -t utf-8)"
                )
            try:
                text.encode()
            except UnicodeEncodeError as error:
                byte = 1 + len(text[: error.start].encode())
                yield Line(number, None, f"byte {byte} is not UTF-8; {ICONV}")
            else:
                text = text.removeprefix("\ufeff") if number == 1 else text
                yield _checked(number, text.rstrip("\r\n"), "utf-8")
    finally:
        decoded.detach()  # or it would close the stream


def _checked(number: int, text: str, encoding: str) -> Line:
    """The line, if its letters are those of a text."""
    if "\0" in text:
        return Line(number, None, "holds a NUL byte: it is no text, or it is UTF-16")
    if not is_unicode(text):
        return Line(number, None, f"is not {encoding.upper()}; give its --encoding, e.g. latin-1")
    return Line(number, text)


def column(
    stream: BinaryIO, name: str, delimiter: str | None = None, encoding: str = "utf-8"
) -> Iterator[Line]:
    """The texts of a column of a CSV with a header.

    Without `delimiter` the first of , ; tab | in which the header has the column. UserError if it
    has no such column or several, is no text, or has a quote that nobody closes.
    """
    check_form(delimiter, encoding)
    decoded = io.TextIOWrapper(stream, encoding, "surrogateescape", newline="")
    try:
        with long_fields():
            first = decoded.readline(LONGEST).removeprefix("\ufeff")
            if first.startswith(UTF16):
                raise UserError("standard input: is UTF-16; give --encoding utf-16")
            if not first.strip():
                wrong = "its first line is blank" if first else "is empty"
                raise UserError(
                    f"standard input: {wrong}; give a CSV whose first line names its columns"
                )
            ways = (delimiter,) if delimiter else DELIMITERS
            heads = {way: next(csv.reader([first], delimiter=way)) for way in ways}
            way = next((way for way in ways if name in heads[way]), None)
            if way is None:
                there = ", ".join(max(heads.values(), key=len))
                raise UserError(f"standard input: no column {name!r}; there are {there}")
            if (several := heads[way].count(name)) > 1:
                raise UserError(f"standard input: {several} columns {name!r}; name each once")
            reader = csv.reader(decoded, delimiter=way, strict=True)
            yield from _rows(reader, heads[way], name, encoding)
    except (csv.Error, UnicodeError) as error:
        raise UserError(
            f"standard input: no CSV in {encoding} ({error}); give its --encoding, e.g. utf-16"
        ) from None
    finally:
        decoded.detach()  # or it would close the stream


def _rows(reader: Any, heads: list[str], name: str, encoding: str) -> Iterator[Line]:
    """The texts of the rows below the header, which is line 1."""
    place = heads.index(name)
    while True:
        start = 2 + reader.line_num
        try:
            row = next(reader, None)
        except csv.Error as error:
            if "limit" in str(error) or "unexpected end" in str(error):
                raise UserError(
                    f"standard input: line {start:,}: {UNCLOSED}. What stands before is answered"
                ) from None
            yield Line(1 + reader.line_num, None, str(error))
            continue
        if row is None:
            return
        if not row:
            continue  # an empty line
        number = 1 + reader.line_num
        if len(row) == len(heads):
            yield _checked(number, row[place], encoding)
        else:
            fields = amount(len(row), "field", "fields")
            yield Line(number, None, f"{fields} where the header has {len(heads)}")


def predict(
    ticket: Ticket, texts: Iterable[Line], out: TextIO, say: Callable[[str], object], bar: bool
) -> int:
    """Write a CSV row for each line: its number, label, probabilities. Gives how many were bad.

    A bad line keeps its row, empty, and is named; one without a word, too, and is counted. Input
    whose beginning is refused leaves nothing behind; where a later line is, the answers before it
    stand.
    """
    writer, bad, wordless, begun = csv.writer(out, lineterminator="\n"), 0, 0, False
    empty = [""] * (1 + len(ticket.classes))
    head = [*HEADS, *columns(ticket.classes)]
    with tqdm(unit=" texts", disable=not bar) as progress:
        for part in _parts(texts):
            if not begun:
                writer.writerow(head)
                begun = True
            good = [line.text for line in part if line.text is not None]
            chances = iter(ticket.probabilities(good))
            for line in part:
                if line.text is None:
                    bad += 1
                    say(f"line {line.number}: {line.wrong}; its answer is left empty")
                    writer.writerow([line.number, *empty])
                    continue
                own = next(chances)
                if np.isnan(own[0]):
                    wordless += 1
                    writer.writerow([line.number, *empty])
                    continue
                label = ticket.classes[int(own.argmax())]
                writer.writerow([line.number, label, *(f"{chance:.4f}" for chance in own)])
            out.flush()
            progress.update(len(part))
    if not begun:
        writer.writerow(head)
    if wordless:
        say(f"texts without a word: {wordless:,}; their answers are left empty")
    return bad


def _parts(texts: Iterable[Line]) -> Iterator[list[Line]]:
    """So many texts as are in memory at once; before a refusal those that came before it."""
    part: list[Line] = []
    try:
        for line in texts:
            part.append(line)
            if len(part) == PART:
                yield part
                part = []
    except UserError:
        if part:
            yield part
        raise
    if part:
        yield part
