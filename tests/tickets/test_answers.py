"""What a ticket answers and says of itself, of any classes and of texts without a word."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from lottery import Ticket
from lottery.files import root
from lottery.tickets.card import card
from lottery.tickets.predict import column, lines, predict
from lottery.tickets.ticket import FEW


@pytest.fixture(scope="module")
def ticket():
    return Ticket.load(root() / "results" / "tickets" / "agnews-cnn")


def written(ticket, texts):
    """The rows of the shell's answer, and what it says."""
    out, said = io.StringIO(), []
    predict(ticket, texts, out, said.append, bar=False)
    return list(csv.reader(io.StringIO(out.getvalue()))), said


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [
        ("good bad ok p(x)", "good bad ok p(x)"),
        ("label line ok bad", "p(label) p(line) ok bad"),
        ("label p(label) p(p(line)) line", "p(p(label)) p(label) p(p(line)) p(line)"),
    ],
)
def test_no_class_takes_the_column_of_the_answer(ticket, classes, wanted):
    classes, wanted = tuple(classes.split()), wanted.split()
    named = Ticket(replace(ticket.contents, classes=classes))
    found = named.predict(["stocks fell"])
    assert list(found) == ["label", *wanted] and found["label"].item() in classes
    rows, _ = written(named, lines(io.BytesIO(b"stocks fell\n")))
    assert rows[0] == ["line", "label", *wanted] and rows[1][1] in classes


@pytest.mark.parametrize("more", [0, FEW])
def test_of_a_text_without_a_word_nothing_is_said(ticket, more):
    texts = ["", " \t\u2003", '";', "zyzzyva", *["stocks fell"] * more]
    found = ticket.predict(texts)
    assert found.iloc[:3].isna().all(axis=None) and found.iloc[3:].notna().all(axis=None)
    assert found["label"][0] is None
    stream = io.BytesIO("\n".join(texts).encode())
    rows, said = written(ticket, lines(stream))
    assert said == ["texts without a word: 3; their answers are left empty"]
    assert [row[1] for row in rows[1:]] == [label or "" for label in found["label"]]
    assert rows[3] == ["3", "", "", "", "", ""]
    assert ticket.predict([""])["label"].tolist() == [None]
    assert (ticket.encode([""]).tokens == 1).all(), "the network itself reads one <unk>"


def test_the_card_shows_class_names_as_they_are(ticket):
    classes = ("Sci/Tech", "<c>", "*d*", "a`b", "`", "e\x1b[1m")
    text = card(replace(ticket.contents, classes=classes))
    shown = r"Sci/Tech, `<c>`, `*d*`, ``a`b``, `` ` ``, `'e\x1b[1m'`"
    assert f"- Classes: {shown}.\n" in text


def test_a_line_ends_as_in_a_csv():
    """Or texts of a file from elsewhere would be answered as one."""
    stream = io.BytesIO(b"good\rbad\r\n\nx\r\r\ny")
    assert [(line.number, line.text) for line in lines(stream)] == [
        *((1, "good"), (2, "bad"), (3, ""), (4, "x"), (5, ""), (6, "y"))
    ]
    assert not stream.closed


def test_what_is_no_utf_8_is_named_with_a_remedy(ticket):
    raw = "\ufeffé café\r".encode() + "café\n".encode("latin-1") + b"\xed\xa0\x80\nfine\n"
    rows, said = written(ticket, lines(io.BytesIO(raw)))
    remedy = "write it so, from Latin-1 with iconv -f latin1 -t utf-8; its answer is left empty"
    assert said == [
        f"line 2: byte 4 is not UTF-8; {remedy}",
        f"line 3: byte 1 is not UTF-8; {remedy}",
    ]
    assert [bool(row[1]) for row in rows[1:]] == [True, False, False, True]
    stream = io.BytesIO("id,text\n1,café\n".encode("latin-1"))
    _, said = written(ticket, column(stream, "text"))
    assert said == [
        "line 2: is not UTF-8; give its --encoding, e.g. latin-1; its answer is left empty"
    ]
