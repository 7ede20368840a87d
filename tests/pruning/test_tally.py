"""What is kept and what has vanished, counted again one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from lottery.pruning.tally import VANISHED, by_frequency, vanished

NAMES = ("embedding.weight", "output.weight")


def world(seed):
    draw = torch.Generator().manual_seed(seed)
    weights = {
        "embedding.weight": torch.randn(30, 4, generator=draw),
        "output.weight": torch.randn(2, 6, generator=draw),
        "output.bias": torch.zeros(2),
    }
    mask = {name: torch.rand(weights[name].shape, generator=draw) < 0.6 for name in NAMES}
    mask["embedding.weight"][0] = True  # <pad> is not prunable
    for name in NAMES:
        weights[name][torch.rand(weights[name].shape, generator=draw) < 0.3] = VANISHED / 3
    tokens = np.random.default_rng(seed).zipf(1.4, 200)
    return weights, mask, tokens[tokens < 25]


def test_vanished_counts_kept_weights_alone():
    for seed in range(5):
        weights, mask, _ = world(seed)
        wanted = {}
        for name in NAMES:
            first = 1 if name == "embedding.weight" else 0  # the <pad> row is no weight
            pairs = zip(weights[name][first:].flatten(), mask[name][first:].flatten(), strict=True)
            wanted[name] = sum(bool(kept) and abs(float(w)) < VANISHED for w, kept in pairs)
        assert vanished(weights, mask) == wanted


def test_words_are_grouped_by_how_often_they_occur():
    for seed in range(5):
        weights, mask, tokens = world(seed)
        often = Counter(tokens.tolist())
        wanted = {}
        for word in range(1, 30):
            least = 0
            while often[word] >= max(2 * least, 1):
                least = max(2 * least, 1)
            row = wanted.setdefault(least, [0, 0, 0])
            row[0] += 1
            for w, kept in zip(weights[NAMES[0]][word], mask[NAMES[0]][word], strict=True):
                row[1] += bool(kept)
                row[2] += bool(kept) and abs(float(w)) < VANISHED
        found = by_frequency(weights, mask, tokens)
        assert {g.least: [g.words, g.kept, g.vanished] for g in found} == wanted
        assert [g.least for g in found] == sorted(wanted)
        assert sum(g.vanished for g in found) == vanished(weights, mask)[NAMES[0]]
