"""Data files of every kind of oddness: one clear line, or the right corpus. 1,000 files in all."""

from __future__ import annotations

import csv
import dataclasses
import io
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lottery import data as corpus
from lottery.data import DATASETS, sources
from lottery.files import UserError

OFFICIAL = dict(DATASETS)

# Words that parsers, encodings and tokenisers trip over.
MARKS = "\n\r\t\\\"',;#\x0b\x1a\x85\xa0\u2028\u202e\ufeff\ufffd"
PIECES = r"\n \new <br /> é 日本 review,sentiment NaN null 0 -1 =1+1 İ".split()
ODD = st.sampled_from([*MARKS, '""', "\r\n", "e\u0301", "\U0001f600", *PIECES])
WORDS = st.one_of(ODD, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
GIANT = TEXTS.map(
    lambda text: text + " word" * 28_000
)  # above what a CSV field may hold by default


def rows(classes: int, giant: bool = True):
    """Texts, each with its number so that no two are the same, and their labels."""
    texts = st.one_of(*[TEXTS] * 29, GIANT) if giant else TEXTS
    row = st.tuples(texts, st.integers(0, classes - 1))
    return st.lists(row, min_size=5, max_size=9).map(
        lambda found: [(f"n{number} {text}", label) for number, (text, label) in enumerate(found)]
    )


def files(count: int):
    """So many files."""
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("fuzz")
        for name in ("imdb", "ag_news"):
            (folder / "data" / name).mkdir(parents=True)
        patch.setenv("LOTTERY_DATA", str(folder / "data"))
        (folder / "file").touch()
        patch.setenv("LOTTERY_CACHE", str(folder / "file"))  # no cache: syncing 700 is slow
        yield folder / "data"
        DATASETS.update(OFFICIAL)


def sized(name: str, count: int, test: int = 0) -> None:
    """Let the corpus have so many rows."""
    sizes = (count - 2, 2, test) if test else (count - 2, 1, 1)
    DATASETS[name] = dataclasses.replace(OFFICIAL[name], sizes=sizes)


def refused(name: str) -> str | None:
    """The line with which the corpus is refused; None if it is not."""
    try:
        sources.find(name, DATASETS[name]).read()
    except UserError as error:
        line = str(error)
        assert len(line.splitlines()) == 1 and line.isprintable() and len(line) < 500, repr(line)
        return line
    return None


def check(name: str, part: str, wanted: list[tuple[str, int]]) -> None:
    """The corpus has these rows, none more and none less, and becomes ids."""
    texts, labels = sources.find(name, DATASETS[name]).read()[part]
    assert list(zip(texts, labels, strict=True)) == wanted
    loaded = corpus.load(name, say=[].append)
    assert sum(len(getattr(loaded, split)) for split in corpus.ids.SPLITS) >= len(wanted)
    found = sorted(label for s in corpus.ids.SPLITS for label in getattr(loaded, s).labels.tolist())
    if part == "all":
        assert found == sorted(label for _, label in wanted)


def written(table: list[list[str]], bom: bool, **options) -> bytes:
    if any("\r" in cell or "\n" in cell for row in table for cell in row):
        options["quoting"] = csv.QUOTE_ALL  # else some versions of csv write it bare: a row's end
    out = io.StringIO(newline="")
    csv.writer(out, **options).writerows(table)
    return out.getvalue().encode("utf-8-sig" if bom else "utf-8")


STYLE = {
    "bom": st.booleans(),
    "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    "lineterminator": st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
}


@files(250)
@given(rows=rows(2), style=st.fixed_dictionaries(STYLE))
def test_reviews_in_every_style_of_csv(data, rows, style):
    sized("imdb", len(rows))
    table = [["review", "sentiment"], *([t, OFFICIAL["imdb"].classes[n]] for t, n in rows)]
    (data / "IMDB Dataset.csv").write_bytes(written(table, **style))
    try:
        check("imdb", "all", rows)
    finally:
        (data / "IMDB Dataset.csv").unlink()


@files(150)
@given(rows=rows(4, giant=False), style=st.fixed_dictionaries(STYLE), header=st.booleans())
def test_news_in_every_style_of_csv(data, rows, style, header):
    sized("agnews", len(rows), 2)
    rows[0] = (rows[0][0] + " a\\b", rows[0][1])  # a backslash of its own: none is an escape
    table = [[str(label + 1), *text.split(" ", 1)] for text, label in rows]
    head = [["Class Index", "Title", "Description"]] if header else []
    (data / "ag_news" / "train.csv").write_bytes(written(head + table, **style))
    (data / "ag_news" / "test.csv").write_bytes(b"1,one,text\n2,another,text\n")
    try:
        check("agnews", "train", rows)
    finally:
        for path in (data / "ag_news").iterdir():
            path.unlink()


WRONG = {  # what is done to one row, and what the line must say
    "blank": (lambda text, label: (" \n", label), "1 row has no text"),
    "empty": (lambda text, label: ("", label), "1 row has no text"),
    "label": (lambda text, label: (text, "Positive"), "sentiment"),
    "no label": (lambda text, label: (text, ""), "sentiment"),
    "nul": (lambda text, label: (text + "\0", label), "NUL byte"),
}


@files(100)
@given(
    rows=rows(2, giant=False),
    style=st.fixed_dictionaries(STYLE),
    wrong=st.sampled_from(sorted(WRONG)),
    at=st.integers(0, 4),
)
def test_a_wrong_review_is_named(data, rows, style, wrong, at):
    sized("imdb", len(rows))
    change, words = WRONG[wrong]
    table = [[text, OFFICIAL["imdb"].classes[label]] for text, label in rows]
    table[at] = list(change(*table[at]))
    (data / "IMDB Dataset.csv").write_bytes(written([["review", "sentiment"], *table], **style))
    try:
        line = refused("imdb")
        assert line and words in line and "IMDB Dataset.csv" in line
        assert wrong == "nul" or f"first row {at + 1}" in line
    finally:
        (data / "IMDB Dataset.csv").unlink()


@files(200)
@given(
    rows=rows(2, giant=False),
    style=st.fixed_dictionaries(STYLE),
    encoding=st.sampled_from(["utf-8", "utf-8", "latin-1", "cp1252", "utf-16", "utf-32", "cp949"]),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=3)), max_size=3
    ),
)
def test_reviews_with_bytes_changed_are_refused_or_read_to_the_last_letter(
    data, rows, style, encoding, edits
):
    """Whatever the bytes are: a corpus that is accepted holds every character of the file."""
    sized("imdb", len(rows))
    table = [["review", "sentiment"], *([t, OFFICIAL["imdb"].classes[n]] for t, n in rows)]
    raw = written(table, **style).decode("utf-8").encode(encoding, "replace")
    for place, gone, come in edits:
        at = int(place * len(raw))
        raw = raw[:at] + come + raw[at + gone :]
    (data / "IMDB Dataset.csv").write_bytes(raw)
    try:
        if refused("imdb") is None:
            texts, labels = sources.find("imdb", DATASETS["imdb"]).read()["all"]
            held = [(t, OFFICIAL["imdb"].classes[n]) for t, n in zip(texts, labels, strict=True)]
            assert len(held) == len(rows)
            assert _bare("reviewsentiment" + "".join(t + n for t, n in held)) == _bare(
                raw.decode("utf-8-sig")
            )
    finally:
        (data / "IMDB Dataset.csv").unlink()


