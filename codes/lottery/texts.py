"""Your own texts on the command line: the options, and the corpus that they name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lottery.files import UserError

ABOUT = "a file of your own in place of a dataset; rows lacking text or label are counted, left out"
WITH_FILE = ("text", "label", "test", "name", "delimiter", "encoding", "tokens")
WITH_FILE += ("valid_share", "test_share")  # options that mean nothing without a file


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a file of texts and its columns."""
    group = parser.add_argument_group("your own texts", ABOUT)
    file = group.add_mutually_exclusive_group()
    file.add_argument("--csv", type=Path, metavar="FILE", help="a CSV with a header")
    file.add_argument("--parquet", type=Path, metavar="FILE", help="a parquet file")
    for name, kind, metavar, said in (
        ("text", str, "COLUMN", "the column of texts"),
        ("label", str, "COLUMN", "the column of classes, 2 to 1,000 of them"),
        ("test", Path, "FILE", "the test set, kept whole (default: drawn from the texts)"),
        ("name", str, "NAME", "what the corpus is called (default: as its file)"),
        ("delimiter", str, "C", "of a CSV (default: the one of , ; tab | that fits its header)"),
        ("encoding", str, "NAME", "of a CSV, e.g. latin-1 (default: UTF-8, or what its mark says)"),
        ("tokens", str, "KIND", "words, or characters for texts without spaces (default: words)"),
        ("valid-share", float, "S", "share of the other texts that is validation (default: 0.3)"),
        ("test-share", float, "S", "share of all texts that is the test set (default: 0.2)"),
    ):
        group.add_argument(f"--{name}", type=kind, metavar=metavar, help=said)


def given(parsed: argparse.Namespace) -> list[str]:
    """The options of a file that are there, as one writes them."""
    there = (n for n in ("csv", "parquet", *WITH_FILE) if getattr(parsed, n) is not None)
    return [f"--{name.replace('_', '-')}" for name in there]


def corpus(parsed: argparse.Namespace, say: Callable[[str], object], called: str = "") -> Any:
    """The corpus that the options name, a `data.Own`; None if they name none.

    `called`: its name where the options give none.
    """
    path = parsed.csv or parsed.parquet
    if path is None:
        if options := given(parsed):
            raise UserError(f"{options[0]} belongs to a file: add --csv or --parquet FILE")
        return None
    asked = {name: value for name in WITH_FILE if (value := getattr(parsed, name)) is not None}
    for name in ("text", "label"):
        if name not in asked:
            raise UserError(f"{path}: say which column holds the {name}: --{name} COLUMN")
    for name, beside in (("delimiter", "parquet"), ("encoding", "parquet"), ("test_share", "test")):
        if name in asked and getattr(parsed, beside) is not None:
            raise UserError(
                f"--{name.replace('_', '-')} means nothing beside --{beside}: leave out one of them"
            )
    from lottery import data  # PyTorch takes its time

    if called:
        asked.setdefault("name", called)
    return data.from_file(path, parquet=parsed.parquet is not None, say=say, **asked)
