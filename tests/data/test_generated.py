from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lottery import data as corpus
from lottery.data import generated, tokens

DIGESTS = {"demo-reviews": "b718253cc39f877d", "demo-news": "6e0b28a39c7715ec"}


def digest(parts) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", DIGESTS)
def test_the_texts_are_the_same_everywhere(name):
    assert digest(corpus.DATASETS[name].generate()) == DIGESTS[name]


def test_hash_randomisation_changes_nothing():
    program = (
        "import hashlib, json; from lottery.data import generated;"
        "print(hashlib.sha256(json.dumps(generated.reviews(5, 50)).encode()).hexdigest()[:16])"
    )
    for seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()  # fmt: skip
        assert out == digest(generated.reviews(5, 50))


@pytest.mark.parametrize("name", DIGESTS)
def test_sizes_lengths_and_long_tail(name):
    loaded = corpus.load(name, say=lambda line: None)
    known = corpus.DATASETS[name]
    assert loaded.generated
    assert loaded.facts["rows"] == dict(zip(("train", "valid", "test"), known.sizes, strict=True))
    lengths = np.diff(loaded.train.offsets)
    assert lengths.min() >= 15
    assert lengths.max() <= 75
    counts = np.sort(np.bincount(loaded.train.tokens))[::-1]
    assert len(loaded.vocabulary) > 2_000
    assert (counts[counts > 0] <= 2).mean() > 0.2  # many words are rare
    assert loaded.facts["shared_texts"]["train-test"] == 0


def test_labels_are_balanced_and_the_grammar_reads_them_from_the_order():
    loaded = corpus.load("demo-reviews", say=lambda line: None)
    shares = np.bincount(loaded.train.labels) / len(loaded.train.labels)
    assert np.abs(shares - 0.5).max() < 0.03
    # A bag of words: the words' log odds, counted on train, asked on test.
    counts = np.ones((2, len(loaded.vocabulary)))
    rows = np.repeat(loaded.train.labels, np.diff(loaded.train.offsets))
    np.add.at(counts, (rows, loaded.train.tokens), 1)
    odds = np.log(counts[1] / counts[1].sum()) - np.log(counts[0] / counts[0].sum())
    votes = np.add.reduceat(odds[loaded.test.tokens], loaded.test.offsets[:-1]) > 0
    bag = (votes == loaded.test.labels).mean()
    assert 0.45 < bag < 0.75


def test_a_sentence_is_written_as_english():
    assert generated._sentence("it has a elegant plot") == "It has an elegant plot."
    assert tokens.basic_english("It has an elegant plot.")[-1] == "."
