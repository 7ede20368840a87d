"""What a ticket answers in Python and in the shell, of any classes and of texts without a word."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from lottery import Ticket
from lottery.files import root
from lottery.tickets.predict import lines, predict
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
