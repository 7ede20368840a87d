"""Your own texts go from a file to a report in one command, and again to the bit."""

from __future__ import annotations

import argparse
import re

import datasets
import nbformat
import numpy as np
import pandas as pd
import pytest

from helpers import own_texts, stores
from lottery import Study, cli, data, texts
from lottery.data import ids
from lottery.data.balance import Balance, macro_f1
from lottery.files import UserError, root
from lottery.report import page
from lottery.runs.store import Store
from lottery.upkeep.verify import verify

TINY = "--epochs 2 --embedding-size 6 --filters 4 --batch-size 32 --threads 1".split()
TINY += ["--learning-rate", "0.02"]
QUICK = {"epochs": 1, "embedding_size": 4, "filters": 2, "widths": [2], "threads": 1}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "cache"))


def command(folder, *words) -> Store:
    """Run it, and give the store that it filled."""
    assert cli.main(["run", "cnn", *TINY, *map(str, words), "--results", str(folder)]) == 0
    return Store(folder)


def timeless(text: str) -> str:
    """A report without the seconds that its runs took."""
    text = re.sub(r" +\d+ \|$", " |", text, flags=re.MULTILINE)
    return re.sub(r"[\d.]+ hours", "", text)


def again(tmp_path, monkeypatch, *words) -> tuple[Store, str]:
    """Twice, from nothing: records, weights, figures and report are the same to the bit."""
    made = []
    for number in ("1", "2"):
        monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / f"cache{number}"))
        made.append(command(tmp_path / number / "own", *words))
    one, two = made
    stores.same(one, two)
    files = sorted(path.relative_to(one.root) for path in one.root.rglob("*.[sp][vn]g"))
    assert {path.name for path in files} >= {"forest.png", "forest.svg"}
    assert any(path.name.endswith("-sparsity.png") for path in files)
    for path in files:
        assert (one.root / path).read_bytes() == (two.root / path).read_bytes(), path
    texts = [(store.root / "report.md").read_text(encoding="utf-8") for store in made]
    assert timeless(texts[0]) == timeless(texts[1])
    count, problems, _ = verify(one)
    assert count == 3 and problems == []
    return one, texts[0]


