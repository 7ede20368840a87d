"""A ticket taken away is the network that was tested, and nothing else can pass for it."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import lzma
import pickle
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import synthetic
from lottery import Study, Ticket, cli, models
from lottery.data.tokens import SPLITTERS, encode, renumber, vocabulary
from lottery.files import UserError
from lottery.runs import compare, provenance
from lottery.runs.store import Store
from lottery.settings import Settings
from lottery.tickets.check import Check, check
from lottery.tickets.export import export, find, sizes
from lottery.tickets.folder import _checksum, check_free
from lottery.tickets.predict import column, lines, predict
from lottery.tickets.ticket import begins_with_first
from lottery.tickets.tokenizer import tokenizer

QUICK = {"embedding_size": 12, "filters": 6, "hidden": 9, "epochs": 2, "weight_decay": 1e-4}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Both models on generated news: dense, lt and random at 75 %."""
    store = Store(tmp_path_factory.mktemp("tickets") / "demo")
    study = Study(
        "demo-news", ["cnn", "lstm"], [0.5, 0.75], store=store, say=lambda _: None, **QUICK
    )
    study.run()
    return study


def taken(results, model, folder, arm="lt", **options):
    record = find(results.store.records()[0], model, arm, 0.0 if arm == "dense" else 0.75, 0)
    return export(results.store, record, folder, say=lambda _: None, **options)


