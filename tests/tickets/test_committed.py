"""The tickets that lie in results/tickets: small, whole, and those of their records."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from lottery import Ticket
from lottery.analysis import verdict
from lottery.data.tokens import encode, renumber
from lottery.files import root
from lottery.pruning.arms import ARMS
from lottery.recipes import RECIPES
from lottery.runs.store import Store
from lottery.tickets import inside
from lottery.tickets.card import card
from lottery.tickets.export import facts, sizes
from lottery.tickets.ticket import FEW
from lottery.tickets.tokenizer import tokenizer

HOME = root() / "results" / "tickets"
FOLDERS = sorted(path for path in HOME.iterdir() if path.is_dir())
SAID = {"imdb": ("What a waste of time.", "negative"), "agnews": ("The team won 3-1.", "Sports")}


def test_there_are_some_and_they_are_small():
    assert [path.name for path in FOLDERS] == sorted(f"{d}-{m}" for d, m in RECIPES)
    size = {
        folder.name: sum(file.stat().st_size for file in folder.iterdir()) for folder in FOLDERS
    }
    wide = size.pop("imdb-lstm")  # it keeps a quarter: the float32 values alone are 2.7 MB
    assert sum(size.values()) < 3 * 2**20 and wide < 2.5 * 2**20


def test_each_is_the_sparsest_of_its_pair_that_is_as_good_as_dense(ticket):
    s = ticket.settings
    records = Store(root() / "results").records(s.dataset)[0]
    (pair,) = verdict.pairs([r for r in records if r.settings.model == s.model])
    good = [rung.sparsity for rung in pair.rungs if rung[verdict.TICKET].state == verdict.YES]
    assert s.arm == "lt" and s.sparsity == max(good)


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def ticket(request):
    return Ticket.load(request.param)


def test_it_is_that_of_a_record_and_of_its_name(request, ticket):
    s = ticket.settings
    assert request.node.callspec.params["ticket"].name == f"{s.dataset}-{s.model}"
    assert Store(root() / "results").get(s) == ticket.record


def test_its_card_is_what_its_contents_say(request, ticket):
    text = (request.node.callspec.params["ticket"] / "README.md").read_text(encoding="utf-8")
    assert card(ticket.contents, small=True) == text


def test_its_card_says_what_the_records_say_today(ticket):
    records = Store(root() / "results").records(ticket.settings.dataset)[0]
    told = facts(ticket.record, records)
    assert ticket.contents.facts == {**ticket.contents.facts, **told}, "run benchmarks/cards.py"


@pytest.mark.parametrize(
    ("arm", "score", "step"),
    [("random", "magnitude", 0), ("finetune", "magnitude", 0), ("lt", "gradient", 0),
     ("lt", "gradient", 9)],
)  # fmt: skip
def test_the_card_of_another_arm_or_score_says_how_that_one_is_made(ticket, arm, score, step):
    settings = replace(ticket.settings, arm=arm, score=score, rewind_step=step)
    record = replace(ticket.record, settings=settings)
    text = " ".join(card(replace(ticket.contents, record=record)).split())
    assert "magnitude pruning and rewinding" not in text
    means = "pruned, with its values after 9 steps" if step else ARMS[arm].means
    assert f"`{arm}`: {means}; its ladder is pruned by the score `{score}`." in text


def test_weights_and_mask_are_as_small_as_they_can_be(request, ticket):
    found = sizes(ticket, request.node.callspec.params["ticket"])
    assert found["bytes"] < 1.05 * found["least"]


def test_it_answers(ticket):
    text, label = SAID[ticket.settings.dataset]
    assert ticket.predict([text])["label"].item() == label
    assert ticket.predict([text] * (FEW + 1))["label"].eq(label).all()


def test_what_the_notebooks_show_is_nested(ticket):
    if ticket.contents.inside is None:
        pytest.skip("exported without --inside")
    kept = ticket.mask[inside.shown(ticket.settings)][: inside.ROWS]
    masks = [*inside.at_rungs(ticket).values()]
    assert torch.equal(masks[-1], kept)
    assert all((b <= a).all() for a, b in pairwise(masks))
    rows = ticket.contents.inside["dense/rows"]
    assert len(rows) == len(ticket.contents.inside["dense/logits"]) and rows.unique().equal(rows)


def test_the_tokenizer_gives_our_ids_for_a_hundred_thousand_strings(ticket):
    random = np.random.default_rng(0)
    pieces = [*ticket.contents.vocabulary[:400], *"'\".,()!?;: \t\n\x1c\x1f\x85ßİÉé😀",
              "<br />", "<pad>", "ΣΑΣ", "\u2003", "e\u0301", "<BR />", "NAÏVE"]  # fmt: skip
    made = tokenizer(ticket.contents.vocabulary, 10_000)
    for _ in range(10):
        glue = random.choice(["", " "], (10_000, 8))
        words = random.choice(pieces, (10_000, 8))
        texts = ["".join(row) for row in np.char.add(words, glue)]
        found = encode(texts)
        ours = renumber(found.words, ticket.contents.vocabulary)[found.ids]
        theirs = [some.ids or [1] for some in made.encode_batch(texts)]
        assert ours.tolist() == [word for some in theirs for word in some]
