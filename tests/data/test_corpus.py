from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from lottery import data as corpus
from lottery import files
from lottery.data import DATASETS, cache, ids
from lottery.data.description import describe
from lottery.files import UserError

TEXTS = [f"film number{n} is fine" for n in range(16)] + [
    "Again, again",  # three rows of one text, two labels
    "again ,again",
    "AGAIN, AGAIN",
    '"',  # no word
]
LABELS = [n % 2 for n in range(16)] + [0, 0, 1, 1]
SPLITS, FIELDS = ("train", "valid", "test"), ("tokens", "offsets", "labels")


@pytest.fixture
def small(monkeypatch, tmp_path):
    """IMDb of 20 rows; a function that loads it and what it said."""
    known = dataclasses.replace(DATASETS["imdb"], sizes=(12, 4, 4))
    monkeypatch.setitem(DATASETS, "imdb", known)
    monkeypatch.setenv("LOTTERY_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "imdb").mkdir()
    pd.DataFrame({"text": TEXTS, "label": LABELS}).to_parquet(tmp_path / "imdb" / "x.parquet")

    def load(**settings):
        said: list[str] = []
        return corpus.load("imdb", say=said.append, **settings), said

    return load


def words(loaded: corpus.Corpus, name: str) -> list[tuple[str, int]]:
    split = getattr(loaded, name)
    return [
        (" ".join(loaded.vocabulary[i] for i in split.tokens[start:stop]), int(label))
        for start, stop, label in zip(split.offsets, split.offsets[1:], split.labels, strict=False)
    ]


def identical(a: corpus.Corpus, b: corpus.Corpus) -> bool:
    plain = [
        [
            getattr(c, field.name)
            for field in dataclasses.fields(c)
            if field.name not in (*SPLITS, "file")
        ]
        for c in (a, b)
    ]
    return plain[0] == plain[1] and all(
        np.array_equal(getattr(getattr(a, s), f), getattr(getattr(b, s), f))
        and getattr(getattr(a, s), f).dtype == getattr(getattr(b, s), f).dtype
        for s in SPLITS
        for f in FIELDS
    )


def test_ids_are_the_texts(small):
    loaded, _ = small()
    assert loaded.train.tokens.dtype == np.int32
    assert loaded.train.offsets.dtype == loaded.train.labels.dtype == np.int64
    # A number outside the training split is <unk>; what its split has is otherwise the text.
    seen = [pair for name in SPLITS for pair in words(loaded, name)]
    again = [pair for pair in seen if "again" in pair[0] or pair[0] == "<unk> , <unk>"]
    assert sorted(label for _, label in again) == [0, 0, 1]
    films = [text for text, _ in words(loaded, "train") if text.startswith("film")]
    assert len(films) == len(set(films))
    assert all("<unk>" not in text for text in films)
    for name in ("valid", "test"):
        assert all("number" not in text for text, _ in words(loaded, name))


def test_the_vocabulary_is_of_the_training_split_and_of_the_size_asked(small):
    loaded, _ = small()
    trained = {word for text, _ in words(loaded, "train") for word in text.split()}
    assert set(loaded.vocabulary) - trained <= {"<pad>", "<unk>"}
    assert loaded.vocabulary[:2] == ("<pad>", "<unk>")
    fewer, _ = small(vocabulary_size=5)
    assert fewer.vocabulary == loaded.vocabulary[:5]
    assert max(fewer.train.tokens) == 4
    assert min(fewer.train.tokens) >= 1


def test_facts_count_what_is_there(small):
    loaded, _ = small()
    facts = loaded.facts
    assert facts == json.loads(json.dumps(facts))
    assert facts["rows"] == {"train": 12, "valid": 4, "test": 4}
    assert sum(sum(of.values()) for of in facts["labels"].values()) == 20
    assert facts["repeated_texts"] == 2
    assert facts["repeated_texts_exact"] == 0
    assert facts["repeated_other_label"] == 1
    assert facts["wordless"] == 1
    assert (
        facts["distinct_words"] == 16 + 3 + 2 + 1
    )  # numbers, film is fine, again and comma, <unk>
    assert set(facts["shared_texts"].values()) == {0}
    assert facts["repeat_official_test"] == 0
    assert facts["lengths"]["max"] == 4
    assert facts["lengths"]["mean"] == (16 * 4 + 3 * 3 + 1) / 20
    for name in SPLITS:
        split = getattr(loaded, name)
        assert facts["tokens"][name] == len(split.tokens)
        assert facts["unk_share"][name] == (split.tokens == 1).mean()
    # All films are "film <unk> is fine" where their number is not known, none is in train.
    assert facts["alike_to_train"] == {"valid": 0, "test": 0}
    few, _ = small(vocabulary_size=5)
    assert few.facts["alike_to_train"]["test"] == sum(
        text in {text for text, _ in words(few, "train")} for text, _ in words(few, "test")
    ) > 0  # fmt: skip


def test_repeats_of_an_official_test_set_are_counted_and_shown(monkeypatch, tmp_path):
    known = dataclasses.replace(DATASETS["agnews"], sizes=(6, 3, 3))
    monkeypatch.setitem(DATASETS, "agnews", known)
    monkeypatch.setenv("LOTTERY_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "ag_news").mkdir()
    texts = [f"text {n} <unk>" for n in range(12)]
    texts[4] = texts[10].upper()
    frame = pd.DataFrame({"text": texts, "label": [n % 4 for n in range(12)]})
    frame[:9].to_parquet(tmp_path / "ag_news" / "train.parquet")
    frame[9:].to_parquet(tmp_path / "ag_news" / "test.parquet")
    loaded = corpus.load("agnews", say=lambda line: None)
    assert loaded.facts["repeat_official_test"] == 1
    assert loaded.facts["shared_texts"] == {"train-valid": 0, "train-test": 0, "valid-test": 1}
    assert loaded.vocabulary.count("<unk>") == 1
    assert 1 in loaded.train.tokens
    assert "1 row repeats the official test set" in corpus.describe(loaded)


def test_the_fingerprint_is_of_words_labels_and_parts():
    digests, labels = [b"a" * 32, b"b" * 32], np.array([0, 1])
    part = np.array([False, False])
    first = ids.fingerprint(digests, labels, part)
    assert first == ids.fingerprint(digests[::-1], labels[::-1], part)
    assert first != ids.fingerprint(digests, labels[::-1], part)
    assert first != ids.fingerprint(digests, labels, np.array([True, False]))
    assert first != ids.fingerprint([b"a" * 32] * 2, labels, part)


def test_split_seed_and_vocabulary_size_leave_the_fingerprint(small):
    one, two = small()[0], small(split_seed=1)[0]
    assert one.fingerprint == two.fingerprint
    assert words(one, "test") != words(two, "test")


def test_the_second_time_is_from_the_cache_and_equal(small, monkeypatch):
    first, _ = small()
    monkeypatch.setattr("lottery.data.corpus.build", None)
    second, said = small()
    assert identical(first, second)
    assert not second.train.tokens.flags.writeable
    assert said == ["IMDb: imdb/x.parquet in LOTTERY_DATA"]


def test_another_file_seed_or_size_is_another_cache(small, tmp_path):
    first, _ = small()
    small(split_seed=1)
    small(vocabulary_size=9)
    assert len(list((tmp_path / "cache").iterdir())) == 3
    texts = ["changed", *TEXTS[1:]]
    pd.DataFrame({"text": texts, "label": LABELS}).to_parquet(tmp_path / "imdb" / "x.parquet")
    assert small()[0].fingerprint != first.fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_a_python_of_other_unicode_tables_has_another_cache(monkeypatch):
    """Lower case and white space, and so words, may be others there."""
    here = cache.path_of("imdb", ["the same"])
    assert cache.path_of("imdb", ["the same"]) == here
    monkeypatch.setattr(cache.unicodedata, "unidata_version", "0.0.0")
    assert cache.path_of("imdb", ["the same"]) != here


def test_a_damaged_cache_is_noticed_and_built_again(small, tmp_path):
    first, _ = small()
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    places = [*range(0, 64, 7), len(whole) // 3, len(whole) // 2, len(whole) - 1]
    broken = [bytes([*whole[:at], whole[at] ^ 4, *whole[at + 1 :]]) for at in places]
    broken += [whole[:length] for length in (0, 5, 60, len(whole) // 2, len(whole) - 1)]
    broken += [whole + b"\0", b"x" * len(whole)]
    for content in broken:
        path.write_bytes(content)
        again, said = small()
        assert identical(first, again)
        assert "is damaged" in said[1]
        assert "built again" in said[1]
        assert files.load(path)


@pytest.mark.parametrize("write", [files.save, files.stream])
def test_a_write_that_fails_leaves_no_file(tmp_path, write):
    with pytest.raises(TypeError):
        write(tmp_path / "x", {}, {"not": {1, 2}})
    assert not list(tmp_path.iterdir())


def test_a_streamed_file_is_the_file_written_at_once(tmp_path):
    kinds = (torch.float32, torch.float64, torch.int8, torch.int32, torch.int64, torch.bool)
    tensors = {f"t{n}": torch.arange(n + 3).to(kind) for n, kind in enumerate(kinds)}
    tensors |= {"matrix": torch.ones(2, 3), "none": torch.zeros(0, dtype=torch.int32)}
    facts = {"words": ["é", "日本"], "x": 1}
    for write in (files.save, files.stream):
        write(tmp_path / write.__name__, tensors, facts)
    one, other = (files.load(tmp_path / name) for name in ("save", "stream"))
    assert one[1] == other[1] == facts
    assert one[0].keys() == other[0].keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(other[0][name], tensor) and other[0][name].dtype == tensor.dtype
    sizes = [(tmp_path / name).stat().st_size for name in ("save", "stream")]
    assert sizes[0] == pytest.approx(sizes[1], abs=200)


def test_another_process_maps_the_same_file(small, tmp_path):
    first, _ = small()
    again = corpus.reopen(first.file, first.dataset, first.source)
    assert identical(first, again)
    assert corpus.reopen(tmp_path / "none", first.dataset, first.source) is None
    damaged = tmp_path / "damaged"
    damaged.write_bytes(first.file.read_bytes()[:-1])
    assert corpus.reopen(damaged, first.dataset, first.source) is None


def test_without_a_place_for_the_cache_all_else_is_the_same(small, tmp_path, monkeypatch):
    first, _ = small()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "file" / "cache"))
    second, said = small()
    assert identical(first, second)
    assert first.file.exists() and second.file is None
    assert "nothing is cached" in said[1]


def test_examples_are_training_texts_two_a_class(small):
    loaded, _ = small()
    assert [name for name, _ in loaded.examples] == ["negative"] * 2 + ["positive"] * 2
    for name, text in loaded.examples:
        assert LABELS[TEXTS.index(text)] == loaded.classes.index(name)
    found = ids.rows_of({"all": (["x" * 400], [0])})
    long = ids.examples(found, np.array([0]), DATASETS["imdb"].classes)
    assert len(long[0][1]) == 300
    for texts in (["a film", "A film"], ["A film", "a film"]):  # one text, written in two ways
        found = ids.rows_of({"all": (texts, [0, 0])})
        shown = ids.examples(found, np.array([0, 1]), DATASETS["imdb"].classes)
        assert shown == [("negative", "A film")] * 2, "whatever the order of the rows"


def test_description_tells_the_facts(small):
    loaded, _ = small()
    text = corpus.describe(loaded)
    for words in (
        "IMDb",
        "imdb/x.parquet in LOTTERY_DATA",
        loaded.fingerprint[:16],
        "2 rows repeat another's words (0 to the character), 1 with another label",
        f"{len(loaded.vocabulary) - 2} of 22 different words, and <pad> and <unk>",
        "1 texts (each is one <unk>)",
    ):
        assert words in text
    assert max(map(len, text.split("\n"))) <= 110


def test_no_such_corpus():
    with pytest.raises(UserError, match="there are imdb, agnews, demo-reviews, demo-news"):
        corpus.load("sst2")


def test_lengths_below_which_95_of_100_texts_lie():
    texts = [" ".join(["w"] * n) for n in range(1, 102)]
    known = dataclasses.replace(DATASETS["imdb"], sizes=(81, 10, 10))
    facts, _ = ids.build(ids.rows_of({"all": (texts, [n % 2 for n in range(101)])}), known, 0, 9)
    found = facts["facts"]["lengths"]
    assert (found["quartiles"], found["median"], found["95 %"]) == ([26, 51, 76], 51, 96)


def test_alike_texts_are_told_of_their_own_split(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "cache"))
    rows = [(f"text {n}", "ab"[n % 2]) for n in range(30)]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    found = corpus.from_frame(frame, text="text", label="label", name="mine", say=[].append)
    loaded = corpus.load(found, say=[].append)
    shared = {"train-valid": 7, "train-test": 8, "valid-test": 9}
    about = {"alike_to_train": {"valid": 3, "test": 5}, "shared_texts": shared}
    loaded = dataclasses.replace(loaded, facts=loaded.facts | about)
    said = "in train and validation 7, in train and test 8, in validation and test 9"
    assert said in describe(loaded)
    assert "once rare words are <unk>: 3 of validation, 5 of test" in describe(loaded)