@pytest.fixture(scope="module", params=["cnn", "lstm"])
def folder(request, results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders") / request.param
    taken(results, request.param, folder)
    return folder


def test_it_is_the_tested_network(folder, results):
    ticket = Ticket.load(folder)
    weights, mask = results.shelf.trained(ticket.settings, "best")
    assert all(torch.equal(weights[name], ticket.trained[name]) for name in weights)
    assert all(torch.equal(mask[name], ticket.mask[name]) for name in mask)
    assert any((ticket.trained[name][part] == 0).any() or part.all() for name, part in mask.items())
    found = check(ticket, say=lambda _: None)
    assert found.is_good and found.differ == 0 and found.examples == 1500
    assert found.accuracy == pytest.approx(ticket.record.test_accuracy)


def test_first_values_are_those_of_its_seed(folder, results, tmp_path):
    ticket = Ticket.load(folder)
    model = models.build(ticket.settings, len(ticket.contents.vocabulary), 4)
    drawn = models.draw(model, ticket.settings.stream("first weights"))
    for name, weight in ticket.first.items():
        kept = ticket.mask.get(name, torch.ones_like(weight, dtype=torch.bool))
        assert torch.equal(weight, drawn[name] * kept)
        assert not weight[~kept].signbit().any(), "what is pruned is 0 and not -0"
    without = taken(results, ticket.settings.model, tmp_path / "small", first=False)
    assert not (tmp_path / "small" / "first.safetensors").exists()
    assert all(torch.equal(w, without.first[name]) for name, w in ticket.first.items())


def test_its_words_are_those_of_its_record_and_not_of_the_recipe(tmp_path):
    own = QUICK | {"vocabulary_size": 300, "split_seed": 1, "epochs": 1}
    store, quiet = Store(tmp_path / "demo"), [].append
    study = Study("demo-news", ["cnn"], [0.5], ["lt"], store=store, say=quiet, **own)
    ticket = export(store, study.run()[-1], tmp_path / "out", say=quiet)
    words = ticket.contents.vocabulary
    assert words == study.corpus.vocabulary
    assert check(ticket, say=quiet).is_good
    turned = Ticket(replace(ticket.contents, vocabulary=(*words[:2], *words[:1:-1])))
    assert not check(turned, say=quiet).is_good, "its tokenizer would give others' ids"


@pytest.mark.parametrize("arm", ["dense", "random"])
def test_every_arm_can_be_taken_and_is_trained_again_if_gone(results, tmp_path, arm):
    record = find(results.store.records()[0], "cnn", arm, 0.0 if arm == "dense" else 0.75, 0)
    for path in (results.store.tested_path, results.store.weights_path):
        path(record.settings).unlink(missing_ok=True)
    ticket = taken(results, "cnn", tmp_path / arm, arm)
    assert check(ticket, say=lambda _: None).is_good
    if arm == "random":
        with pytest.raises(UserError, match="random are not θ₀"):
            ticket.first  # noqa: B018


def test_a_network_that_another_machine_made_again_says_so(results, tmp_path, monkeypatch):
    store = Store(tmp_path / "demo")
    shutil.copytree(results.store.root, store.root)
    record = find(store.records()[0], "cnn", "random", 0.75, 0)
    store.tested_path(record.settings).unlink()
    draw = models.draw
    monkeypatch.setattr(models, "draw", lambda model, seed: draw(model, seed + 1))
    monkeypatch.setattr(provenance, "commit", lambda: "another")
    for name, width in (("ACCURACY_TOLERANCE", 1.0), ("LOSS_TOLERANCE", 9.0)):
        monkeypatch.setattr(compare, name, width)
    said = []
    ticket = export(store, record, tmp_path / "out", say=said.append)
    found = check(ticket, say=lambda _: None)
    assert found.differ > 0 and said[-1].endswith(f"on another machine gives a near one: {found}")
    assert said[-1] in (tmp_path / "out" / "README.md").read_text()


def test_of_a_thousand_examples_one_may_be_rounded_to_the_other_side():
    assert Check(0.9, 1000, 1, True).is_good and Check(0.9, 999, 0, True).is_good
    assert not Check(0.9, 1000, 2, True).is_good and not Check(0.9, 999, 1, True).is_good
    assert not Check(0.9, 1000, 0, False).is_good, "of other texts"


def test_all_forms_give_the_same_logits(folder, results):
    ticket = Ticket.load(folder)
    split = results.corpus.test
    ours = ticket.logits(split)
    rows = [torch.from_numpy(split.tokens[a:b].astype(np.int64)) for a, b in
            zip(split.offsets[:-1], split.offsets[1:], strict=True)]  # fmt: skip
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    with torch.no_grad():
        plain = ticket.to_torch()(padded, torch.from_numpy(split.lengths))
    torch.testing.assert_close(plain, ours, rtol=0, atol=1e-5)
    dense = ticket.model(sparse=False)
    assert all(torch.equal(w, ticket.trained[name]) for name, w in dense.state_dict().items())


@pytest.mark.process
def test_its_card_loads_it_without_this_project(folder, tmp_path):
    ticket = Ticket.load(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    texts = [
        *("Officials said the deal, worth 3 (three) billion, is off!", "", "a <pad> b"),
        *("goal " * 900, "stocks fell\x1fagain", "ΣΑΣ"),
        *(
            " ".join(row)
            for row in np.random.default_rng(0).choice(ticket.contents.vocabulary, (30, 9))
        ),
    ]
    program = (
        "import sys\n"
        "class Nothing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] == 'lottery': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        f"{code}\n"
        f"print(answer({str(folder)!r}, {texts!r}).tolist())\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    theirs = torch.tensor(json.loads(out))
    torch.testing.assert_close(theirs, ticket.logits(ticket.encode(texts)), rtol=0, atol=1e-5)


def test_an_altered_bit_is_noticed(folder, tmp_path):
    random = np.random.default_rng(0)
    files = sorted(path.name for path in folder.iterdir() if path.name != "README.md")
    before = Ticket.load(folder)
    for number in range(200):
        name = files[number % len(files)]
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        content = bytearray((copy / name).read_bytes())
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        (copy / name).write_bytes(bytes(content))
        try:
            found = Ticket.load(copy)
        except UserError as error:
            assert str(copy) in str(error) and "\n" not in str(error)
        else:  # white space between two values, say
            assert found.contents.classes == before.contents.classes
            assert all(torch.equal(w, found.trained[n]) for n, w in before.trained.items())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "mask.safetensors"])
def test_a_file_that_is_gone_or_cut_is_named(folder, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:-9])
    with pytest.raises(UserError, match=name):
        Ticket.load(copy)
    (copy / name).unlink()
    with pytest.raises(UserError, match=f"{name}: cannot be read"):
        Ticket.load(copy)
    with pytest.raises(UserError, match=f"wrote, e.g. {folder.parent}"):
        Ticket.load(folder.parent)
    with pytest.raises(UserError, match="is no folder"):
        Ticket.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="ticket None is no folder: give its path"):
        Ticket.load(None)


