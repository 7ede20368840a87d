"""The rules of `data.tokens` and a vocabulary as a tokenizer of Hugging Face's library."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from lottery.data.tokens import PAD, RULES, UNK

# White space to Python and not to the library.
SEPARATORS = "[\x1c-\x1f]"


def tokenizer(vocabulary: Sequence[str], max_tokens: int) -> Tokenizer:
    """Text to the ids that a model of this project reads, cut after `max_tokens`.

    Of a text in which the rules leave no word it gives no id; a model reads one `<unk>` there.
    """
    made = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(vocabulary)}, unk_token=UNK)
    )
    made.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(SEPARATORS), " "),
            *(normalizers.Replace(old, new) for old, new in RULES),
            normalizers.Replace(PAD, UNK),  # padding is never a word of a text
        ]
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.enable_truncation(max_tokens)
    return made
