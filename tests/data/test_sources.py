from __future__ import annotations

import csv
import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lottery import data as corpus
from lottery.data import DATASETS
from lottery.files import UserError

OFFICIAL = dict(DATASETS)
REVIEWS = pd.DataFrame(
    {
        "text": [f'Film {number}, "so-so"\nor<br />not.' for number in range(20)],
        "label": [number % 2 for number in range(20)],
    }
)
NEWS = pd.DataFrame(
    {
        "text": [f"Item{number} says: early\\and \\news, 'x'" for number in range(12)],
        "label": [number % 4 for number in range(12)],
    }
)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Corpora of 20 reviews and of 9 + 3 news, in an empty data folder."""
    for name, sizes in {"imdb": (10, 6, 4), "agnews": (6, 3, 3)}.items():
        monkeypatch.setitem(DATASETS, name, dataclasses.replace(DATASETS[name], sizes=sizes))
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("LOTTERY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def hub(monkeypatch):
    """Stand in for the hub: `hub["imdb", "train"] = frame`; what was asked is in `hub.asked`."""

    class Hub(dict):
        def __init__(self):
            self.asked = []

    hub = Hub()

    def load_dataset(name, *, revision, split):
        hub.asked.append((name, revision, split))
        return datasets.Dataset.from_pandas(hub[name.split("/")[1], split], preserve_index=False)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return hub


def load(name: str, said: list | None = None):
    return corpus.load(name, say=(said if said is not None else []).append)


def fails(name: str, *words: str) -> None:
    """Loading is refused in one line that holds all these words."""
    with pytest.raises(UserError) as error:
        load(name)
    line = str(error.value)
    assert "\n" not in line
    for word in words:
        assert word in line, line


def put(path: Path, content: bytes | str | pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def review_csv(frame: pd.DataFrame = REVIEWS) -> str:
    named = frame.assign(label=frame["label"].map({0: "negative", 1: "positive"}))
    return named.set_axis(["review", "sentiment"], axis=1).to_csv(index=False)


def news_csv(frame: pd.DataFrame) -> str:
    parts = frame["text"].str.partition(" ")
    out = pd.DataFrame({"class": frame["label"] + 1, "title": parts[0], "words": parts[2]})
    return out.to_csv(index=False, header=False, quoting=csv.QUOTE_ALL)


def same(a, b) -> bool:
    return (
        a.fingerprint == b.fingerprint
        and a.vocabulary == b.vocabulary
        and a.facts == b.facts
        and a.examples == b.examples
        and all(
            getattr(getattr(a, split), field).tolist() == getattr(getattr(b, split), field).tolist()
            for split in ("train", "valid", "test")
            for field in ("tokens", "offsets", "labels")
        )
    )


def test_imdb_is_the_same_from_every_place_and_in_every_order(data, hub):
    path = put(data / "imdb" / "imdb.parquet", REVIEWS)
    first = load("imdb")
    assert first.source == "imdb/imdb.parquet in LOTTERY_DATA"
    path.unlink()
    put(data / "imdb" / "a.parquet", REVIEWS[11:])
    put(data / "imdb" / "b.parquet", REVIEWS[:11])
    put(data / "imdb" / "unsupervised-0.parquet", REVIEWS.assign(label=-1))
    assert same(first, load("imdb"))
    for path in (data / "imdb").iterdir():
        path.unlink()
    path = put(data / "IMDB Dataset.csv", "\ufeff" + review_csv(REVIEWS[::-1]))
    found = load("imdb")
    assert same(first, found)
    assert found.source == "IMDB Dataset.csv in LOTTERY_DATA"
    path.rename(data / "imdb" / path.name)
    assert load("imdb").source == "imdb/IMDB Dataset.csv in LOTTERY_DATA"
    (data / "imdb" / path.name).unlink()
    assert not hub.asked
    hub["imdb", "train"], hub["imdb", "test"] = REVIEWS[:10], REVIEWS[10:]
    said: list[str] = []
    found = load("imdb", said)
    revision = DATASETS["imdb"].revision
    assert same(first, found)
    assert found.source == f"hub stanfordnlp/imdb@{revision}"
    assert hub.asked == [("stanfordnlp/imdb", revision, part) for part in ("train", "test")]
    assert any(found.source in line for line in said)
    assert len(load("imdb").train) == 10
    assert len(hub.asked) == 2


def test_agnews_is_the_same_from_every_place(data, hub):
    train, test = NEWS[:9], NEWS[9:]
    files = [
        put(data / "ag_news" / "train.parquet", train),
        put(data / "ag_news" / "test.parquet", test),
    ]
    first = load("agnews")
    assert first.source == "ag_news/train.parquet + ag_news/test.parquet in LOTTERY_DATA"
    assert first.facts["rows"] == {"train": 6, "valid": 3, "test": 3}
    assert sorted(first.test.labels.tolist()) == [1, 2, 3]
    for file in files:
        file.unlink()
    hub["ag_news", "train"], hub["ag_news", "test"] = train, test
    found = load("agnews")
    assert same(first, found)
    assert found.source == f"hub fancyzhx/ag_news@{DATASETS['agnews'].revision}"
    put(data / "ag_news_csv" / "train.csv", news_csv(train[::-1]))
    put(data / "ag_news_csv" / "test.csv", news_csv(test))
    found = load("agnews")
    assert same(first, found)
    assert found.source == "ag_news_csv/train.csv + ag_news_csv/test.csv in LOTTERY_DATA"
    assert "\\news" in found.vocabulary  # a backslash is no escape
    put(data / "ag_news" / "train.csv", "Class Index,Title,Description\n" + news_csv(train))
    put(data / "ag_news" / "test.csv", news_csv(test))
    assert same(first, load("agnews"))


def test_agnews_line_ends_written_as_the_readme_says(data):
    texts = NEWS["text"].str.replace("early\\and", "early", regex=False)
    escaped = NEWS.assign(text=texts.str.replace("\\news", "\\nnews\\non", regex=False))
    assert escaped["text"][0] == "Item0 says: early \\nnews\\non, 'x'"
    put(data / "ag_news" / "train.csv", news_csv(escaped[:9]))
    put(data / "ag_news" / "test.csv", news_csv(escaped[9:]))
    words = load("agnews").vocabulary
    assert {"news", "on"} <= set(words)
    assert not any("\\" in word for word in words)


def test_the_data_folder_of_the_project_is_the_default(data, monkeypatch):
    monkeypatch.delenv("LOTTERY_DATA")
    monkeypatch.setattr(corpus.sources, "root", lambda: data.parent)
    put(data / "IMDB Dataset.csv", review_csv())
    assert load("imdb").source == "IMDB Dataset.csv in data/"


def test_without_any_source_one_line_says_the_three_ways(data, monkeypatch, hub):
    ways = ("imdb/*.parquet", "'IMDB Dataset.csv'", "LOTTERY_DATA", "stanfordnlp/imdb on the hub")
    ways += (f"into {data} (",)
    fails("imdb", "imdb was not found", *ways)  # the stand-in raises KeyError

    def offline(*_, **__):
        raise ConnectionError("Offline mode\nis enabled." + "x" * 900)

    monkeypatch.setattr(datasets, "load_dataset", offline)
    fails("imdb", "Offline mode is enabled", *ways)
    said: list[str] = []
    with pytest.raises(UserError) as error:
        load("agnews", said)
    assert len(str(error.value)) < 600 + len(str(data))
    assert not said, "nothing is said to be there before it is"


def test_the_real_hub_library_offline_is_the_same_line(tmp_path):
    program = (
        "from lottery import data as corpus\n"
        "from lottery.files import UserError\n"
        "try: corpus.load('imdb')\n"
        "except UserError as error: print('refused:', error)"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    out = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"^refused: imdb was not found: put imdb/\*\.parquet", out, re.MULTILINE)


def test_names_that_do_not_exist(monkeypatch, tmp_path):
    fails("imbd", "unknown dataset 'imbd'", "imdb, agnews, demo-reviews, demo-news")
    with pytest.raises(UserError, match="vocabulary_size 2"):
        corpus.load("demo-news", vocabulary_size=2)
    with pytest.raises(UserError, match="split_seed -1"):
        corpus.load("demo-news", split_seed=-1)
    monkeypatch.setenv("LOTTERY_DATA", str(tmp_path / "nowhere"))
    fails("imdb", "LOTTERY_DATA", "nowhere is not a folder")


BAD_PARQUET = {
    "empty": (b"", "the file is empty"),
    "not parquet": (b"review,sentiment\n", "not a whole parquet file"),
    "no label": (REVIEWS[["text"]], "no column `label` (there: text"),
    "no text": (REVIEWS.rename(columns={"text": "body"}), "no column `text`"),
    "label outside": (
        REVIEWS.assign(label=REVIEWS["label"] * 2),
        "10 rows have a `label` outside 0",
    ),
    "label below": (REVIEWS.assign(label=-1), "20 rows have a `label` outside 0 to 1, first row 1"),
    "label real": (REVIEWS.assign(label=0.5), "`label` holds double, not integers"),
    "label words": (REVIEWS.assign(label="good"), "`label` holds"),
    "label missing": (
        REVIEWS.assign(label=pd.array([None] + [1] * 19, dtype="Int64")),
        "1 row has a `label` outside 0 to 1, first row 1 (None)",
    ),
    "text numbers": (REVIEWS.assign(text=5), "`text` holds int64, not text"),
    "text missing": (
        REVIEWS.assign(text=["a", None] + ["b"] * 18),
        "1 row has no text",
    ),
    "text blank": (REVIEWS.assign(text=["a", "b", " \n"] * 6 + ["c", "d"]), "6 rows have no text"),
    "short": (REVIEWS[:19], "19 rows, and IMDb has 20"),
    "long": (pd.concat([REVIEWS, REVIEWS[:1]]), "21 rows, and IMDb has 20"),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
def test_bad_parquet_is_named_and_never_passed_over(case, data, hub):
    content, words = BAD_PARQUET[case]
    path = put(data / "imdb" / "imdb.parquet", content)
    put(data / "IMDB Dataset.csv", review_csv())  # a good file of lower rank is no way out
    fails("imdb", str(path), words)
    assert not hub.asked


def test_a_cut_parquet_file_is_refused_wherever_it_is_cut(data):
    whole = put(data / "imdb" / "imdb.parquet", REVIEWS).read_bytes()
    for length in (1, 7, len(whole) // 2, len(whole) - 1):
        put(data / "imdb" / "imdb.parquet", whole[:length])
        fails("imdb", "imdb.parquet: not a whole parquet file")


def test_bytes_that_are_no_text_in_parquet(data):
    texts = pa.array([b"\xff\xfe"] + [b"good"] * 19, pa.binary()).view(pa.string())
    (data / "imdb").mkdir()
    pq.write_table(pa.table({"text": texts, "label": [0, 1] * 10}), data / "imdb" / "x.parquet")
    fails("imdb", "x.parquet", "`text` is not valid UTF-8")


def test_categories_are_text(data):
    put(data / "imdb" / "plain.parquet", REVIEWS)
    first = load("imdb")
    (data / "imdb" / "plain.parquet").unlink()
    put(data / "imdb" / "x.parquet", REVIEWS.assign(text=REVIEWS["text"].astype("category")))
    assert same(first, load("imdb"))


BAD_CSV = {
    "header": (review_csv().replace("review,", "text,"), "header review,sentiment"),
    "no header": (review_csv().split("\n", 1)[1], "header review,sentiment"),
    "sentiment": (review_csv().replace("negative", "Neutral", 1), "first row 1 ('Neutral')"),
    "nul": (review_csv().replace("Film 3", "Film\x003"), "NUL byte in line 8"),
    "encoding": (review_csv().replace("Film 2", "Café").encode("latin-1"), "line 6 is not UTF-8"),
    "third field": (review_csv().replace("positive", "positive,1", 1), "a row of 3 fields"),
    "open quote": (review_csv()[:-12], "bad CSV up to line"),
    "stray quote": (review_csv().replace('""so-so""', '"so-so"', 1), "bad CSV up to line"),
    "blank": (review_csv().replace('"Film 1, ""so-so""\nor<br />not."', ""), "first row 2"),
    "short": (review_csv(REVIEWS[:5]), "5 rows, and IMDb has 20"),
    "only header": ("review,sentiment\n", "0 rows, and IMDb has 20"),
    "only blank": ("\n", "header review,sentiment"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_review_csv_is_named(case, data, hub):
    content, words = BAD_CSV[case]
    fails_at = put(data / "IMDB Dataset.csv", content)
    fails("imdb", str(fails_at), words)
    assert not hub.asked


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            news_csv(NEWS[:9]).replace('"1"', '"0"', 1),
            "a class other than 1 to 4, first row 1 ('0')",
        ),
        (news_csv(NEWS[:9]).replace('"2"', '"World"', 1), "first row 2 ('World')"),
        (news_csv(NEWS[:8]), "8 rows in the train part, and AG-news has 9"),
        (news_csv(NEWS[:9]).replace('"2",', "", 1), "a row of 2 fields instead of 3"),
    ],
)
def test_bad_news_csv_is_named(content, words, data):
    put(data / "ag_news" / "train.csv", content)
    put(data / "ag_news" / "test.csv", news_csv(NEWS[9:]))
    fails("agnews", "train.csv", words)


def test_a_file_without_its_partner(data, hub):
    put(data / "ag_news" / "train.parquet", NEWS[:9])
    fails("agnews", "the test file is missing", str(data / "ag_news"))
    assert not hub.asked


def test_a_folder_in_the_place_of_a_file(data, hub):
    (data / "IMDB Dataset.csv").mkdir()
    fails("imdb", "IMDB Dataset.csv: is a folder")
    (data / "imdb" / "x.parquet").mkdir(parents=True)
    fails("imdb", "x.parquet: is a folder")


def test_a_file_that_may_not_be_read(data, monkeypatch):
    put(data / "IMDB Dataset.csv", review_csv())

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    fails("imdb", "IMDB Dataset.csv: cannot be read (Permission denied)")
    monkeypatch.setattr(os, "access", lambda path, mode: path != data)
    fails("imdb", "data: the folder cannot be read")


def test_bad_rows_from_the_hub(hub):
    hub["imdb", "train"], hub["imdb", "test"] = REVIEWS[:10], REVIEWS[10:].assign(label=-1)
    fails("imdb", "hub stanfordnlp/imdb, test", "10 rows have a `label` outside")
    hub["imdb", "test"] = REVIEWS[10:15]
    fails("imdb", "15 rows, and IMDb has 20")


def test_every_revision_is_a_commit():
    for name in ("imdb", "agnews"):
        assert re.fullmatch(r"[0-9a-f]{40}", DATASETS[name].revision)


def test_the_official_sizes():
    assert OFFICIAL["imdb"].rows == {"all": 50_000}
    assert OFFICIAL["agnews"].rows == {"train": 120_000, "test": 7_600}
    assert OFFICIAL["imdb"].sizes == (28_000, 12_000, 10_000)
    assert OFFICIAL["agnews"].sizes == (84_000, 36_000, 7_600)
    assert OFFICIAL["imdb"].outputs == 1
    assert OFFICIAL["agnews"].outputs == 4