def test_another_version_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(UserError, match="format 2 is not 1"):
        Ticket.load(tmp_path / "copy")


def resealed(folder, change):
    """Change the parts of a folder as a stranger would, and give each its new checksum."""
    config = json.loads((folder / "config.json").read_text())
    parts = {name: (folder / name).read_bytes() for name in config["sha256"]}
    change(config, parts)
    for name, part in parts.items():
        (folder / name).write_bytes(part)
        if name in config["sha256"]:
            config["sha256"][name] = hashlib.sha256(part).hexdigest()
    config["checksum"] = _checksum(config)
    (folder / "config.json").write_text(json.dumps(config))


def tensors(name, change):
    """A change of the tensors of one file."""

    def changed(config, parts):
        found = safetensors.torch.load(parts[name])
        change(found)
        parts[name] = safetensors.torch.save(found)

    return changed


def recorded(change):
    """A change of the record."""

    def changed(config, parts):
        values = json.loads(parts["record.json"])
        change(values)
        parts["record.json"] = json.dumps(values).encode()

    return changed


def turned(found):
    found["embedding.weight"] ^= 1  # each last place of eight: kept where it was not


STRANGE = {
    "a tensor is missing": (
        tensors("model.safetensors", lambda found: found.pop("output.bias")),
        "output.bias has no values, and its mask keeps 4",
    ),
    "a tensor too short": (
        tensors("model.safetensors", lambda f: f.update({"output.bias": torch.zeros(3)})),
        "output.bias has 3 of torch.float32 values",
    ),
    "of another kind": (
        tensors("model.safetensors", lambda f: f.update({"output.bias": f["output.bias"].half()})),
        "output.bias has 4 of torch.float16 values",
    ),
    "no numbers": (
        tensors("model.safetensors", lambda f: f["output.bias"].fill_(torch.nan)),
        "output.bias holds values that are no numbers",
    ),
    "not finite": (
        tensors("model.safetensors", lambda f: f["output.bias"].fill_(torch.inf)),
        "output.bias holds values that are no numbers",
    ),
    "a tensor too many": (
        lambda config, parts: config["shapes"].update({"more.weight": [2]}),
        r"more.weight is \(2,\), its model's None",
    ),
    "a mask of other weights": (
        tensors("mask.safetensors", turned),
        "masks do not keep as many weights as the record counts",
    ),
    "a mask too short": (
        tensors("mask.safetensors", lambda f: f.update({"output.weight": f["output.weight"][1:]})),
        "the mask of output.weight has",
    ),
    "a mask of nothing": (
        tensors("mask.safetensors", lambda found: found.update({"more": torch.zeros(1)})),
        "a mask of more, which there is not",
    ),
    "no mask": (
        tensors("mask.safetensors", lambda found: found.pop("output.weight")),
        "masks do not keep as many weights as the record counts",
    ),
    "another shape": (
        lambda config, parts: config["shapes"].update({"output.bias": [2, 2]}),
        r"output.bias is \(2, 2\), its model's \(4,\)",
    ),
    "a shape of words": (
        lambda config, parts: config["shapes"].update({"output.bias": "long"}),
        "output.bias is",
    ),
    "shapes in a list": (lambda config, parts: config.update(shapes=[]), "do not fit"),
    "checksums in a list": (lambda config, parts: config.update(sha256=[]), "do not fit"),
    "no record": (
        lambda config, parts: config["sha256"].pop("record.json"),
        "does not name record",
    ),
    "a file elsewhere": (
        lambda config, parts: config["sha256"].update({"../../secret": ""}),
        "'../../secret' is no file of a ticket",
    ),
    "fewer classes": (lambda config, parts: config["classes"].pop(), "are not the classes"),
    "no facts": (lambda config, parts: config.update(facts={}), "'facts' has no 'title'"),
    "a record of nothing": (
        lambda config, parts: parts.update({"record.json": b"{}"}),
        "field 'settings' is missing",
    ),
    "texts divided by an unknown rule": (
        recorded(lambda values: values["data"].update(tokens="vowels")),
        "its texts are divided into 'vowels', which is unknown",
    ),
    "a pickle": (
        lambda config, parts: parts.update({"model.safetensors": pickle.dumps({"a": 1})}),
        "do not fit",
    ),
    "a word too many": (
        lambda config, parts: parts.update(
            {"tokenizer.json": parts["tokenizer.json"].replace(b'"<unk>":1', b'"<unk>":1,"x":9999')}
        ),
        "the ids of the tokenizer's words have holes",
    ),
    "no tokenizer": (
        lambda config, parts: parts.update({"tokenizer.json": b"[]"}),
        "do not fit",
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strangers_folder_is_refused_in_one_line(folder, tmp_path, name):
    change, said = STRANGE[name]
    shutil.copytree(folder, tmp_path / "copy")
    resealed(tmp_path / "copy", change)
    with pytest.raises(UserError, match=said) as caught:
        Ticket.load(tmp_path / "copy")
    assert str(tmp_path / "copy") in str(caught.value) and "\n" not in str(caught.value)


def test_what_a_stranger_leaves_as_it_was_is_taken(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    resealed(tmp_path / "copy", lambda config, parts: None)
    Ticket.load(tmp_path / "copy")


def test_a_packed_folder_is_the_same_and_smaller(results, folder, tmp_path):
    ticket = Ticket.load(folder)
    taken(results, ticket.settings.model, tmp_path / "small", small=True)
    small = Ticket.load(tmp_path / "small")
    assert all(torch.equal(w, small.trained[name]) for name, w in ticket.trained.items())
    assert "xz -dk *.xz" in (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    packed = sorted((tmp_path / "small").glob("*.xz"))
    assert sum(path.stat().st_size for path in packed) < 0.8 * sum(
        (folder / path.stem).stat().st_size for path in packed
    )
    for path in packed:
        content = lzma.decompress(path.read_bytes())
        assert content == (folder / path.stem).read_bytes(), "as `xz -dk` gives it"
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(UserError, match=f"{path.name}: is not whole|{path.name}: was altered"):
            Ticket.load(tmp_path / "small")
        path.write_bytes(lzma.compress(content + b" "))
        with pytest.raises(UserError, match=f"{path.stem}: was altered"):
            Ticket.load(tmp_path / "small")
        path.write_bytes(lzma.compress(content))
    Ticket.load(tmp_path / "small")


def test_of_two_ladders_to_one_sparsity_the_longer_ones_ticket_is_found():
    steps = (0.5, 0.75, 0.875)
    whole = [synthetic.record("demo-reviews", "cnn", "lt", steps[:rung]) for rung in (1, 2, 3)]
    short = synthetic.record("demo-reviews", "cnn", "lt", (0.75,))
    assert find([short, *whole], "cnn", "lt", 0.75, 0).settings.ladder == (0.5, 0.75)


def test_it_is_as_small_as_it_can_be(folder):
    found = sizes(Ticket.load(folder), folder)
    assert found["least"] < found["bytes"] < 1.05 * found["least"] + 2500  # names of the tensors


def test_what_is_there_stays(results, folder, tmp_path):
    with pytest.raises(UserError, match="is there already"):
        taken(results, "cnn", folder)
    records = results.store.records()[0]
    with pytest.raises(UserError, match=r"there are sparsities 0.5, 0.75; seeds 0$"):
        find(records, "cnn", "lt", 0.9, 0)
    assert not list(folder.parent.glob(".*"))


# --- words -----------------------------------------------------------------------------------

WORDS = vocabulary(
    ["the", "'", ".", "film", "naïve", "!", "e\u0301", "<br", "σας", "σασ", "σ", "ς"],
    range(1, 13),
    20,
)
PIECES = st.sampled_from(
    ["the", "THE", " ", "'", '"', ".", "<br />", "<BR />", "<pad>", "<unk>", "!", ";", "\x1c",
     "\x1f", "\x85", "\u00a0", "\u2003", "İ", "ΣΑΣ", "Σ", "Α", "ß", "naïve", "NAÏVE", "e\u0301",
     "\n", "\ud7ff", "😀", "\u200b", "(", "<br", "/>"]
)  # fmt: skip


LETTERS = vocabulary([*"the'.é!<bσςα", "e\u0301"[1], "i", "\u0307"], range(1, 16), 20)


@settings(max_examples=1500)
@given(
    st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join)),
    st.sampled_from([("words", WORDS), ("characters", LETTERS)]),
)
def test_the_librarys_ids_are_ours(text, known):
    how, vocabulary = known
    found = encode([text], SPLITTERS[how])
    ours = renumber(found.words, vocabulary)[found.ids].tolist()
    assert (tokenizer(vocabulary, 10_000, how).encode(text).ids or [1]) == ours


# --- predictions -----------------------------------------------------------------------------


def test_predictions(folder):
    ticket = Ticket.load(folder)
    found = ticket.predict(["stocks fell", "", "the team won"])
    assert list(found) == ["label", *ticket.classes] and len(found) == 3
    sums = found[list(ticket.classes)].sum(axis=1, skipna=False)
    np.testing.assert_allclose(sums, [1, np.nan, 1], atol=1e-5)
    assert ticket.predict([]).empty
    few, many = ["stocks fell", "", "the team won"], ["a word"] * 40
    alone, among = ticket.probabilities(few), ticket.probabilities(few + many)
    np.testing.assert_allclose(alone, among[:3], atol=1e-5)
    with pytest.raises(UserError, match=r"write \[text\]"):
        ticket.predict("stocks fell")
    assert "% pruned)" in ticket.report() and "test accuracy" in ticket.report()


def answers(folder, texts):
    out, said = io.StringIO(), []
    bad = predict(Ticket.load(folder), texts, out, said.append, bar=False)
    return bad, out.getvalue().splitlines(), said


def test_a_line_that_cannot_be_read_keeps_its_row(folder):
    stream = io.BytesIO(b"stocks fell\n\xff\xfe\nthe team won\n" + b"more\n" * 2000)
    bad, rows, said = answers(folder, lines(stream))
    assert bad == 1 and len(rows) == 2004
    assert rows[2].startswith("2,,") and "line 2: byte 1 is not UTF-8" in said[0]


@pytest.mark.parametrize("form", ["lines", "column"])
def test_a_blank_text_keeps_its_row_and_has_no_answer(folder, form):
    """So that lines and answers pair up, and nothing is said of a text that is not there."""
    texts = ["stocks fell", "", " \t\u2003", "the team won"]
    if form == "lines":
        stream = lines(io.BytesIO("\r\n".join(texts).encode()))
    else:
        stream = column(io.BytesIO("\n".join(["a,b", *(f"1,{t}" for t in texts)]).encode()), "b")
    bad, rows, said = answers(folder, stream)
    assert (bad, said) == (0, ["texts without a word: 2; their answers are left empty"])
    ticket, first = Ticket.load(folder), 1 if form == "lines" else 2
    empty = "," * (1 + len(ticket.classes))
    assert rows[2:4] == [f"{first + 1}{empty}", f"{first + 2}{empty}"]
    wanted = ticket.predict([texts[0], texts[3]])["label"]
    assert [row.split(",")[1] for row in (rows[1], rows[4])] == list(wanted)
    assert [row.split(",")[0] for row in rows[1:]] == [str(first + n) for n in range(4)]


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_text():
    found = lines(io.BytesIO(b"\xef\xbb\xbfstocks fell\n\xef\xbb\xbfstays\n"))
    assert [line.text for line in found] == ["stocks fell", "\ufeffstays"]


def test_a_csv_that_begins_with_a_blank_line_is_refused_in_one():
    with pytest.raises(UserError, match="its first line is blank; give a CSV") as caught:
        next(column(io.BytesIO(b"\nreview\nfine\n"), "review"))
    assert "\n" not in str(caught.value)


def test_a_column_of_a_csv(folder):
    text = 'id,review\n1,"two\nlines, quoted"\n2\n3,"fine"\n'
    bad, rows, said = answers(folder, column(io.BytesIO(text.encode()), "review"))
    assert bad == 1 and [row.split(",")[0] for row in rows] == ["line", "3", "4", "5"]
    assert "1 field where the header has 2" in said[0]
    with pytest.raises(UserError, match="no column 'text'; there are id, review"):
        next(column(io.BytesIO(text.encode()), "text"))
    with pytest.raises(UserError, match="is empty"):
        next(column(io.BytesIO(b""), "text"))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("id;review\n1;fine\n", {}),
        ("id,review\r1,fine\r", {}),
        ("id/review\n1/fine\n", {"delimiter": "/"}),
        ("id,review\n1,fine\n", {"encoding": "utf-16"}),
    ],
)
def test_a_csv_of_another_form(text, options):
    stream = io.BytesIO(text.encode(options.get("encoding", "utf-8")))
    assert [(line.number, line.text) for line in column(stream, "review", **options)] == [
        (2, "fine")
    ]
    assert not stream.closed


