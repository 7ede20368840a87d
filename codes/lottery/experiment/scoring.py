"""The mask of a rung: score, remove the lowest, keep what is left."""

from __future__ import annotations

from functools import partial

from lottery.data import Corpus
from lottery.experiment.run import cut
from lottery.models.base import Model
from lottery.pruning.masks import Mask, full_mask, prune
from lottery.pruning.scores import SCORES, Context
from lottery.pruning.tickets import Ticket, Weights
from lottery.settings import Settings
from lottery.training.slope import sample, slope


def pruned(
    settings: Settings,
    corpus: Corpus,
    model: Model,
    mask: Mask,
    first: Weights,
    rewound: Weights,
    trained: Weights | None,
) -> Mask:
    """The mask of this run's rung, from the `trained` network below and its `mask`.

    A score of first values takes every rung of the ladder anew, from nothing pruned: each on what
    the one below leaves of θ₀ (so SNIP by rounds, de Jorge et al. 2021). All arms of a seed and
    rung come to the same mask.
    """
    score, corpus = SCORES[settings.score], cut(corpus, settings.max_tokens)
    rungs = [settings.rung]
    if score.of_first:
        rungs, mask = range(1, settings.rung + 1), full_mask(first)
    for rung in rungs:
        seed = settings.stream("score", rung)
        context = Context(
            weights=Ticket(first, mask).weights if score.of_first else trained,
            first=first,
            rewound=rewound if rung > 1 else first,  # as that rung's own runs have it
            mask=mask,
            corpus=corpus,
            slope=partial(_slope, model, corpus, settings.score_texts, seed),
            seed=seed,
        )
        how = settings.scope, settings.output_rate, settings.kept_dense
        mask = prune(score(context), mask, settings.ladder[:rung], *how)
    return mask


def _slope(model: Model, corpus: Corpus, texts: int, seed: int, weights: Weights) -> Weights:
    """The slope on a sample of the training texts, drawn for those alone who ask for it."""
    return slope(model, sample(corpus.train, texts, seed), weights)
