"""`--plugin` on the command line: the file is run before the options are made, which name it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise

from lottery.files import UserError


def plug(arguments: Sequence[str]) -> None:
    """Run the files of --plugin; UserError names one that cannot be."""
    files = [file for option, file in pairwise(arguments) if option == "--plugin"]
    files += [word.partition("=")[2] for word in arguments if word.startswith("--plugin=")]
    for file in files:
        if file.startswith("-"):
            raise UserError(f"--plugin {file}: is an option; write --plugin FILE")
        from lottery.plugins.load import load

        load(file)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--plugin",
        action="append",
        metavar="FILE",
        help="Python with scores, arms and models of your own (docs/extend.md); may be repeated",
    )


def own(kind: str) -> str:
    """What is plugged in of a kind, to stand behind the package's own names."""
    found = getattr(sys.modules.get("lottery.plugins.register"), "OUTSIDE", {})
    return "".join(f", {name}" for of, name in found if of == kind)
