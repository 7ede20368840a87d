from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lottery.data import tokens

# The published rules as regular expressions, to hold ours against.
RULES = [
    (r"\'", " '  "),
    (r"\"", ""),
    (r"\.", " . "),
    (r"<br \/>", " "),
    (r",", " , "),
    (r"\(", " ( "),
    (r"\)", " ) "),
    (r"\!", " ! "),
    (r"\?", " ? "),
    (r"\;", " "),
    (r"\:", " "),
    (r"\s+", " "),
]


def reference(text: str) -> list[str]:
    text = text.lower()
    for pattern, new in RULES:
        text = re.sub(pattern, new, text)
    return text.split()


PIECES = ["<br />", "<BR />", "<br/>", "<br", " />", "'", '"', ".", "!", "\x1c", "\x85", "\xa0",
          "\u200b", "\u2028", "ΟΔΟΣ", "Σ", "İ", "ß", "\\n", "\x00", "it's"]  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8))).map("".join))
def test_the_rules_are_torchtexts(text):
    assert tokens.basic_english(text) == reference(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('It\'s "GOOD".<br /><br />Yes!', ["it", "'", "s", "good", ".", "yes", "!"]),
        ("<br /.>", ["<br", "/", ".", ">"]),  # a full stop is spaced before the tag is looked for
        ('<br" />', []),  # and a quote is gone by then
        ("a;b:c(d)?", ["a", "b", "c", "(", "d", ")", "?"]),
        ("a-b\\c #39;s", ["a-b\\c", "#39", "s"]),
        ("x\x1cy\x85z\xa0w\u200bv", ["x", "y", "z", "w\u200bv"]),
        ("ΟΔΟΣ İ", ["οδος", "i\u0307"]),
    ],
)
def test_examples(text, words):
    assert tokens.basic_english(text) == words


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1))
@example(["<PAD>", "a", '";:'])
def test_encoding_keeps_every_word_but_a_written_pad(texts):
    encoded = tokens.encode(texts)
    for text, ids in zip(texts, encoded.rows(range(len(texts))), strict=True):
        words = ["<unk>" if word == "<pad>" else word for word in reference(text)] or ["<unk>"]
        assert [encoded.words[number] for number in ids] == words
    assert encoded.ids.dtype == np.int32
    assert encoded.offsets.dtype == np.int64


def test_a_text_without_words_is_one_unk_and_a_written_pad_is_unk():
    encoded = tokens.encode(['";:', "<unk>", "<pad> b", "<unk> b"])
    assert encoded.wordless == 1
    assert "<pad>" not in encoded.words
    assert encoded.digests[0] == encoded.digests[1] != encoded.digests[2] == encoded.digests[3]
    ids = tokens.renumber(encoded.words, tokens.vocabulary(encoded.words, [1, 1], 10))[encoded.ids]
    assert ids.tolist() == [1, 1, 1, 2, 1, 2]


def test_vocabulary_by_frequency_then_alphabet_with_the_two_marks_in_its_size():
    words, counts = ["b", "<unk>", "a", "z", "é", "<pad>", "never"], [2, 99, 2, 5, 2, 99, 0]
    assert tokens.vocabulary(words, counts, 100) == ("<pad>", "<unk>", "z", "a", "b", "é")
    assert tokens.vocabulary(words, counts, 4) == ("<pad>", "<unk>", "z", "a")
    ids = tokens.renumber(words, ("<pad>", "<unk>", "z", "a"))
    assert ids.tolist() == [1, 1, 3, 2, 1, 0, 1]