def test_input_that_is_refused_leaves_nothing_behind(folder):
    utf16 = "id,review\n1,fine\n".encode("utf-16")
    for stream, options in ((io.BytesIO(b"id\n1\n"), {}), (io.BytesIO(utf16), {})):
        out = io.StringIO()
        with pytest.raises(UserError, match="standard input"):
            predict(Ticket.load(folder), column(stream, "review", **options), out, print, bar=False)
        assert out.getvalue() == ""
    with pytest.raises(UserError, match="encoding 'hex' is unknown"):
        next(column(io.BytesIO(b"a\n"), "a", encoding="hex"))


def test_a_quote_that_nobody_closes_ends_it_after_the_answers_before(folder):
    text = 'id,review\n1,good\n\n2,"bad"x\n3,"fine\n4,more\n5,still more\n'
    out, said = io.StringIO(), []
    with pytest.raises(UserError, match="line 5: a quote opens here that is not closed"):
        predict(
            Ticket.load(folder),
            column(io.BytesIO(text.encode()), "review"),
            out,
            said.append,
            False,
        )
    rows = out.getvalue().splitlines()
    assert [row.split(",")[0] for row in rows] == ["line", "2", "4"]
    assert rows[2].startswith("4,,") and "line 4:" in said[0]


def test_a_line_without_an_end_takes_no_more_memory_than_a_text_may(monkeypatch):
    for module in ("data.reading", "tickets.predict"):
        monkeypatch.setattr(f"lottery.{module}.LONGEST", 8)
    with pytest.raises(UserError, match="line 2 is longer"):
        list(lines(io.BytesIO(b"short\n" + b"x" * 20)))
    assert [line.text for line in lines(io.BytesIO(b"1234567\n12345678"[:15]))] == ["1234567"] * 2
    with pytest.raises(UserError, match="line 2: a quote opens here"):
        list(column(io.BytesIO(b'review\n"' + b"x" * 20 + b'"\n'), "review"))