def row(text: str, start: str) -> list[str]:
    """The cells of a table's first row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_six_unequal_classes(tmp_path, monkeypatch, capsys):
    path = own_texts.unequal(tmp_path / "My reviews.csv")
    words = "--csv", path, "--text", "body", "--label", "stars"
    store, text = again(tmp_path, monkeypatch, *words)
    said = capsys.readouterr().err
    assert "My-reviews: 3 rows have no label; they are left out" in said
    assert "My-reviews: 2 rows have no text; they are left out" in said
    assert "left out of the files" in text.lower() and "3 without label, 2 without text" in text
    assert text.startswith("# Lottery tickets on My-reviews\n")
    record = store.records("My-reviews")[0][0]
    rows = {part: sum(counts) for part, counts in record.data["labels"].items()}
    assert rows == record.data["rows"] and sum(rows.values()) == sum(own_texts.STARS.values())
    assert rows["test"] == round(0.2 * 680) and rows["valid"] == round(0.3 * 544)
    assert record.classes == sorted(own_texts.STARS)
    assert row(text, "five")[1:] == [
        *(f"{record.data['labels'][part][record.classes.index('five')]}" for part in ids.SPLITS),
        f"{100 * record.data['labels']['train'][0] / rows['train']:.2f} %",
    ]
    heads = next(line for line in text.splitlines() if "Test Acc." in line)
    assert re.search(r"Test Acc\. \| +Macro-F1", heads)
    shown = row(text[text.index("### All rungs") :], "CNN   | dense")
    assert f"{100 * record.macro_f1:.2f} %" in shown
    assert f"{100 * record.test_accuracy:.2f} %" in shown
    assert record.macro_f1 < record.test_accuracy  # rare classes are hard, and count alike
    assert "macro_f1" in pd.read_csv(store.root / "My-reviews.csv")
    assert "IMDb" not in text and "AG-news" not in text


def test_two_classes_with_a_given_test_split(tmp_path, monkeypatch):
    train, test = own_texts.with_test(tmp_path)
    words = (
        "--parquet",
        train,
        "--test",
        test,
        "--text",
        "text",
        "--label",
        "spam",
        "--name",
        "spam",
    )
    store, text = again(tmp_path, monkeypatch, *words)
    record = store.records("spam")[0][0]
    assert record.data["rows"] == {"train": 405 - 122, "valid": 122, "test": 120}
    assert record.classes == ["0", "1"] and record.data["given_test"]
    assert "criterion: ``BCEWithLogitsLoss``" in text
    assert "The test set was given, and is whole." in text
    found = data.load(
        data.from_file(train, parquet=True, test=test, text="text", label="spam", name="spam"),
        say=[].append,
    )
    assert found.facts["repeat_official_test"] == 5
    assert found.facts["shared_texts"] == {"train-valid": 0, "train-test": 0, "valid-test": 5}
    assert record.test_accuracy > 0.75  # it learns


def test_forty_classes_of_chinese_without_spaces_and_emoji(tmp_path, monkeypatch):
    path = own_texts.without_spaces(tmp_path / "weibo.csv")
    words = "--csv", path, "--text", "句子", "--label", "类别", "--tokens", "characters"
    store, text = again(tmp_path, monkeypatch, *words, "--epochs", 4)
    record = store.records("weibo")[0][0]
    assert len(record.classes) == 40 and record.data["tokens"] == "characters"
    assert record.test_accuracy > 3 / 40  # better than chance
    assert row(text, "类7")[0] == "类7"
    assert "Texts are taken apart into characters." in text


def test_texts_without_spaces_as_words_are_said(tmp_path):
    path, said = own_texts.without_spaces(tmp_path / "weibo.csv", 4), []
    own = data.from_file(path, text="句子", label="类别", say=said.append)
    found = data.load(own, say=said.append)
    assert found.facts["lengths"]["max"] == 1
    assert "100% of validation's words do not occur in training" in said[-1]
    assert "--tokens characters" in said[-1]


FRAME = pd.DataFrame({"text": [f"text {n} of {n % 3}" for n in range(60)]})
FRAME["label"] = [f"class {n % 3}" for n in range(60)]


def identical(a: data.Corpus, b: data.Corpus) -> bool:
    return (a.fingerprint, a.vocabulary, a.facts, a.examples) == (
        b.fingerprint,
        b.vocabulary,
        b.facts,
        b.examples,
    ) and all(
        np.array_equal(getattr(getattr(a, part), field), getattr(getattr(b, part), field))
        for part in ids.SPLITS
        for field in ("tokens", "offsets", "labels")
    )


def frames(frame: pd.DataFrame):
    """The same rows in every form that is taken."""
    quiet = {"text": "text", "label": "label", "name": "mine", "say": [].append}
    yield data.from_frame(frame, **quiet)
    yield data.from_frame(frame.astype({"label": "category"}), **quiet)
    plain = datasets.Dataset.from_pandas(frame)
    yield data.from_frame(plain, **quiet)
    yield data.from_frame(plain.class_encode_column("label"), **quiet)


def test_every_form_of_the_same_rows_is_the_same_corpus(tmp_path):
    csv, parquet = tmp_path / "a.csv", tmp_path / "a.parquet"
    FRAME.to_csv(csv)
    FRAME.to_parquet(parquet)
    owns = list(frames(FRAME))
    quiet = {"text": "text", "label": "label", "name": "mine", "say": [].append}
    owns += [data.from_file(csv, **quiet), data.from_file(parquet, parquet=True, **quiet)]
    first, *others = (data.load(own, say=[].append) for own in owns)
    assert all(identical(first, other) for other in others)
    assert len(list((tmp_path / "cache").iterdir())) == 1  # it is known by its rows


def test_the_order_of_the_rows_changes_nothing_but_the_share_and_the_tokens_do():
    quiet = {"text": "text", "label": "label", "name": "mine", "say": [].append}
    first = data.load(data.from_frame(FRAME, **quiet), say=[].append)
    mixed = data.load(data.from_frame(FRAME.sample(frac=1, random_state=1), **quiet), say=[].append)
    assert identical(first, mixed)
    for other in ({"test_share": 0.3}, {"valid_share": 0.2}, {"tokens": "characters"}):
        own = data.from_frame(FRAME, **quiet, **other)
        assert data.load(own, say=[].append).fingerprint != first.fingerprint
    named = FRAME.replace({"label": {"class 0": "nought"}})
    own = data.from_frame(named, **quiet)
    assert data.load(own, say=[].append).fingerprint != first.fingerprint


def test_a_text_that_is_most_of_the_rows_is_still_on_one_side():
    frame = pd.DataFrame({"text": ["same"] * 50 + [f"other {n}" for n in range(20)]})
    frame["label"] = [str(n % 2) for n in range(70)]
    own = data.from_frame(frame, text="text", label="label", name="mine", say=[].append)
    found = data.load(own, say=[].append)
    assert set(found.facts["shared_texts"].values()) == {0}
    assert sum(found.facts["rows"].values()) == 70
    assert found.facts["repeated_texts"] == 49 and found.facts["repeated_other_label"] == 25


@pytest.mark.parametrize("classes", [2, 3, 1000])
def test_from_two_to_a_thousand_classes(classes):
    rows = max(60, 3 * classes)
    frame = pd.DataFrame({"x": [f"a{n} b" for n in range(rows)]})
    frame["y"] = [n % classes for n in range(rows)]
    own = data.from_frame(frame, text="x", label="y", name="mine", say=[].append)
    found = data.load(own, say=[].append)
    assert found.classes == tuple(map(str, range(classes)))  # in order of their size
    assert own.known.outputs == found.outputs == (1 if classes == 2 else classes)
    text = data.describe(found)
    assert text.count("\n") < 45
    assert "imbalance" in text and "left out        no row" in text
    assert "official test set" not in text, "the test set was drawn"


def test_of_equal_classes_the_first_is_the_largest_and_the_last_the_smallest():
    rows = {"train": [3, 3, 1, 1], "test": [1, 1, 1, 1]}
    found = Balance.of(["a", "b", "c", "d"], rows)
    assert (found.largest, found.smallest) == ("a", "d")


def test_who_says_the_largest_class_of_training_is_right_on_its_share_of_the_test():
    found = Balance.of(["a", "b"], {"train": [70, 30], "test": [4, 96]})
    assert (found.largest, found.most, found.least, found.floor) == ("a", 0.7, 0.3, 0.04)


def test_a_test_set_of_the_same_texts_is_named_as_the_reason(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("x,y\n" + "".join(f"text {n},{n % 2}\n" for n in range(40)))
    own = data.from_file(path, text="x", label="y", test=path, say=[].append)
    with pytest.raises(UserError, match="40 rows repeat the test set; give others"):
        data.load(own, say=[].append)


def test_a_study_of_a_frame_and_its_folder(tmp_path):
    own = data.from_frame(FRAME, text="text", label="label", name="mine", say=[].append)
    store = Store(tmp_path / "mine")
    study = Study(own, ["cnn"], store=store, say=[].append, **QUICK)
    with pytest.raises(UserError, match="mine: has no record yet"):
        study.report()
    assert len(study.run()) == 3
    assert study.report() == store.root / "report.md" == page.path_of(store)
    assert Study(own, ["cnn"], say=[].append).store.root == root() / "results" / "mine"
    more = pd.concat([FRAME, FRAME.assign(text=FRAME["text"] + " more")])
    changed = data.from_frame(more, text="text", label="label", name="mine", say=[].append)
    with pytest.raises(UserError, match="was made with other texts or shares"):
        Study(changed, ["cnn"], store=store, say=[].append, **QUICK).run()
    other = data.from_frame(FRAME, text="text", label="label", name="yours", say=[].append)
    with pytest.raises(UserError, match="holds runs of mine; yours needs a results folder"):
        Study(other, ["cnn"], store=store, say=[].append, **QUICK).run()
    with pytest.raises(UserError, match="belongs to mine"):
        Study("demo-reviews", ["cnn"], store=store, say=[].append, **QUICK).run()
    (tmp_path / "runs" / "zzz" / "cnn").mkdir(parents=True)
    (tmp_path / "runs" / "zzz" / "cnn" / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"zzz/cnn/a\.json: .*; mend it or move it away"):
        Study("demo-reviews", ["cnn"], store=tmp_path, say=[].append, **QUICK).run()


def test_another_corpus_never_comes_into_week9(tmp_path):
    own = data.from_frame(FRAME, text="text", label="label", name="mine", say=[].append)
    mixed, said = Store(tmp_path / "results"), []
    (record, *_) = Study(own, ["cnn"], store=mixed, say=[].append, **QUICK).run()
    other = tmp_path / "results" / "runs" / "imdb" / "cnn" / "abc.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")  # some record of the project's own
    with pytest.raises(UserError, match="holds no record of imdb or agnews"):
        page.write(mixed, say=said.append)
    assert not (tmp_path / "week9.md").exists(), "no report of nothing"
    assert any(record.run in line and "is not in this report" in line for line in said)


def test_macro_f1_by_hand():
    # Three classes with 4, 2 and 0 test texts: F1 of 2*3/(4+4), 2*1/(2+1); the third has none.
    assert macro_f1([4, 2, 0], [4, 1, 1], [3, 1, 0]) == pytest.approx((6 / 8 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("said", [1, 2], "does not add up"),
        ("right", [0, 0, 0], "does not add up"),
    ],
)
def test_a_record_whose_classes_do_not_add_up_is_refused(tmp_path, field, value, said):
    own = data.from_frame(FRAME, text="text", label="label", name="mine", say=[].append)
    (record, *_) = Study(own, ["cnn"], store=Store(tmp_path / "mine"), say=[].append, **QUICK).run(
        "dense"
    )
    values = record.to_json()
    assert sum(record.by_class["right"]) == record.correct.sum()
    values["by_class"][field] = value
    if record.correct.sum() or field == "said":
        with pytest.raises(UserError, match=said):
            type(record).from_json(values)


@pytest.mark.process
@pytest.mark.parametrize("way", ["mapped", "sent"])
def test_workers_train_on_it_too(tmp_path, monkeypatch, way):
    pytest.importorskip("distributed")
    own = data.from_frame(FRAME, text="text", label="label", name="mine", say=[].append)
    stores_ = [Store(tmp_path / name / "mine") for name in ("here", "there")]
    here = Study(own, ["cnn"], store=stores_[0], say=[].append, **QUICK)
    there = Study(own, ["cnn"], store=stores_[1], say=[].append, jobs=1, **QUICK)
    here.run()
    if way == "sent":  # no cache that a worker could map
        (tmp_path / "file").touch()
        monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path / "file"))
    assert (there.corpus.file is None) == (way == "sent")
    there.run()
    a, b = map(stores.content, stores_)
    for values in (*a.values(), *b.values()):
        del values["host"], values["worker"], values["threads"]
    assert a == b and len(a) == 3


def test_the_notebook_goes_the_whole_way(tmp_path, monkeypatch):
    notebook = nbformat.read(root() / "notebooks" / "your_data.ipynb", 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kinds = [out.output_type for cell in cells for out in cell.outputs]
    assert cells[-1].execution_count == len(cells) and "error" not in kinds  # as it is kept
    monkeypatch.setattr("lottery.study.root", lambda: tmp_path)
    names = {}
    for cell in cells:  # and as it runs today
        exec(cell.source.replace('"epochs": 4', '"epochs": 1'), names)
    assert len(names["records"]) == 10
    assert names["page"] == tmp_path / "results" / "letters" / "report.md"
    assert names["page"].read_text(encoding="utf-8").startswith("# Lottery tickets on letters\n")


def test_a_column_of_identifiers_is_no_column_of_classes():
    frame = pd.DataFrame({"x": [f"text {n}" for n in range(300)], "y": range(300)})
    with pytest.raises(UserError, match=r"300 of 300 classes have one row .* the column of"):
        data.from_frame(frame, text="x", label="y", name="mine", say=[].append)


def test_an_option_without_its_file_is_named_as_one_writes_it():
    parser = argparse.ArgumentParser()
    texts.add(parser)
    with pytest.raises(UserError, match=r"^--test-share belongs to a file"):
        texts.corpus(parser.parse_args(["--test-share", "0.5"]), [].append)
