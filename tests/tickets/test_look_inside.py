"""What is shown of a ticket is what is in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.pictures import seen
from helpers.untrained import ticket as untrained
from lottery import Study, Ticket
from lottery.files import UserError
from lottery.pruning.masks import full_mask, prune
from lottery.report.figures.picture import png
from lottery.runs.store import Store
from lottery.tickets import inside, pictures
from lottery.tickets.export import export, find

QUICK = {"embedding_size": 12, "filters": 6, "hidden": 9, "epochs": 2, "widths": (2, 3)}
LADDER = [0.5, 0.75, 0.9]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("inside") / "demo")
    study = Study("demo-news", ["cnn"], LADDER, ["lt"], store=store, say=lambda _: None, **QUICK)
    study.run()
    return study


@pytest.fixture(scope="module")
def ticket(study, tmp_path_factory):
    record = find(study.store.records()[0], "cnn", "lt", 0.9, 0)
    folder = tmp_path_factory.mktemp("ticket") / "cnn"
    return export(study.store, record, folder, say=lambda _: None, inside=True)


def test_a_dense_network_has_no_rung_to_show(study, tmp_path):
    dense = find(study.store.records()[0], "cnn", "dense", 0, 0)
    with pytest.raises(UserError, match="it is dense: no rung below to show; leave out --inside"):
        export(study.store, dense, tmp_path / "dense", say=[].append, inside=True)


def test_the_masks_of_the_rungs_are_those_of_the_ladder(study, ticket):
    rungs = inside.at_rungs(ticket)
    assert list(rungs) == LADDER
    for rung, kept in enumerate(rungs.values(), start=1):
        _, mask = study.shelf.tested(study.settings("cnn", "lt", rung, 0))
        assert torch.equal(kept, mask["convolutions.1.weight"])


def test_without_them_it_is_said(ticket):
    bare = Ticket(replace(ticket.contents, inside=None))
    with pytest.raises(UserError, match="export it with `--inside`"):
        inside.at_rungs(bare)


@settings(max_examples=100)
@given(st.integers(1, 5), st.integers(0, 999))
def test_rungs_of_nested_masks_come_back(rungs, seed):
    draw = torch.Generator().manual_seed(seed)
    order = torch.rand(7, 5, generator=draw)
    masks = [order > (n + 1) / (rungs + 2) for n in range(rungs)]
    gone = inside.removed(masks)
    for number, mask in enumerate(masks, start=1):
        assert torch.equal((gone == 0) | (gone > number), mask)


def test_layers_and_words_are_counted(study, ticket):
    frame = inside.layers(ticket)
    assert list(frame.index) == ["filters of 2", "filters of 3", "embedding", "output"]
    assert frame["kept"].sum() == ticket.contents.facts["kept"]
    words = inside.words(ticket, study.corpus)
    assert len(words) == len(study.corpus.vocabulary) - 2
    for place in (0, 5, len(words) - 1):
        row = words.iloc[place]
        assert study.corpus.vocabulary[place + 2] == row["word"] and row["rank"] == place + 1
        kept = ticket.mask["embedding.weight"][place + 2].float().mean()
        assert row["kept"] == pytest.approx(100 * float(kept))
        assert row["occurs"] == (study.corpus.train.tokens == place + 2).sum()
    assert (np.diff(words["occurs"]) <= 0).all(), "the rank is that of how often it occurs"
    other = replace(study.corpus, fingerprint="other")
    assert "occurs" not in inside.words(ticket, other) and "occurs" not in inside.words(ticket)


def test_where_the_networks_differ(study, ticket):
    dense, _ = study.shelf.tested(study.settings("cnn", "dense", 0, 0))
    whole = Ticket(replace(ticket.contents, trained=dense))
    texts = study.corpus.test
    ours, theirs = (inside.probabilities(one.logits(texts)) for one in (ticket, whole))
    rows = ticket.contents.inside["dense/rows"].numpy()
    assert (rows == np.flatnonzero(ours.argmax(1) != theirs.argmax(1))).all() and len(rows)
    frame = inside.disagreements(ticket, study.corpus, most=5)
    assert 1 <= len(frame) <= 5
    for row, said in frame.iterrows():
        for name, chances in (("ticket", ours[row]), ("dense", theirs[row])):
            label = ticket.classes[chances.argmax()]
            assert said[name] == f"{label} {100 * chances.max():.0f} %"
        assert said["class"] == ticket.classes[texts.labels[row]]
        first = study.corpus.vocabulary[texts.tokens[texts.offsets[row]]]
        assert said["text"].startswith(first)
    with pytest.raises(UserError, match="test texts of demo-news"):
        inside.disagreements(ticket, replace(study.corpus, fingerprint="other"))


@pytest.mark.parametrize("most", [0, 10])
def test_networks_that_agree_leave_an_empty_table(study, ticket, most):
    some = inside.disagreements(ticket, study.corpus, most=1)
    none = {name: part[:0] for name, part in ticket.contents.inside.items()} if most else {}
    alike = Ticket(replace(ticket.contents, inside=ticket.contents.inside | none))
    frame = inside.disagreements(alike, study.corpus, most)
    assert frame.empty and list(frame) == list(some) and frame.index.name == some.index.name


def test_the_surest_is_first_by_the_less_sure_of_the_two(study, ticket):
    count = 6
    ours = inside.probabilities(ticket.logits(study.corpus.test))[:count].max(1)
    sure = torch.zeros(count, len(ticket.classes))  # the surer the ticket, the less the other is
    sure[np.argsort(ours), 0] = torch.arange(count, 0, -1) / 2
    theirs = inside.probabilities(sure).max(1)
    rows = {"dense/rows": torch.arange(count, dtype=torch.int32), "dense/logits": sure}
    told = Ticket(replace(ticket.contents, inside=ticket.contents.inside | rows))

    def order(sureness) -> list[int]:
        return sorted(range(count), key=lambda row: -sureness(ours[row], theirs[row]))

    assert order(min) != order(max)
    assert list(inside.disagreements(told, study.corpus, count).index) == order(min)
    assert list(inside.disagreements(told, study.corpus, 2).index) == order(min)[:2]


def test_no_answer_is_of_more_of_a_text_than_the_network_reads(study, ticket):
    settings = replace(ticket.settings, max_tokens=4)
    contents = replace(ticket.contents, record=replace(ticket.record, settings=settings))
    short, texts = Ticket(contents), study.corpus.test
    frame = inside.disagreements(short, study.corpus)
    assert len(frame)
    read = inside.probabilities(short.logits(texts.cut(4)))
    said = [f"{ticket.classes[read[r].argmax()]} {100 * read[r].max():.0f} %" for r in frame.index]
    assert list(frame["ticket"]) == said
    row = frame.index[0]
    ids = texts.tokens[texts.offsets[row] : texts.offsets[row + 1]]
    one, other = inside.moved(short, ids), inside.moved(short, ids[:4])
    assert len(ids) > 4 and one.logit == other.logit
    assert one.windows.equals(other.windows) and not one.windows.equals(
        inside.moved(ticket, ids).windows
    )


def test_no_window_is_of_padding_alone(ticket):
    """Of a text of one word: a filter may answer less to it than to nothing."""
    trained = ticket.trained | {
        name: torch.full_like(part, 5.0)
        for name, part in ticket.trained.items()
        if name.startswith("convolutions") and name.endswith("bias")
    }
    lifted = Ticket(replace(ticket.contents, trained=trained))
    word = ticket.contents.vocabulary[2]
    found = inside.moved(lifted, word)
    logits = lifted.logits(lifted.encode([word]))[0]
    assert set(found.windows["words"]) == {word} and found.windows["filters"].sum() == 12
    assert found.logit == pytest.approx(float(logits.max() - logits.mean()), abs=1e-5)


@pytest.mark.parametrize("text", ["stocks fell", "goal", "", "the team won the cup . " * 9])
def test_what_the_windows_add_is_the_answer(ticket, text):
    found = inside.moved(ticket, text)
    logits = ticket.logits(ticket.encode([text]))[0]
    best = int(logits.argmax())
    assert found.name == ticket.classes[best]
    assert found.logit == pytest.approx(float(logits[best] - logits.mean()), abs=1e-5)
    assert found.rest + found.windows["moves"].sum() == pytest.approx(found.logit, abs=1e-5)
    assert found.windows["filters"].sum() == 12
    words = " ".join(ticket.contents.vocabulary[i] for i in ticket.encode([text]).tokens)
    assert all(window in words for window in found.windows["words"])


def test_one_logit_is_half_of_each_class(ticket):
    one = torch.tensor([[-1.0], [0.3]])
    likely = one.sigmoid().numpy()
    np.testing.assert_allclose(
        inside.probabilities(one), np.hstack([1 - likely, likely]), atol=1e-6
    )


@pytest.mark.parametrize("number", [100, -1, "two"])
def test_a_filter_that_there_is_not_is_one_line(ticket, number):
    with pytest.raises(UserError, match=f"^number {number!r} is no filter .*: there are 0 to 5$"):
        pictures.mask(ticket, number)


def test_pictures_show_what_is_there(study, ticket):
    weights = {"w": torch.arange(-3.0, 3.0).view(2, 3)}
    mask = prune({"w": weights["w"].abs()}, full_mask(weights), (0.5,))["w"]
    figure = pictures.matrices({"score": weights["w"].abs(), "mask": mask})
    texts = [[t.get_text() for t in axes.texts] for axes in figure.axes]
    assert texts == [["3.00", "2.00", "1.00", "1.00", "2.00"], ["1"] * 3]
    words, layers = inside.words(ticket, study.corpus), inside.layers(ticket)
    moved = inside.moved(ticket, "the team won $ 3")
    drawn = {
        "mask": pictures.mask(ticket, 2),
        "words": pictures.words(words),
        "ranks": pictures.words(words.drop(columns="occurs")),
        "layers": pictures.layers(layers, "Layers"),
        "moved": pictures.moved(moved),
    }
    shown = [axes.images[0].get_array() for axes in drawn["mask"].axes]
    for image, kept in zip(shown, inside.at_rungs(ticket).values(), strict=True):
        assert (image == kept[2].T.numpy()).all()
    widths = [bar.get_width() for bar in drawn["layers"].axes[0].patches]
    assert widths == pytest.approx(list(layers["percent"]))
    assert [bar.get_width() for bar in drawn["moved"].axes[0].patches] == pytest.approx(
        list(moved.windows["moves"][:10])
    )
    named = {text.get_text() for text in drawn["words"].axes[0].texts}
    assert words.sort_values(["kept", "rank"], ascending=[False, True])["word"].iloc[0] in named
    for name, figure in drawn.items():
        png(figure)
        figure.draw_without_rendering()
        canvas = figure.bbox
        for text in seen(figure):
            box = text.get_window_extent()
            assert canvas.x0 <= box.x0 and box.x1 <= canvas.x1 + 1, (name, text.get_text())


def test_what_moved_a_binary_answer_is_half_its_logit_and_the_strongest_first():
    made = untrained("cnn", "np")
    for text in ("5 6 7 8 9 10 11 12", "20 21 22 23 24 25", "30 31 32 33 3 4"):
        found, logit = inside.moved(made, text), float(made.logits(made.encode([text])))
        assert found.name == "np"[logit > 0]
        assert found.logit == pytest.approx(abs(logit) / 2, abs=1e-5)
        assert found.rest + found.windows["moves"].sum() == pytest.approx(found.logit, abs=1e-5)
        moves = found.windows["moves"]
        assert moves.min() < 0 < moves.max() and (np.diff(moves.abs()) <= 0).all()
