"""Files of anybody's: one clear line, or the right corpus; nothing is dropped without a count."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lottery import data
from lottery.data import DATASETS, own, reading
from lottery.files import UserError

ROWS = [("good film", "good"), ("bad film", "bad"), ("fine", "good"), ("dull, no?", "bad")] * 5
ROWS = [(f"{text} {number}", label) for number, (text, label) in enumerate(ROWS)]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "cache"))


def written(rows=ROWS, head=("text", "label"), delimiter=",", **options) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, **options).writerows([head, *rows])
    return out.getvalue()


@pytest.fixture
def put(tmp_path):
    def write(content: bytes | str) -> Path:
        path = tmp_path / "texts.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def read(path: Path, text="text", label="label", **options) -> data.Own:
    return data.from_file(path, text=text, label=label, **{"say": [].append} | options)


def kept(found: data.Own) -> list[tuple[str, str]]:
    return [row for source in found.parts.values() for row in source.rows() if None not in row]


def line(path: Path, *columns: str, **options) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(UserError) as error:
        read(path, *columns, **options)
    said = str(error.value)
    assert len(said.splitlines()) == 1 and said.isprintable() and len(said) < 400, repr(said)
    return said


def test_an_empty_file_and_one_of_a_header_alone(put):
    assert line(put("")).endswith("texts.csv: the file is empty; copy it again")
    assert line(put("text,label\n")) == ("texts.csv: no row has a text and a label (there is none)")


def test_a_path_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(File name too long\); allow"):
        read(tmp_path / ("a long text " * 40))


def test_a_mark_of_the_byte_order_beside_a_named_encoding(put):
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        path = put(("\ufeff" + written()).encode(encoding))
        assert kept(read(path, encoding=encoding)) == ROWS


def test_what_a_cache_knows_of_rows_left_out_is_of_these_rows():
    """The rows that stay are the same, and so are their ids."""
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    more = pd.concat([frame, pd.DataFrame({"text": [None] * 7, "label": ["good"] * 7})])
    for some, left_out in ((frame, {}), (more, {"text": 7}), (frame, {})):
        found = data.from_frame(some, text="text", label="label", name="texts", say=[].append)
        assert data.load(found, say=[].append).own["left_out"] == left_out


def test_a_stream_whose_columns_nobody_knows_yet(put):
    path = put(written())
    options = {"data_files": str(path), "split": "train", "streaming": True}
    frame = datasets.load_dataset("csv", **options)
    with pytest.raises(UserError, match="load it without streaming=True"):
        data.from_frame(frame, text="text", label="label", name="texts")


def test_a_date_that_python_cannot_hold(tmp_path):
    days = pa.array([2**30, 1], pa.int32()).cast(pa.date32())
    path = tmp_path / "dates.parquet"
    pq.write_table(pa.table({"text": ["one", "two"], "label": days}), path)
    assert "a label cannot be read" in line(path, parquet=True)


def test_shares_that_leave_nothing_to_train_on_are_named(put):
    found = read(put(written()), test_share=0.99)
    with pytest.raises(UserError, match="or smaller shares of validation and test"):
        data.load(found, say=[].append)


def test_no_file_and_a_folder(tmp_path):
    assert "is not there" in line(tmp_path / "none.csv")
    assert "is a folder, not a file" in line(tmp_path)


def test_one_class_only(put):
    said = line(put(written([(text, "good") for text, _ in ROWS])))
    assert said == "texts.csv: one class only ('good'); name a column of 2 to 1,000"


def test_a_test_set_of_one_class_is_refused(put, tmp_path):
    test = tmp_path / "test.csv"
    test.write_text(written([(f"{text} more", label) for text, label in ROWS if label == "good"]))
    said = line(put(written()), test=test)
    assert said == (
        "test.csv: one class only ('good'), which tells nothing; give test texts of two classes or "
        "more"
    )


def test_a_class_with_one_row_stays_and_is_said(put):
    said: list[str] = []
    found = read(put(written([*ROWS, ("alone", "odd")])), say=said.append)
    assert said == ["texts: 1 class has one row ('odd'), which is in one split and in no other"]
    corpus = data.load(found, say=said.append)
    assert sum(corpus.facts["labels"][part]["odd"] for part in data.ids.SPLITS) == 1
    lacking = corpus.facts["labels"]["train"]["odd"] == 0
    assert ("texts: 1 class has no training text, and cannot be learned" in said) == lacking


def test_classes_that_may_be_one_are_said(put):
    """Numbers written in two ways, capitals, and the word of some programs for no label."""
    labels = ["1", "1.0", "Good", "good", "nan"] * 4
    said: list[str] = []
    found = read(put(written(zip(dict(ROWS), labels, strict=True))), say=said.append)
    assert found.known.classes == ("1", "1.0", "Good", "good", "nan")
    assert said == [
        "texts: '1', '1.0' are classes of their own; write them alike if they are one",
        "texts: 'Good', 'good' are classes of their own; write them alike if they are one",
        "texts: 'nan' is a class; leave the label empty where it is missing",
    ]


def test_as_many_classes_of_one_row_as_of_more_are_classes(put):
    rows = [(f"text {n}", f"class {n // 2}") for n in range(60)]
    said: list[str] = []
    found = read(put(written([*rows, *((f"alone {n}", f"odd {n}") for n in range(30))])),
                 say=said.append)  # fmt: skip
    assert len(found.known.classes) == 60
    assert len(said) == 1 and said[0].startswith("texts: 30 classes have one row ('odd 0', ")


def test_where_the_test_set_begins_is_a_part_of_the_corpus(tmp_path):
    """The same rows in the same order are cached once for each."""
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    for count in (12, 14):
        found = data.from_frame(frame[:count], test=frame[count:], text="text", label="label",
                                name="mine", say=[].append)  # fmt: skip
        assert data.load(found, say=[].append).facts["rows"]["test"] == len(ROWS) - count


def test_a_test_set_of_one_text_is_none():
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    named = {"text": "text", "label": "label", "name": "mine", "say": [].append}
    with pytest.raises(UserError, match=r"one class only \('good'\), which tells nothing"):
        data.from_frame(frame[1:], test=frame[:1], **named)


def test_a_data_set_without_a_label_in_a_row():
    """The library writes -1 there."""
    kinds = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["bad", "good"])
    )
    columns = {
        "text": [*(text for text, _ in ROWS), "x"],
        "label": [*(int(n == "good") for _, n in ROWS), -1],
    }
    frame = datasets.Dataset.from_dict(columns, kinds)
    found = data.from_frame(frame, text="text", label="label", name="mine", say=[].append)
    assert kept(found) == ROWS and found.left_out == {"label": 1}


def test_texts_that_a_parquet_file_holds_once_each(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["text", "label"]).astype("category")
    frame.to_parquet(tmp_path / "a.parquet")
    assert kept(read(tmp_path / "a.parquet", parquet=True)) == ROWS


def test_a_column_of_texts_without_any():
    frame = pd.DataFrame({"text": [float("nan")] * 9, "label": [n % 2 for n in range(9)]})
    with pytest.raises(UserError, match=r"no row has a text and a label \(9 have no text\)"):
        data.from_frame(frame, text="text", label="label", name="mine", say=[].append)


def test_a_header_whose_quotes_make_sense_with_its_own_delimiter_alone(put):
    rows = "".join(f"{text};{label}\n" for text, label in ROWS)
    assert kept(read(put('"text";"label"\n' + rows))) == ROWS


def test_labels_and_texts_that_are_missing_are_counted_and_left_out(put):
    said: list[str] = []
    rows = [*ROWS, ("x", ""), ("y", "  "), ("", "good"), ("\t", "bad"), ("", "")]
    found = read(put(written(rows)), say=said.append)
    assert found.left_out == {"label": 2, "text": 3}
    assert said == [
        "texts: 2 rows have no label; they are left out",
        "texts: 3 rows have no text; they are left out",
    ]
    assert kept(found) == ROWS
    assert data.load(found, say=said.append).own["left_out"] == {"label": 2, "text": 3}


def test_all_labels_missing(put):
    said = line(put(written([(text, "") for text, _ in ROWS])))
    assert said == "texts.csv: no row has a text and a label (20 have no label)"


def test_a_column_that_is_not_there_with_the_nearest_names(put):
    path = put(written(head=("review_text", "Stars")))
    assert line(path, "reviewtext", "Stars") == (
        "texts.csv: no column 'reviewtext'; did you mean 'review_text'? "
        "(there: 'review_text', 'Stars')"
    )
    assert "did you mean 'Stars'?" in line(path, "review_text", "stars")
    assert "did you mean" not in line(path, "review_text", "zzz")
    many = put(",".join(f"column{n}" * 9 for n in range(100)) + "\n")
    assert "and 92 more" in line(many, "a", "b")


def test_a_column_of_numbers_is_no_column_of_texts(put, tmp_path):
    rows = [(f"{n}.5", label) for n, (_, label) in enumerate(ROWS)]
    assert line(put(written(rows))) == (
        "texts.csv: the texts are numbers ('19.5' is one); name another column"
    )
    frame = pd.DataFrame({"text": range(9), "label": [n % 2 for n in range(9)]})
    for made in (frame, datasets.Dataset.from_pandas(frame)):
        with pytest.raises(UserError, match=r"column 'text' holds int64, not text"):
            data.from_frame(made, text="text", label="label", name="mine")
    frame.to_parquet(tmp_path / "a.parquet")
    assert "holds int64, not text" in line(tmp_path / "a.parquet", parquet=True)
    mixed = frame.astype({"text": object}).assign(text=["a", *range(8)])
    with pytest.raises(UserError, match="column 'text' holds int in row 1, not text"):
        data.from_frame(mixed, text="text", label="label", name="mine")


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_the_delimiter_is_found_in_the_header(put, delimiter):
    found = read(put(written([(f"{t}, a;b", label) for t, label in ROWS], delimiter=delimiter)))
    assert kept(found) == [(f"{text}, a;b", label) for text, label in ROWS]
    path = put(written(delimiter="~"))
    assert kept(read(path, delimiter="~")) == ROWS
    assert "no column 'text'" in line(path)
    assert line(path, delimiter="~~") == "delimiter '~~' is not one character, e.g. ;"
    assert line(path, delimiter=5) == "delimiter 5 is no text; write it in quotes"
    assert line(path, encoding=b"utf-8") == "encoding b'utf-8' is no text; write it in quotes"


def test_latin_1_is_named_and_read_when_it_is_said(put):
    rows = [*ROWS, ("schön", "good")]
    path = put(written(rows).encode("latin-1"))
    assert line(path) == (
        "texts.csv: line 22 is not UTF-8; give its --encoding, e.g. latin-1, or cp949 of Korean"
    )
    assert kept(read(path, encoding="latin-1")) == rows
    for name in ("what", "rot13", "hex", "base64", "undefined"):  # some are of no text
        assert f"encoding {name!r} is unknown" in line(path, encoding=name)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_says_the_encoding(put, encoding):
    rows = [*ROWS, ("schön 日本", "good")]
    assert kept(read(put(written(rows).encode(encoding)))) == rows


def test_a_byte_order_mark_is_named_where_another_encoding_is_given(put):
    path = put(written().encode("utf-16"))
    for name in ("utf-8", "latin-1"):
        said = f"texts.csv: its mark says UTF-16, not {name.upper()}; leave out its --encoding"
        assert line(path, encoding=name) == said
    assert "encoding 'what' is unknown" in line(path, encoding="what")
    for name in ("utf-16", "UTF_32"):  # the mark of the second begins as that of the first
        assert kept(read(put(written().encode(name)), encoding=name)) == ROWS


def test_duplicate_column_names(put):
    path = put(written([(*row, "x") for row in ROWS], ("text", "label", "text")))
    assert line(path) == "texts.csv: 2 columns 'text'; name each once"
    other = put(written([(*row, "x", "y") for row in ROWS], ("text", "label", "no", "no")))
    assert kept(read(other)) == ROWS  # of no matter
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    with pytest.raises(UserError, match="2 columns 'label'"):
        data.from_frame(
            pd.concat([frame, frame["label"]], axis=1), text="text", label="label", name="mine"
        )


def test_a_text_of_ten_megabytes(put):
    rows = [*ROWS, ("word " * 2_000_000, "good")]
    corpus = data.load(read(put(written(rows))), say=[].append)
    assert corpus.facts["lengths"]["max"] == 2_000_000
    assert sum(corpus.facts["rows"].values()) == len(rows)


def test_a_quote_that_nobody_closed(put, monkeypatch):
    head = written()
    said = line(put(head + '"and on,bad\n' + head))
    assert "bad CSV in lines 22 to 27 " in said and "close every quote" in said
    assert "bad CSV in line 22 " in line(put(head + '"one"x,bad\n' + head))
    assert line(put(head + '"and on,bad\n' + 9 * "more,good\n")) == (
        "texts.csv: line 22: a quote opens here that is not closed; close it, and double those "
        "inside a text"
    )
    monkeypatch.setattr(reading, "LONGEST", 1000)
    said = line(put(head + '"and on,bad\n' + 100 * "plain text,good\n"))
    assert "a field is longer than 64 MB" in said
    assert csv.field_size_limit() > 1000  # as it was before


def test_rows_of_another_length_and_nul_bytes(put):
    said = line(put(written() + "a,b,c\n"))
    assert "line 22 ends a row of 3 fields instead of 2" in said
    assert "NUL byte in line 22" in line(put(written() + "a\0b,good\n"))
    assert kept(read(put(written() + "\n\r\n" + "more,good\n"))) == [*ROWS, ("more", "good")]


def test_a_thousand_classes_and_no_more(put):
    rows = [(f"text {n}", f"class {n}") for n in range(1001)]
    assert "more than 1,000 classes" in line(put(written(rows)))
    parts = {
        name: reading.Source(name, lambda some=some: iter(some))
        for name, some in (("train", rows[:1000]), ("test", rows[1000:]))
    }
    with pytest.raises(UserError, match=r"'class 1000' occurs in the test set alone"):
        own.look(parts, "mine", 0.3, 0.2, "words", [].append)


def test_too_few_texts_to_divide(put):
    found = read(put(written([("one", "a"), ("two", "b")])))
    with pytest.raises(UserError, match="texts: too few different texts to divide"):
        data.load(found, say=[].append)


@pytest.mark.parametrize("name", [*DATASETS, "demo", "runs", "cnn", "IMDb", "", "a/b", "..", "ä"])
def test_names_that_are_taken_or_none(name):
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    with pytest.raises(UserError, match=r"is taken|no name of a corpus"):
        data.from_frame(frame, text="text", label="label", name=name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"valid_share": 0}, "valid_share 0 is not a share"),
        ({"test_share": 1.0}, "test_share 1.0 is not a share"),
        ({"tokens": "letters"}, "unknown tokens 'letters': there are words, characters"),
        ({"label": "text"}, "text and label are the same column"),
    ],
)
def test_options_out_of_bounds(options, said):
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    with pytest.raises(UserError, match=said):
        data.from_frame(frame, **{"text": "text", "label": "label", "name": "mine"} | options)


def test_what_is_no_frame():
    for thing in ([1], {"train": 1}, "texts.csv"):
        with pytest.raises(UserError, match=r"is no pandas DataFrame and no datasets\.Dataset"):
            data.from_frame(thing, text="text", label="label", name="mine")
    bad = pd.DataFrame({"text": ["a\ud800", "b"], "label": ["x", "y"]})
    with pytest.raises(UserError, match="not valid Unicode"):
        data.from_frame(bad, text="text", label="label", name="mine")


NUMBERED = pd.DataFrame(ROWS)  # its columns are called 0 and 1


@pytest.mark.parametrize(("text", "label"), [(0, 1), ("0", "1"), ("0", 1)])
def test_columns_that_are_numbered(put, tmp_path, text, label):
    named = {"text": text, "label": label, "name": "mine", "say": [].append}
    strings = NUMBERED.set_axis(["0", "1"], axis=1)
    for frame in (NUMBERED, strings, datasets.Dataset.from_pandas(strings)):
        assert kept(data.from_frame(frame, **named)) == ROWS
    strings.to_parquet(tmp_path / "a.parquet")
    assert kept(read(tmp_path / "a.parquet", text, label, parquet=True)) == ROWS
    assert kept(read(put(written(head=("0", "1"), delimiter=";")), text, label)) == ROWS


def test_a_numbered_column_that_is_not_there():
    with pytest.raises(UserError, match=r"no column '7' \(there: '0', '1'\)"):
        data.from_frame(NUMBERED, text=0, label=7, name="mine")
    with pytest.raises(UserError, match="are the same column '0'"):
        data.from_frame(NUMBERED, text=0, label="0", name="mine")


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("text", "column 'text' holds ndarray in row 0, not text; write it as strings"),
        ("label", "column 'label' holds ndarray in row 0, not one class a row"),
    ],
)
def test_a_column_of_arrays(column, says):
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    frame[column] = [np.array([number, 1]) for number in range(len(frame))]
    with pytest.raises(UserError, match=says):
        data.from_frame(frame, text="text", label="label", name="mine")


def test_a_parquet_file_that_is_none(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame(ROWS, columns=["text", "label"]).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert "not a whole parquet file" in line(path, parquet=True)
    pq.write_table(pa.table({"text": ["a"], "label": [[1, 2]]}), path)
    assert "not one class a row" in line(path, parquet=True)


@pytest.mark.parametrize(
    "rows",
    [
        [*ROWS, ("more", "good")],
        [("other", "good"), *ROWS[1:]],
        [(ROWS[0][0], "bad"), *ROWS[1:]],
        [(ROWS[0][0], "so so"), *ROWS[1:]],
    ],
)
def test_a_file_that_changes_while_it_is_read(put, rows):
    found = read(put(written()))
    put(written(rows))
    with pytest.raises(UserError, match=r"texts\.csv: changed while it was read"):
        data.load(found, say=[].append)


def test_a_frame_that_is_changed_later_changes_nothing():
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    found = data.from_frame(frame, text="text", label="label", name="mine", say=[].append)
    frame["text"] = "other"
    assert kept(found) == ROWS


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((3, "3"), (3.0, "3"), (3.5, "3.5"), (True, "True"), (" a \n b ", "a b"), ("", None)),
        *((None, None), (float("nan"), None), (pd.NA, None), (pd.NaT, None)),
    ],
)
def test_a_label_is_the_name_of_its_class(value, name):
    assert reading.class_name(value) == name


# Odd files

MARKS = "\n\r\t\\\"',;|#\x0b\x1a\x85\xa0\u2028\u202e\ufeff\ufffd"
ODD = st.sampled_from([*MARKS, '""', "\r\n", "e\u0301", "\U0001f600", "text,label", "NaN", "0"])
WORDS = st.one_of(ODD, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
LABELS = st.sampled_from(["good", "bad", "so so", "日本", "1", "2.50", "", " "])
TABLES = st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=25)
TOO_FEW = "too few different texts to divide", "has texts of one class only"
FUZZ = {"suppress_health_check": list(HealthCheck), "deadline": None}


def conserved(rows, found: data.Own) -> None:
    """Every row is in the corpus or counted as left out."""
    good = [(t, reading.class_name(n)) for t, n in rows if t.strip() and reading.class_name(n)]
    assert kept(found) == good
    assert sum(found.left_out.values()) == len(rows) - len(good)
    try:
        corpus = data.load(found, say=[].append)
    except UserError as error:
        assert any(words in str(error) for words in TOO_FEW) and len(good) < 40
        return
    assert sum(corpus.facts["rows"].values()) == len(good)
    for name in corpus.classes:
        count = sum(corpus.facts["labels"][part][name] for part in data.ids.SPLITS)
        assert count == sum(label == name for _, label in good)


def refused(path: Path, **options) -> data.Own | None:
    try:
        return read(path, **options)
    except UserError as error:
        said = str(error)
        assert len(said.splitlines()) == 1 and said.isprintable() and len(said) < 500, repr(said)
        return None


@settings(max_examples=500, **FUZZ)
@given(
    rows=TABLES,
    delimiter=st.sampled_from(reading.DELIMITERS),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    more=st.integers(0, 3),
)
def test_every_style_of_csv(tmp_path_factory, rows, delimiter, end, encoding, more):
    head = [f"column{n}" for n in range(more)]
    table = [(*("x" * more), *row) for row in rows]
    content = written(
        table, (*head, "text", "label"), delimiter, lineterminator=end, quoting=csv.QUOTE_ALL
    )
    path = tmp_path_factory.mktemp("fuzz") / "a.csv"
    path.write_bytes(content.encode(encoding))
    found = refused(path)
    good = {reading.class_name(n) for t, n in rows if t.strip()} - {None}
    if found is None:
        texts = [t for t, n in rows if t.strip() and n.strip()]
        assert len(good) < 2 or all(own._is_number(text) for text in texts)
    else:
        conserved(rows, found)


@settings(max_examples=500, **FUZZ)
@given(
    rows=TABLES,
    cuts=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), min_size=1, max_size=4),
    delimiter=st.sampled_from(reading.DELIMITERS),
)
def test_damaged_files_are_refused_in_a_line_or_read(tmp_path_factory, rows, cuts, delimiter):
    content = written(rows, delimiter=delimiter).encode()
    for place, piece in cuts:
        content = content[:place] + piece + content[place + 1 :]
    path = tmp_path_factory.mktemp("fuzz") / "a.csv"
    path.write_bytes(content)
    found = refused(path)
    if found is not None:
        every = [row for source in found.parts.values() for row in source.rows()]
        assert len(every) == len(kept(found)) + sum(found.left_out.values())
        try:
            corpus = data.load(found, say=[].append)
        except UserError as error:
            assert any(words in str(error) for words in TOO_FEW)
        else:
            assert sum(corpus.facts["rows"].values()) == len(kept(found))


# Size

MEASURE = """
import sys, threading, time
from lottery import data

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e3

