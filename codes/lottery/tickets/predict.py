"""Texts from a stream to labels and probabilities, a part at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, TextIO

from tqdm import tqdm

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


def column(stream: BinaryIO, name: str) -> Iterator[Line]:
    """The texts of a column of a CSV with a header; UserError if there is no such column."""
    csv.field_size_limit(2**31 - 1)
    decoded = (raw.decode("utf-8", "surrogateescape") for raw in stream)
    reader = csv.reader(decoded)
    heads = next(reader, None)
    if not heads:
        wrong = "is empty" if heads is None else "its first line is blank"
        raise UserError(f"standard input: {wrong}; give a CSV whose first line names its columns")
    heads[0] = heads[0].removeprefix("\ufeff")
    if name not in heads:
        raise UserError(f"standard input: no column {name!r}; there are {', '.join(heads)}")
    place = heads.index(name)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Line(reader.line_num, None, str(error))
            continue
        if row is None:
            return
        if len(row) != len(heads):
            wrong = f"{len(row)} fields where the header has {len(heads)}"
            yield Line(reader.line_num, None, wrong)
        elif any("\udc80" <= letter <= "\udcff" for letter in row[place]):
            yield Line(reader.line_num, None, "is not UTF-8")
        else:
            yield Line(reader.line_num, row[place])


def predict(
    ticket: Ticket, texts: Iterable[Line], out: TextIO, say: Callable[[str], object], bar: bool
) -> int:
    """Write a CSV row for each line: its number, label, probabilities. Gives how many were bad.

    A bad line keeps its row, empty, and is named.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["line", "label", *ticket.classes])
    texts, bad = iter(texts), 0
    with tqdm(unit=" texts", disable=not bar) as progress:
        while part := list(islice(texts, PART)):
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
    return bad
