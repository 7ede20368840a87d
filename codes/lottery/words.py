"""The command's parser and its words: datasets, models, and where they must not stand."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from lottery.files import UserError, meant

# As the registries have them, which PyTorch would have to be imported for.
NAMES = {
    "dataset": "imdb, agnews, demo-reviews, demo-news",
    "model": "cnn, lstm",
    "arm": "lt, random, random_mask, shuffled, exchanged, finetune",
    "score": "magnitude, movement, magnitude_increase, taylor, snip, grasp, random",
}
COMMAND = re.compile(
    r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)"
)  # argparse's words
BEHIND = re.compile(r"argument (--[a-z-]+): invalid (\w+) value: '(.+)'")
NUMBERS = re.compile(r"[\d.,;%-]+")
FORM = {"int": "whole numbers", "float": "numbers such as 0.5"}


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line for a mistake, as everywhere, where argparse would print all options."""
        self.exit(2, f"lottery: {message}{_behind(message)} (see {self.prog} --help)\n")

    def parse_known_args(self, args=None, namespace=None):
        """A command refuses what it does not know itself, so that the line names its own help."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = next((word.partition("=")[0] for word in unknown if word[:2] == "--"), None)
            near = meant(option, self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
        return parsed, unknown


class Version(argparse.Action):
    """Print the package's version, which is looked up only when it is asked for."""

    def __call__(self, parser, *_: object) -> None:
        from importlib import metadata

        try:
            print(f"lottery {metadata.version('lottery')}")
        except metadata.PackageNotFoundError:
            raise UserError("lottery is not installed; pip install -e . in its folder") from None
        parser.exit()


def _behind(message: str) -> str:
    """A remedy where an option's list, as argparse has it, goes on with a dataset or model.

    And where its numbers are written in another way, or a command is misspelt.
    """
    if command := COMMAND.fullmatch(message):
        return meant(command[1], re.findall(r"\w+", command[2]))
    found = BEHIND.fullmatch(message)
    if not found:
        return ""
    option, kind, word = found.groups()
    if kind in FORM and NUMBERS.fullmatch(word):
        return f": write {FORM[kind]}, several with spaces between"
    return _remedy(option, word)


def divided(words: Sequence[str], arms: Sequence[str]) -> tuple[list[str], list[str]]:
    """The datasets and the models among `words`, each once; UserError for any other word.

    And for one of them that stands among the `arms`, and for a list with commas.
    """
    from lottery.data import DATASETS
    from lottery.models import MODELS
    from lottery.pruning.arms import ARMS

    for name in (*words, *arms):
        if "," in name:
            raise UserError(f"{name!r}: write {' '.join(name.replace(',', ' ').split())}")
    for name in words:
        if name not in DATASETS and name not in MODELS:
            raise UserError(
                f"{name!r} is no dataset ({', '.join(DATASETS)}) and no model ({', '.join(MODELS)})"
                f"{meant(name, [*DATASETS, *MODELS])}"
            )
    for name in arms:
        if name not in ARMS and (remedy := _remedy("--arm", name)):
            raise UserError(f"unknown arm {name!r}{remedy}")
    once = dict.fromkeys(words)
    return [name for name in once if name in DATASETS], [name for name in once if name in MODELS]


def _remedy(option: str, word: str) -> str:
    from lottery.data import DATASETS
    from lottery.models import MODELS

    return f": write {word} before {option}" if word in DATASETS or word in MODELS else ""
