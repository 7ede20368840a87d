"""A file of scores, arms and models, read once."""

from __future__ import annotations

import traceback
from pathlib import Path

from lottery.files import UserError
from lottery.plugins.blame import said
from lottery.plugins.register import OUTSIDE
from lottery.plugins.source import run


def load(path: Path | str) -> list[tuple[str, str]]:
    """Run a file; give kind and name of what it registers. UserError names the line that fails."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"--plugin {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"--plugin {path}: is not UTF-8; name a file of Python") from None
    before = dict(OUTSIDE)
    try:
        run(text, str(path.resolve()))
    except UserError:
        raise
    except SyntaxError as error:
        raise UserError(f"--plugin {path}, line {error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = [f.lineno for f in frames if f.filename == str(path.resolve())]
        number = line[-1] if line else "?"
        raise UserError(f"--plugin {path}, line {number}: {said(error)}") from None
    found = [key for key, thing in OUTSIDE.items() if before.get(key) is not thing]
    if not found:
        raise UserError(
            f"--plugin {path}: registers nothing; write @lottery.score, @lottery.arm or "
            f"@lottery.model above a function or class"
        )
    return found
