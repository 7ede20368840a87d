"""Texts from a stream to labels and probabilities, a part at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, TextIO

from tqdm import tqdm

from lottery.data.reading import DELIMITERS, check_form
from lottery.files import UserError
from lottery.tickets.ticket import Ticket

PART = 1024  # texts that are in memory at once


@dataclass(frozen=True)
class Line:
    """A text and the number of its line, from 1; without a text, what is wrong with it."""

    number: int
    text: str | None
    wrong: str = ""


def lines(stream: BinaryIO) -> Iterator[Line]:
    """One text a line, in UTF-8."""
    for number, raw in enumerate(stream, start=1):
        try:
            text = raw.decode("utf-8").rstrip("\r\n")
            yield Line(number, text.removeprefix("\ufeff") if number == 1 else text)
        except UnicodeDecodeError as error:
            yield Line(number, None, f"byte {error.start + 1} is not UTF-8")


def column(
    stream: BinaryIO, name: str, delimiter: str | None = None, encoding: str = "utf-8"
) -> Iterator[Line]:
    """The texts of a column of a CSV with a header.

    Without `delimiter` the first of , ; tab | in which the header has the column. UserError if it
    has no such column, or is no text.
    """
    csv.field_size_limit(2**31 - 1)
    check_form(delimiter, encoding)
    decoded = io.TextIOWrapper(stream, encoding, "surrogateescape", newline="")
    try:
        first = decoded.readline().removeprefix("\ufeff")
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
        yield from _rows(csv.reader(decoded, delimiter=way), heads[way], name, encoding)
    except (csv.Error, UnicodeError) as error:
        raise UserError(
            f"standard input: no CSV in {encoding} ({error}); give its --encoding, e.g. utf-16"
        ) from None
    finally:
        decoded.detach()  # or it would close the stream


def _rows(
    reader: Iterator[list[str]], heads: list[str], name: str, encoding: str
) -> Iterator[Line]:
    """The texts of the rows below the header, which is line 1."""
    place = heads.index(name)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Line(1 + reader.line_num, None, str(error))
            continue
        if row is None:
            return
        if len(row) != len(heads):
            wrong = f"{len(row)} fields where the header has {len(heads)}"
            yield Line(1 + reader.line_num, None, wrong)
        elif any("\udc80" <= letter <= "\udcff" for letter in row[place]):
            yield Line(1 + reader.line_num, None, f"is not {encoding.upper()}")
        else:
            yield Line(1 + reader.line_num, row[place])


def predict(
    ticket: Ticket, texts: Iterable[Line], out: TextIO, say: Callable[[str], object], bar: bool
) -> int:
    """Write a CSV row for each line: its number, label, probabilities. Gives how many were bad.

    A bad line keeps its row, empty, and is named. Input that is refused leaves nothing behind.
    """
    writer = csv.writer(out, lineterminator="\n")
    texts, bad = iter(texts), 0
    part = list(islice(texts, PART))
    writer.writerow(["line", "label", *ticket.classes])
    with tqdm(unit=" texts", disable=not bar) as progress:
        while part:
            good = [line.text for line in part if line.text is not None]
            chances = iter(ticket.probabilities(good))
            for line in part:
                if line.text is None:
                    bad += 1
                    say(f"line {line.number}: {line.wrong}; its answer is left empty")
                    writer.writerow([line.number, "", *("" for _ in ticket.classes)])
                    continue
                own = next(chances)
                label = ticket.classes[int(own.argmax())]
                writer.writerow([line.number, label, *(f"{chance:.4f}" for chance in own)])
            out.flush()
            progress.update(len(part))
            part = list(islice(texts, PART))
    return bad
