"""Tickets of anybody's texts are taken away as those of the project's corpora are."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer

from helpers import own_texts
from lottery import Ticket, cli, data
from lottery.data import tokens
from lottery.files import UserError, root
from lottery.runs.store import Store
from lottery.tickets.check import check
from lottery.tickets.export import export, find

TINY = "--epochs 4 --embedding-size 6 --filters 4 --batch-size 32 --threads 1".split()
TINY += ["--learning-rate", "0.02"]
KINDS = {
    "words": (own_texts.unequal, "body", "stars"),
    "characters": (own_texts.without_spaces, "句子", "类别"),
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("LOTTERY_CACHE", str(tmp_path_factory.getbasetemp() / "own-cache"))


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    """A file of texts, the options that name it, and a results folder with a ladder on it."""
    write, text, label = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    words = ["--csv", str(write(folder / "mine.csv")), "--text", text, "--label", label]
    words += ["--tokens", request.param]
    results = str(folder / "results")
    assert cli.main(["run", "cnn", *words, *TINY, "--arm", "lt", "--results", results]) == 0
    return words, Store(results)


def test_it_is_exported_predicts_and_is_verified(made, tmp_path, capsys):
    words, store = made
    place = tmp_path / "ticket"
    command = ["export", "mine", "cnn", str(place), "--sparsity", "0.5"]
    capsys.readouterr()
    assert cli.main([*command, *words, "--results", str(store.root)]) == 0
    said = capsys.readouterr().err
    assert "cnn lt 0.5 seed 0: the one taken has embedding_size 6, " in said
    assert "run/s" not in said, "nothing was trained"
    ticket, own = Ticket.load(place), corpus(words)
    record = store.get(ticket.settings)
    assert ticket.classes == tuple(record.classes) == own.classes

    # The library's ids are ours, and so are the corpus's.
    library = Tokenizer.from_file(str(place / "tokenizer.json"))
    texts = [text for text, _ in rows(words)]
    ours = ticket.encode(texts)
    for number, found in enumerate(library.encode_batch(texts)):
        start, end = ours.offsets[number : number + 2]
        assert (found.ids or [1]) == ours.tokens[start:end].tolist()
    unknown = int((ours.tokens == 1).sum())
    assert unknown < 0.2 * len(ours.tokens)

    labels = ticket.predict(texts[:40])["label"]
    assert set(labels) <= set(ticket.classes)
    assert cli.main(["verify", str(place), *words]) == 0
    assert "as recorded, example by example" in capsys.readouterr().out

    readme = (place / "README.md").read_text()
    how = words[words.index("--tokens") + 1]
    assert f"Texts of one collection, lower-cased {how} and no more." in readme
    code = readme.partition("```python\n")[2].partition("```")[0]
    program = (
        f"import sys; sys.modules['lottery'] = None\n{code}\n"
        f"print(answer({str(place)!r}, {texts[:3]!r}).tolist())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    wanted = ticket.logits(ticket.encode(texts[:3])).numpy()
    np.testing.assert_allclose(np.array(eval(said)), wanted, atol=1e-5)


def test_without_its_texts_or_with_others_it_is_one_line(made, tmp_path, capsys):
    words, store = made
    record = find(store.records()[0], "cnn", "lt", 0.5, 0)
    with pytest.raises(UserError, match="mine: is a corpus of your own; give its texts"):
        export(store, record, tmp_path / "none", say=[].append)
    other = data.from_file(words[1], text=words[3], label=words[5], name="other", say=[].append)
    with pytest.raises(UserError, match="these texts are called other, and the run's mine"):
        export(store, record, tmp_path / "none", say=[].append, texts=other)
    results = "--results", str(store.root)
    assert cli.main(["export", "mine", "cnn", str(tmp_path / "none"), *results]) == 2
    assert "--csv or --parquet FILE" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()

    place = tmp_path / "ticket"
    ticket = export(store, record, place, say=[].append, texts=own_of(words))
    assert cli.main(["verify", str(place)]) == 2
    assert "mine: is a corpus of your own" in capsys.readouterr().err
    assert cli.main(["verify", *words]) == 2
    assert "--csv belongs to a ticket of your own texts" in capsys.readouterr().err
    assert cli.main(["export", "imdb", "cnn", str(tmp_path / "none"), *words]) == 2
    assert "imdb is the project's own: leave out --csv" in capsys.readouterr().err
    assert cli.main(["verify", "--valid-share", "0.2"]) == 2
    assert "--valid-share belongs to a ticket" in capsys.readouterr().err
    committed = str(root() / "results" / "tickets" / "imdb-cnn")
    assert cli.main(["verify", committed, *words]) == 2
    assert "is of imdb, the project's own: leave out --csv" in capsys.readouterr().err
    shares = data.from_file(
        words[1], text=words[3], label=words[5], tokens=words[7], test_share=0.3, say=[].append
    )
    found = check(ticket, [].append, shares)
    assert not found.is_good
    assert "not the one it was trained on; give its file's --text, --label, --tokens" in str(found)


def own_of(words) -> data.Own:
    return data.from_file(words[1], text=words[3], label=words[5], tokens=words[7], say=[].append)


def corpus(words) -> data.Corpus:
    return data.load(own_of(words), say=[].append)


def rows(words) -> list[tuple[str, str]]:
    (source,) = own_of(words).parts.values()
    found = [row for row in source.rows() if None not in row]
    assert tokens.SPLITTERS[words[7]](found[0][0])
    return found
