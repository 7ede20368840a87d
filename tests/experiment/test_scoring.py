"""Scores on the ladder: what they are given, what they stand on, and that all arms agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.children import study
from lottery.experiment import run as one
from lottery.experiment import scoring
from lottery.experiment.plan import below, rewinds
from lottery.pruning.masks import counts, full_mask, prune, removed_by_layer
from lottery.pruning.scores import SCORES, Score
from lottery.runs.checkpoints import unbundle
from lottery.settings import Settings, title

LADDER = (0.5, 0.75)


@pytest.fixture
def tickets(monkeypatch):
    """What each run started from, by its title."""
    found, train = {}, one.train

    def watched(model, ticket, corpus, settings, *more):
        found[title(settings)] = ticket
        return train(model, ticket, corpus, settings, *more)

    monkeypatch.setattr(one, "train", watched)
    return found


@pytest.fixture
def contexts(monkeypatch):
    """What a score that changes nothing was given, call by call."""
    found = []

    def watched(context):
        found.append(context)
        return {name: weight.abs() for name, weight in context.weights.items()}

    for name, of_first in (("watched", False), ("watched first", True)):
        monkeypatch.setitem(SCORES, name, Score(name, watched, "", of_first))
    return found


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("model", ["cnn", "lstm"])
def test_every_score_prunes_the_exact_count_for_all_arms_alike(name, model, tickets, tmp_path):
    arms = ("lt", "random", "finetune")
    made = study(tmp_path, LADDER, arms, 1, models=(model,), score=name, hidden=8)
    records = made.run()
    assert len(records) == 7 and not any(record.failed for record in records)
    for rung, step in enumerate(LADDER, 1):
        masks = [tickets[f"{model} {arm} {step:g} seed 0"].mask for arm in arms]
        for other in masks[1:]:
            assert all(torch.equal(masks[0][n], other[n]) for n in masks[0])
        plain = Settings("demo-reviews", model, "lt", LADDER[:rung])
        sizes = {n: of for n, (_, of) in counts(masks[0]).items()}
        removed = {n: gone for n, (gone, _) in counts(masks[0]).items()}
        assert removed == removed_by_layer(sizes, LADDER[:rung], plain.output_rate)
    low, high = (tickets[f"{model} lt {step:g} seed 0"].mask for step in LADDER)
    assert all(bool((low[n] | ~high[n]).all()) for n in low), "masks are nested"


def test_all_scores_prune_differently(tickets, tmp_path):
    masks = {}
    for name in SCORES:
        study(tmp_path / name, (0.875,), ("lt",), 2, score=name).run()
        masks[name] = tickets["cnn lt 0.875 seed 0"].mask
    for name in SCORES:
        for other in SCORES:
            same = all(torch.equal(masks[name][n], masks[other][n]) for n in masks[name])
            assert same == (name == other), (name, other)


def test_a_score_of_trained_weights_is_given_all_it_may_look_at(contexts, tmp_path):
    made = study(tmp_path, LADDER, ("lt",), 1, score="watched", max_tokens=9, score_texts=40)
    made.run()
    lower, upper = contexts
    weights, _ = unbundle(checkpoint(made, "dense", 0))
    again, kept = unbundle(checkpoint(made, "lt", 1))
    for name in weights:
        assert torch.equal(lower.weights[name], weights[name])
        assert torch.equal(upper.weights[name], again[name])
        assert torch.equal(lower.first[name], upper.first[name])
        assert torch.equal(lower.rewound[name], lower.first[name])
    assert all(torch.equal(upper.mask[n], kept[n]) for n in kept)
    assert all(part.all() for part in lower.mask.values())
    assert np.diff(lower.corpus.train.offsets).max() == 9, "cut as it is trained on"
    assert lower.seed != upper.seed, "each rung has lots of its own"
    assert set(lower.gradients) == set(weights)
    assert any(part.any() for part in lower.gradients.values())


def checkpoint(made, arm: str, rung: int):
    from lottery import files

    return files.load(made.store.weights_path(made.settings("cnn", arm, rung, 0)))[0]


def test_rewound_is_what_the_network_below_began_with(contexts, tickets, tmp_path):
    options = {"score": "watched", "rewind_step": 3}
    study(tmp_path, LADDER, ("lt", "random"), 1, **options).run()
    late = tickets["cnn lt 0.5 seed 0"].weights
    by_arm = [contexts[:2], contexts[2:]]  # lt and random of each rung
    for rung, some in enumerate(by_arm, 1):
        for context in some:
            for name, part in context.rewound.items():
                wanted = context.first[name]
                if rung == 2:
                    mask = tickets["cnn lt 0.5 seed 0"].mask.get(name)
                    part = part if mask is None else part * mask
                    wanted = late[name]
                assert torch.equal(part, wanted), (rung, name)


def test_a_late_ladder_of_first_values_is_scored_as_its_rungs_were(contexts, tmp_path):
    """Else a rung's mask, made anew for the next, might keep what was pruned."""
    study(tmp_path, LADDER, ("lt",), 1, score="watched first", rewind_step=3).run()
    alone, first, second = contexts
    for name, part in alone.rewound.items():
        assert torch.equal(part, alone.first[name]) and torch.equal(first.rewound[name], part)
    assert any(not torch.equal(second.rewound[n], second.first[n]) for n in second.rewound)


def test_a_score_of_first_values_climbs_without_training(contexts, monkeypatch, tmp_path):
    options = {"score": "watched first"}
    made = study(tmp_path, LADDER, ("lt",), 1, **options)
    ticket = made.settings("cnn", "lt", 2, 0)
    assert below(ticket) is None and rewinds(ticket) is None
    assert below(made.settings("cnn", "finetune", 2, 0)) == made.settings("cnn", "lt", 1, 0)
    monkeypatch.setattr(
        made.shelf, "trained", lambda *_: pytest.fail("it stands on no trained network")
    )
    made.run_here([ticket])
    first, mask = contexts[0].first, full_mask(contexts[0].first)
    for rung, context in enumerate(contexts, 1):
        assert all(torch.equal(context.mask[n], mask[n]) for n in mask)
        for name, weight in context.weights.items():
            assert torch.equal(weight, first[name] * mask.get(name, torch.tensor(True)))
        scores = {name: weight.abs() for name, weight in context.weights.items()}
        mask = prune(scores, mask, LADDER[:rung])
    assert made.shelf.record(ticket).layers == counts(mask)


def test_the_sample_is_read_only_by_scores_that_ask(monkeypatch, tmp_path):
    monkeypatch.setattr(scoring, "sample", lambda *_: pytest.fail("nobody asked"))
    study(tmp_path, (0.5,), ("lt",), 1, score="movement").run()
    with pytest.raises(pytest.fail.Exception, match="nobody asked"):
        study(tmp_path, (0.5,), ("lt",), 1, score="taylor").run()


def test_a_score_and_its_texts_name_a_run():
    plain = Settings("imdb", "cnn", "lt", (0.875,)).checked()
    assert plain.run == Settings("imdb", "cnn", "lt", (0.875,), score_texts=9).checked().run
    snip = Settings("imdb", "cnn", "lt", (0.875,), score="snip").checked()
    few = Settings("imdb", "cnn", "lt", (0.875,), score="snip", score_texts=9).checked()
    dense = Settings("imdb", "cnn", score="snip", score_texts=9).checked()
    assert len({plain.run, snip.run, few.run}) == 3
    assert dense == Settings("imdb", "cnn")