def _bare(text: str) -> str:
    return re.sub('[",\r\n]', "", text)


LABELS = {
    "int64": (pa.int64(), True),
    "int8": (pa.int8(), True),
    "uint64": (pa.uint64(), True),
    "double": (pa.float64(), False),
    "text": (pa.string(), False),
    "bool": (pa.bool_(), False),
    "lists": (pa.list_(pa.int64()), False),
    "null": (pa.null(), False),
}
KINDS = {
    "string": (pa.string(), True),
    "large": (pa.large_string(), True),
    "categories": (pa.dictionary(pa.int32(), pa.string()), True),
    "binary": (pa.binary(), False),
    "lists": (pa.list_(pa.string()), False),
}


@files(300)
@given(
    rows=rows(2),
    label=st.sampled_from([*["int64"] * 6, *LABELS]),
    kind=st.sampled_from([*["string"] * 6, *KINDS]),
    wrong=st.sampled_from(
        [*[None] * 6, "missing label", "missing text", "blank", "label", "twice", "fewer", "cut"]
    ),
    at=st.integers(0, 4),
    options=st.fixed_dictionaries(
        {
            "compression": st.sampled_from(["snappy", "gzip", "zstd", "none"]),
            "row_group_size": st.integers(1, 9),
            "use_dictionary": st.booleans(),
            "data_page_version": st.sampled_from(["1.0", "2.0"]),
        }
    ),
    nul=st.booleans(),
)
def test_reviews_in_parquet(data, rows, label, kind, wrong, at, options, nul):
    sized("imdb", len(rows))
    rows = [(text + "\0" * nul, number) for text, number in rows]
    texts, labels = (list(column) for column in zip(*rows, strict=True))
    if wrong == "missing label":
        labels[at] = None
    if wrong == "missing text":
        texts[at] = None
    if wrong == "blank":
        texts[at] = " \t"
    if wrong == "label":
        labels[at] = 2
    if wrong == "fewer":
        texts, labels = texts[1:], labels[1:]
    (label_type, good_label), (text_type, good_text) = LABELS[label], KINDS[kind]
    convert = {"double": float, "text": str, "bool": bool, "lists": lambda n: [n]}
    numbers = [n if n is None else convert.get(label, int)(n) for n in labels]
    column = pa.array([None] * len(numbers) if label == "null" else numbers, label_type)
    words = [[t] for t in texts] if kind == "lists" else texts
    if kind == "categories":
        words = pa.array(words, pa.string()).dictionary_encode()
    else:
        words = pa.array([t.encode() if t and kind == "binary" else t for t in words], text_type)
    columns, names = [words, column], ["text", "label"]
    if wrong == "twice":
        columns, names = [words, *columns], ["text", *names]
    path = data / "imdb" / "x.parquet"
    pq.write_table(pa.table(columns, names), path, **options)
    if wrong == "cut":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * (at + 1) // 6])
    try:
        if wrong or not good_label or not good_text:
            line = refused("imdb")
            assert line and "x.parquet" in line
        else:
            check("imdb", "all", rows)
    finally:
        path.unlink()
