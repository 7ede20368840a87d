from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery.data.batches import Split, batches, by_length, distinct

texts_strategy = st.lists(
    st.lists(st.integers(1, 30), min_size=1, max_size=12), min_size=1, max_size=20
)


def split_of(texts: list[list[int]]) -> Split:
    lengths = [len(text) for text in texts]
    return Split(
        np.array([token for text in texts for token in text], np.int32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.arange(len(texts), dtype=np.int64),
    )


def texts_of(split: Split) -> list[list[int]]:
    bounds = zip(split.offsets[:-1], split.offsets[1:], strict=True)
    return [split.tokens[first:last].tolist() for first, last in bounds]


@given(texts_strategy, st.data())
def test_take_copies_the_rows_in_their_order(texts, data):
    split = split_of(texts)
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=30))
    taken = split.take(np.array(rows, np.int64))
    assert texts_of(taken) == [texts[row] for row in rows]
    assert taken.labels.tolist() == rows
    assert not np.shares_memory(taken.tokens, split.tokens)


@given(texts_strategy, st.integers(1, 15))
def test_cut_keeps_the_first_tokens(texts, limit):
    split = split_of(texts)
    cut = split.cut(limit)
    assert texts_of(cut) == [text[:limit] for text in texts]
    assert (cut is split) == (max(map(len, texts)) <= limit), "what is mapped stays on the disk"


@given(st.lists(st.integers(1, 9), min_size=1))
def test_distinct_names_each_word_once_in_order_of_first_occurrence(tokens):
    scratch = np.zeros(10, np.int32)
    tokens = np.array(tokens, np.int32)
    words, index = distinct(tokens, scratch)
    assert words.tolist() == list(dict.fromkeys(tokens.tolist()))
    assert (words[index] == tokens).all()
    assert not scratch.any(), "the next batch would take these words for known"


@settings(max_examples=50)
@given(texts_strategy, st.integers(1, 25), st.randoms(use_true_random=False))
def test_batches_hold_every_text_once_in_order(texts, batch_size, random):
    split = split_of(texts)
    order = list(range(len(texts)))
    random.shuffle(order)
    seen, labels, sizes = [], [], []
    for batch in batches(split, batch_size, np.array(order)):
        assert batch.words.dtype == batch.offsets.dtype == batch.labels.dtype == torch.int64
        assert batch.index.dtype == torch.int32
        assert batch.offsets[0] == 0
        assert len(batch.words.unique()) == len(batch.words)
        tokens = batch.words[batch.index.long()]
        seen += [part.tolist() for part in tokens.split(batch.offsets.diff().tolist())]
        labels += batch.labels.tolist()
        sizes.append(len(batch))
    assert seen == [texts[row] for row in order]
    assert labels == order
    assert all(size == batch_size for size in sizes[:-1])
    assert 0 < sizes[-1] <= batch_size


def test_without_an_order_texts_come_as_they_lie():
    (batch,) = batches(split_of([[3, 4], [5], [3]]), 5)
    assert batch.words.tolist() == [3, 4, 5]
    assert batch.index.tolist() == [0, 1, 2, 0]
    assert batch.offsets.tolist() == [0, 2, 3, 4]


def test_another_device_gets_the_same_batches_one_ahead():
    split = split_of([[token] for token in range(1, 8)])
    here = list(batches(split, 3))
    there = list(batches(split, 3, device="meta"))
    assert [len(batch) for batch in there] == [len(batch) for batch in here] == [3, 3, 1]
    assert all(batch.words.device.type == "meta" for batch in there)


def test_by_length_puts_the_longest_first_and_keeps_ties():
    assert by_length(split_of([[1], [1, 2], [2], [1, 2, 3], [3, 4]])).tolist() == [3, 1, 4, 0, 2]


@pytest.mark.parametrize(
    ("tokens", "offsets", "labels", "message"),
    [
        ([1, 2], [0, 1, 1, 2], [0, 0, 0], "text 1 of the Split is empty"),
        ([1, 0], [0, 2], [0], "below 1"),
        ([1, -1], [0, 2], [0], "below 1"),
        ([1, 2], [0, 1], [0], "from 0 to the number of tokens"),
        ([1, 2], [0, 2], [0, 1], "one entry more"),
    ],
)
def test_a_wrong_split_is_refused(tokens, offsets, labels, message):
    arrays = np.array(tokens, np.int32), np.array(offsets, np.int64), np.array(labels, np.int64)
    with pytest.raises(ValueError, match=message):
        Split(*arrays)


def test_wrong_types_rows_and_sizes_are_refused():
    split = split_of([[1, 2], [3]])
    with pytest.raises(ValueError, match="int32"):
        Split(split.offsets, split.offsets, split.labels)
    for rows in ([2], [-1]):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            split.take(np.array(rows))
    with pytest.raises(ValueError, match="max_tokens"):
        split.cut(0)
    with pytest.raises(ValueError, match="batch_size"):
        next(batches(split, 0))
