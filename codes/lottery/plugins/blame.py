"""What code from outside raises, in one line that names its place."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lottery.files import PACKAGE, UserError


@contextmanager
def blamed() -> Iterator[None]:
    """UserError for an error that a score, an arm or a model from outside makes; others as is."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # argparse's is of no such code
        if place := _place(error):
            raise UserError(f"{place}: {said(error)}") from error
        raise


def said(error: BaseException) -> str:
    """The kind and the words of an error, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def _place(error: BaseException) -> str | None:
    """File, line and its words, if the last to speak before PyTorch was no code of this package."""
    register = sys.modules.get("lottery.plugins.register")  # slow to import, and then not needed
    if register is None:
        return None
    files = register.files()
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename in files or PACKAGE in Path(frame.filename).parents
    ]
    if not frames or frames[-1].filename not in files:
        return None
    return f"{frames[-1].filename}, line {frames[-1].lineno}, `{frames[-1].line}`"