def corpus(path):
    data.load(data.from_file(path, text="text", label="label", say=[].append), say=[].append)

corpus(sys.argv[1])
base, peak, run = anonymous(), 0, True

def watch():
    global peak
    while run:
        peak = max(peak, anonymous())
        time.sleep(0.005)

thread = threading.Thread(target=watch)
thread.start()
if sys.argv[3] == "whole":
    kept = open(sys.argv[2]).read()
corpus(sys.argv[2])
run = False
thread.join()
print(peak - base)
"""


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_large_file_takes_little_memory(tmp_path):
    """Texts and ids lie on the disk, and rows are some hundred bytes."""
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    body = " ".join(f"word{n}" for n in range(150))
    for path, rows in ((small, 500), (large, 40_000)):
        with path.open("w") as file:
            file.write("text,label\n")
            file.writelines(f"{n} {body},{n % 3}\n" for n in range(rows))
    assert large.stat().st_size > 43e6
    used = {}
    for way in ("stream", "whole"):
        command = [sys.executable, "-c", MEASURE, str(small), str(large), way]
        used[way] = float(subprocess.run(command, capture_output=True, check=True).stdout)
    assert used["stream"] < 35, used
    # The measure sees a file that is held: to the end, so that no busy machine can miss it.
    assert used["whole"] > 40, used


def test_what_is_known_of_a_corpus_is_a_dataset(put):
    found = read(put(written()))
    assert dataclasses.is_dataclass(found.known) and found.known.classes == ("bad", "good")
    assert data.known(found) is found.known and data.name_of(found) == "texts"
    with pytest.raises(UserError, match="unknown dataset 'sst2': there are imdb, agnews"):
        data.known("sst2")


def test_a_parquet_file_has_no_delimiter_and_no_encoding(tmp_path):
    for wrong in ({"delimiter": ";"}, {"encoding": "latin-1"}):
        with pytest.raises(UserError, match="a CSV's; leave them out"):
            own.from_file(tmp_path / "a.parquet", text="a", label="b", parquet=True, **wrong)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"\x1f\x8b\x08", "packed (gzip); unpack it"),
        (b"PK\x03\x04", "a ZIP archive or a sheet of Excel's; unpack it, or save it as CSV"),
        (b"PAR1", "parquet; give it as --parquet FILE"),
    ],
)
def test_what_is_no_csv_is_told_by_its_first_bytes(tmp_path, start, says):
    path = tmp_path / "some.csv"
    path.write_bytes(start + bytes(range(256)))
    with pytest.raises(UserError, match=re.escape(f"some.csv: is no CSV but {says}")):
        data.from_file(path, text="x", label="y", say=[].append)


def test_words_for_no_label_are_doubted_in_a_frame_and_a_drawn_test_set_has_two_classes(tmp_path):
    some = [f"text {number}" for number in range(40)]
    said, frame = [], pd.DataFrame({"x": some, "y": (["None", "<NA>", "NaT", "good"] * 10)})
    data.from_frame(frame, text="x", label="y", name="mine", say=said.append)
    assert [line.split("'")[1] for line in said] == ["<NA>", "NaT", "None"]
    lone = frame.assign(y=["good"] * 39 + ["bad"])
    drawn = data.from_frame(lone, text="x", label="y", name="mine", say=[].append)
    one_class = "mine: the test set that was drawn has texts of one class only, .* or a test set of"
    with pytest.raises(UserError, match=one_class):
        drawn.build(0, 100, tmp_path)


def test_what_is_no_frame_is_called_what_it_is():
    columns = {"text": "x", "label": "y", "name": "mine", "say": [].append}
    frame = pd.DataFrame({"x": ["a", "b"], "y": [0, 1]})
    parts = datasets.DatasetDict(train=datasets.Dataset.from_pandas(frame))
    for wrong, kind, remedy in (
        ([{"x": "a", "y": 1}], "list", "make one with pd.DataFrame"),
        ("some.csv", "str", "give a file's path to data.from_file"),
        (parts, "DatasetDict", "of a dictionary give one of its parts, and test="),
        (pa.Table.from_pandas(frame), "Table", "give its to_pandas()"),
    ):
        said = f"{kind} is no pandas DataFrame and no datasets.Dataset; {remedy}"
        with pytest.raises(UserError, match="^" + re.escape(f"frame: {said}")):
            data.from_frame(wrong, **columns)
        with pytest.raises(UserError, match="^" + re.escape(f"test: {said}")):
            data.from_frame(frame, test=wrong, **columns)
    with pytest.raises(UserError, match="unknown tokens"):
        data.from_frame(frame, tokens=["words"], **columns)


def test_a_tab_that_was_expected_is_shown_as_one_writes_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text\tlabel\n"one"x\tgood\n')
    with pytest.raises(UserError, match=r"\('\\t' expected after '\"'\); close every quote"):
        data.from_file(path, text="text", label="label", delimiter="\t", say=[].append)


def test_own_texts_have_a_cache_for_each_size_and_split(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path))
    rows = [(f"word{n % 7} text {n}", n % 2) for n in range(60)]
    own = data.from_frame(pd.DataFrame(rows, columns=["text", "label"]), text="text",
                          label="label", name="my", say=[].append)  # fmt: skip
    whole, few = (data.load(own, vocabulary_size=size, say=[].append) for size in (100, 5))
    assert few.vocabulary == whole.vocabulary[:5] != whole.vocabulary
    other = data.load(own, vocabulary_size=5, split_seed=1, say=[].append)
    assert other.test.tokens.tolist() != few.test.tokens.tolist()


def test_a_class_that_a_part_lacks_is_said(put):
    rare = [(f"odd text {number}", "odd") for number in range(2)]
    found = read(put(written([*dict(ROWS).items(), *rare])))
    for seed in range(8):
        said: list[str] = []
        corpus = data.load(found, split_seed=seed, say=said.append)
        for part, name in (("valid", "validation"), ("test", "test")):
            lacking = list(corpus.facts["labels"][part].values()).count(0)
            has = {0: None, 1: "1 class has", 2: "2 classes have"}[lacking]
            lines = [f"texts: {has} no {name} text, and no share in its accuracy"] if has else []
            assert [line for line in said if f"no {name} text" in line] == lines


def test_a_files_name_may_be_a_string(put):
    path = put(written())
    assert read(str(path)).digest == read(path).digest
    broken = put('text,label\nfine,"good\n')
    with pytest.raises(UserError, match="a quote opens here"):
        read(str(broken))


def test_length_is_the_median_and_repeats_are_rows_after_the_first():
    rows = [(f"w{n} a b", "ab"[n % 2]) for n in range(28)] + [("w0 a b", "a")]
    rows.append((" ".join(f"v{n}" for n in range(400)), "b"))
    frame = pd.DataFrame(rows, columns=["text", "label"])
    found = data.from_frame(frame, text="text", label="label", name="mine", say=[].append)
    corpus = data.load(found, say=[].append)
    assert corpus.own["length"] == 3
    assert corpus.facts["repeated_texts_exact"] == 1


def test_a_frame_may_be_changed_after_it_was_given():
    rows = [(f"text {n}", "ab"[n % 2]) for n in range(30)]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    found = data.from_frame(frame, text="text", label="label", name="mine", say=[].append)
    frame.iloc[0, 0] = frame.iloc[0, 1] = "other"
    assert data.load(found, say=[].append).classes == ("a", "b")
