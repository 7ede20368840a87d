"""What a corpus holds, in words for a person."""

from __future__ import annotations

from lottery.data.balance import Balance
from lottery.data.corpus import Corpus
from lottery.data.ids import SPLITS
from lottery.files import amount

SHOWN = 20  # classes that a description lists


def describe(corpus: Corpus) -> str:
    """Source, sizes, labels, lengths, vocabulary and repeated texts, for a person."""
    facts = corpus.facts
    lines = [
        corpus.title,
        f"  source       {corpus.source}",
        f"  fingerprint  {corpus.fingerprint[:16]}",
        "",
    ]

    def line(name: str, values: dict, form: str = "{:,}") -> str:
        return f"  {name:<15}" + "".join(f"{form.format(values[split]):>12}" for split in SPLITS)

    lines.append(f"  {'':<15}" + "".join(f"{name:>12}" for name in SPLITS))
    lines.append(line("rows", facts["rows"]))
    for name in _shown(corpus):
        counts = {split: facts["labels"][split][name] for split in SPLITS}
        lines.append(line(name if len(name) <= 14 else f"{name[:13]}…", counts))
    if len(corpus.classes) > SHOWN:
        more = amount(len(corpus.classes) - SHOWN, "class of a size", "classes of sizes")
        lines.append(f"  … and {more} between these")
    lines.append(line("tokens", facts["tokens"]))
    lines.append(line("<unk>", facts["unk_share"], "{:.2%}"))
    length = facts["lengths"]
    low, middle, high = length["quartiles"]
    shared, alike = facts["shared_texts"], facts["alike_to_train"]
    lines += [
        "",
        f"  words a text    mean {length['mean']:.1f}, quartiles {low:.0f} {middle:.0f} {high:.0f}"
        f", 95 % below {length['95 %']:.0f}, longest {length['max']:,}",
        f"  vocabulary      {len(corpus.vocabulary) - 2:,} of "
        f"{facts['distinct_words']:,} different words, and <pad> and <unk>",
        f"  repeated texts  {facts['repeated_texts']:,} rows repeat another's words "
        f"({facts['repeated_texts_exact']:,} to the character), "
        f"{facts['repeated_other_label']:,} with another label",
        f"                  in train and validation {shared['train-valid']:,}, in train and test "
        f"{shared['train-test']:,}, in validation and test {shared['valid-test']:,}",
        *_repeating(corpus),
        f"                  equal to a training text once rare words are <unk>: "
        f"{alike['valid']:,} of validation, {alike['test']:,} of test",
        f"  without a word  {facts['wordless']:,} texts (each is one <unk>)",
        *_of_own(corpus),
    ]
    return "\n".join(lines)


def _repeating(corpus: Corpus) -> list[str]:
    """What was kept from training for a test set that was given; a drawn one has no such rows."""
    if corpus.own and not corpus.own["given_test"]:
        return []
    test = "the given test set" if corpus.own else "the official test set"
    rows = corpus.facts["repeat_official_test"]
    repeat = amount(rows, f"row repeats {test}; it is", f"rows repeat {test}; they are")
    return [f"                  {repeat} in validation"]


def _shown(corpus: Corpus) -> list[str]:
    """The classes; of many the largest and the smallest."""
    if len(corpus.classes) <= SHOWN:
        return list(corpus.classes)
    order = sorted(corpus.classes, key=lambda name: -corpus.facts["labels"]["train"][name])
    return order[: SHOWN // 2] + order[-SHOWN // 2 :]


def _of_own(corpus: Corpus) -> list[str]:
    """Imbalance and what was left out, of a corpus from outside."""
    if not corpus.own:
        return []
    balance = Balance.of(corpus.classes, corpus.own["labels"])
    lines = [
        f"  imbalance       {balance.largest} is {balance.most:.2%} of train, {balance.smallest} "
        f"{balance.least:.2%}; to say {balance.largest} always is right on {balance.floor:.2%} of "
        f"test"
    ]
    left = ", ".join(f"{rows:,} without {lack}" for lack, rows in corpus.own["left_out"].items())
    return [*lines, f"  left out        {left or 'no row'}"]
