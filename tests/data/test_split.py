from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery.data import split
from lottery.files import UserError

SIZES = (28, 12, 10)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@st.composite
def corpora(draw):
    """50 rows, some of one text: at most 5 groups, so that single rows can fill every split."""
    groups = draw(st.lists(st.integers(2, 4), max_size=5))
    texts = [f"group {number}" for number, size in enumerate(groups) for _ in range(size)]
    texts += [f"text {number}" for number in range(50 - len(texts))]
    labels = draw(st.lists(st.integers(0, 1), min_size=50, max_size=50))
    return [digest(text) for text in texts], labels


def divided(texts, labels, official, sizes, seed):
    """(text, label) pairs of every split, in order."""
    rows = split.divide(texts, labels, official, sizes, seed)
    return [[(texts[row], labels[row]) for row in part.tolist()] for part in rows]


@given(corpora(), st.integers(0, 5))
def test_sizes_are_exact_every_row_is_used_once_and_no_text_is_parted(corpus, seed):
    texts, labels = corpus
    rows = split.divide(texts, labels, None, SIZES, seed)
    assert tuple(map(len, rows)) == SIZES
    assert sorted(np.concatenate(rows).tolist()) == list(range(50))
    train, valid, test = ({texts[row] for row in part} for part in rows)
    assert not train & valid
    assert not train & test
    assert not valid & test


@given(corpora(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(corpus, seed, random):
    texts, labels = corpus
    order = list(range(50))
    random.shuffle(order)
    mixed = [texts[row] for row in order], [labels[row] for row in order]
    assert divided(texts, labels, None, SIZES, seed) == divided(*mixed, None, SIZES, seed)


@given(st.sets(st.integers(0, 29), max_size=8), st.randoms(use_true_random=False))
def test_an_official_test_set_is_whole_and_what_repeats_it_is_in_validation(repeats, random):
    held = [f"text {number}" for number in range(30)]
    other = [f"text {number}" for number in sorted(repeats)]
    other += [f"own {number}" for number in range(70 - len(other))]
    rows = [(digest(text), True) for text in held] + [(digest(text), False) for text in other]
    texts, official = zip(*rows, strict=True)
    labels = [0] * 100
    train, valid, test = split.divide(texts, labels, official, (50, 20, 30), 1)
    assert sorted(test.tolist()) == list(range(30))
    assert set(range(30, 30 + len(repeats))) <= set(valid.tolist())
    assert (len(train), len(valid)) == (50, 20)
    random.shuffle(rows)
    mixed, flags = zip(*rows, strict=True)
    assert divided(texts, labels, official, (50, 20, 30), 1) == divided(
        mixed, labels, flags, (50, 20, 30), 1
    )


def test_another_seed_is_another_split():
    texts = [digest(str(number)) for number in range(50)]
    parts = [set(split.divide(texts, [0] * 50, None, SIZES, seed)[2].tolist()) for seed in range(4)]
    assert len(set(map(frozenset, parts))) == 4


def test_the_split_is_fixed_for_ever():
    texts = [digest(str(number)) for number in range(10)]
    train, valid, test = split.divide(texts, [0] * 10, None, (5, 3, 2), 0)
    keys = [hashlib.sha256(b"lottery split 0 " + text).digest() for text in texts]
    order = sorted(range(10), key=lambda row: keys[row])
    assert test.tolist() == order[:2]
    assert valid.tolist() == order[2:5]
    assert train.tolist() == order[5:]


def test_repeats_that_cannot_be_kept_together_are_refused():
    texts = [digest(str(number // 2)) for number in range(10)]
    with pytest.raises(
        UserError, match="10 rows with 5 different texts cannot be divided 5 / 3 / 2"
    ):
        split.divide(texts, [0] * 10, None, (5, 3, 2), 0)


def test_sizes_of_validation_and_test_are_refused_though_that_of_train_is_right():
    """Two rows repeat the official test set and overfill validation; the other has two."""
    texts = [digest(text) for text in "aaabb"]
    official = [True, *[False] * 4]
    with pytest.raises(UserError, match="nearest is 2 / 2 / 1"):
        split.divide(texts, [0] * 5, official, (2, 1, 2), 0)
    parts = split.divide(texts, [0] * 5, official, (2, 1, 2), 0, exact=False)
    assert [part.tolist() for part in parts] == [[3, 4], [1, 2], [0]]