def test_utf_16_and_nul_bytes_are_no_texts():
    wide = "stocks fell\nthe team won\n"
    with pytest.raises(UserError, match="is UTF-16; write it as UTF-8"):
        list(lines(io.BytesIO(wide.encode("utf-16"))))
    found = list(lines(io.BytesIO(wide.encode("utf-16-le"))))
    assert {line.text for line in found} == {None} and "NUL" in found[0].wrong
    found = list(column(io.BytesIO(b"id,review\n1,st\0cks\n2,fine\n"), "review"))
    assert [line.text for line in found] == [None, "fine"]
    with pytest.raises(UserError, match="give --encoding utf-16"):
        list(column(io.BytesIO("id,review\n1,a\n".encode("utf-16")), "review"))
    surrogate = column(io.BytesIO(b"review\n+2AA-\nfine\n"), "review", encoding="utf-7")
    assert [line.text for line in surrogate] == [None, "fine"]


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(UserError, match="2 columns 'review'"):
        next(column(io.BytesIO(b"review,review\na,b\n"), "review"))


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (pd.DataFrame({"text": ["a"], "id": [1]}), r"give one column, table\['text'\]"),
        ({"text": ["a"]}, "give one column"),
        (["fine", "bad \udce9"], "text 1 is not valid Unicode"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(folder, texts, says):
    with pytest.raises(UserError, match=says):
        Ticket.load(folder).predict(texts)


def test_a_path_that_cannot_be_and_a_closed_input_are_one_line(folder, monkeypatch, capsys):
    long = "a long text " * 40
    assert cli.main(["predict", long]) == 2
    assert cli.main(["verify", long]) == 2
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["predict", str(folder)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and "standard input is closed" in said[2]
    with pytest.raises(UserError, match="too long"):
        check_free(long)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_trained(monkeypatch, tmp_path):
    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(UserError, match=r"ticket: cannot be written \(Permission denied\)"):
        check_free(tmp_path / "ticket")


def test_what_is_no_text_is_named(folder):
    for texts, said in (([3], "text 0 is int"), (["a", None], "text 1 is NoneType"), (3, "text 0")):
        with pytest.raises(UserError, match=said):
            Ticket.load(folder).predict(texts)


def test_the_commands(results, folder, tmp_path, capsys, monkeypatch):
    place = str(tmp_path / "out")
    command = [
        "export",
        "demo-news",
        "cnn",
        "--sparsity",
        "0.75",
        "--results",
        str(results.store.root),
    ]
    assert cli.main([*command, place, "--without-first"]) == 0
    assert "weights and mask" in capsys.readouterr().out
    assert cli.main([*command, place]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["verify", place]) == 0
    assert "as recorded, example by example" in capsys.readouterr().out
    stdin = io.TextIOWrapper(io.BytesIO(b"the team won\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert cli.main(["predict", place]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("line,label,")


def test_records_that_cannot_be_read_are_named(tmp_path, capsys):
    store = Store(tmp_path / "results")
    for seed in (0, 1):
        store.put(synthetic.record(arm="lt", ladder=(0.875,), seed=seed))
    for path in store.paths():
        path.write_text("{")
    words = ["export", "imdb", "cnn", "--results", str(store.root), str(tmp_path / "out")]
    assert cli.main(words) == 2
    unread, none = capsys.readouterr().err.splitlines()
    assert unread.startswith(f"records that cannot be read: 2; the first: {store.paths()[0]}: ")
    assert "there are none" in none


def test_a_late_rewound_ticket_did_not_begin_with_theta_0():
    plain = Settings("imdb", "cnn", "lt", (0.5,)).checked()
    assert begins_with_first(plain) and not begins_with_first(replace(plain, rewind_step=9))
