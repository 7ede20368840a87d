"""Corpora of other shapes than the project's, as files of anybody's."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd

STARS = {"five": 400, "four": 160, "three": 70, "two": 30, "one": 14, "none": 6}
LETTERS = [chr(0x4E00 + number) for number in range(300)]
SIGNS = ["😀", "👍🏽", "❤️", "！", "。"]


def _words(chance: random.Random, telling: str, count: int = 12) -> str:
    words = [f"w{chance.randrange(200)}" for _ in range(count)] + [telling] * 2
    return " ".join(chance.sample(words, len(words)))


def unequal(path: Path) -> Path:
    """Six classes from 400 rows to 6; three rows lack a label, two a text; ; between columns."""
    chance = random.Random(0)
    rows = [
        (_words(chance, f"t{name}"), name) for name, count in STARS.items() for _ in range(count)
    ]
    rows += [("no label", ""), ("none; either", " "), ("nor here", ""), ("", "five"), ("  ", "one")]
    chance.shuffle(rows)
    pd.DataFrame(rows, columns=["body", "stars"]).to_csv(path, sep=";", index_label="number")
    return path


def with_test(folder: Path) -> tuple[Path, Path]:
    """Two numbered classes in parquet, and a test set, five texts of which are in both."""
    chance = random.Random(1)
    parts = [
        [(_words(chance, f"t{number % 2}"), number % 2) for number in range(count)]
        for count in (400, 120)
    ]
    parts[0] += parts[1][:5]
    files = folder / "train.parquet", folder / "test.parquet"
    for rows, file in zip(parts, files, strict=True):
        pd.DataFrame(rows, columns=["text", "spam"]).to_parquet(file)
    return files


def without_spaces(path: Path, classes: int = 40, each: int = 15) -> Path:
    """Chinese sentences and emoji in 40 classes, no space anywhere."""
    chance = random.Random(2)
    rows = []
    for label in range(classes):
        for _ in range(each):
            text = [*chance.choices(LETTERS, k=10), LETTERS[label], LETTERS[label]]
            chance.shuffle(text)
            rows.append(("".join(text) + chance.choice(SIGNS), f"类{label}"))
    chance.shuffle(rows)
    pd.DataFrame(rows, columns=["句子", "类别"]).to_csv(path, index=False)
    return path
