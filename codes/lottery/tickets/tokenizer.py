"""The rules of `data.tokens` and a vocabulary as a tokenizer of Hugging Face's library.

As there, a text is divided into words, or into characters.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from lottery.data.tokens import PAD, RULES, UNK

# White space to Python and not to the library.
SEPARATORS = "[\x1c-\x1f]"
# A word's last sigma, which Python's `lower` writes as ς and the library, letter by letter, as σ:
# a cased letter is before it and none behind, accents, apostrophes and the like left aside.
CASED, PASSED = r"[\p{Lu}\p{Ll}\p{Lt}]", r"[\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}'’‘.·:․]"
LAST = rf"{CASED}{PASSED}*\KΣ(?!{PASSED}*{CASED})"


def tokenizer(vocabulary: Sequence[str], max_tokens: int, how: str = "words") -> Tokenizer:
    """Text to the ids that a model of this project reads, cut after `max_tokens`.

    how: a name of `data.tokens.SPLITTERS`.
    Of a text in which the rules leave no word it gives no id; a model reads one `<unk>` there.
    """
    made = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(vocabulary)}, unk_token=UNK)
    )
    lower = [normalizers.Replace(Regex(LAST), "ς"), normalizers.Lowercase()]
    lower += [normalizers.Replace(Regex(SEPARATORS), " ")]
    words = [
        *(normalizers.Replace(old, new) for old, new in RULES),
        normalizers.Replace(PAD, UNK),  # padding is never a word of a text
    ]
    letters = [pre_tokenizers.Split(Regex("."), "isolated")]
    made.normalizer = normalizers.Sequence(lower + words * (how == "words"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), *(letters * (how == "characters"))]
    )
    made.enable_truncation(max_tokens)
    return made
