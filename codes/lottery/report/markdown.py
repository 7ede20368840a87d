"""Words to markdown: a DataFrame as a table, lines as a list. A page is blocks of these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

# Columns of words are set from the left, figures from the right.
LEFT = {
    "Model",
    "Pair",
    "Dataset",
    "Report",
    "Arm",
    "Differs in",
    "Condition",
    "Source",
    "Recipe",
    "Class",
}
LEFT |= {
    "Score",
    "Of",
    "Ladder",
    "Network",
    "Networks",
    "Protocol",
    "They report",
    "From → to",
    "Difference",
}


def literal(name: str) -> str:
    """A name that others gave, as markdown leaves it: as code if it holds more than words."""
    if re.fullmatch(r"[^\W_]+(?:[ /,.-]+[^\W_]+)*", name):
        return name
    text = name if name.isprintable() else repr(name)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " * (text.startswith("`") or text.endswith("`"))
    return f"{fence}{pad}{text}{pad}{fence}"


def bulleted(lines: Iterable[str]) -> str:
    """Lines as a list."""
    return "\n".join(f"- {line}" for line in lines)


def markdown(frame: pd.DataFrame) -> str:
    """The frame as an aligned markdown table, the index its first column."""
    rows = [[str(frame.columns.name), *frame.columns]]
    rows += [[str(name), *map(str, row)] for name, *row in frame.itertuples(name=None)]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    columns = [_aligned(column, left=column[0] in LEFT) for column in zip(*rows, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))


def table(heading: str, frame: pd.DataFrame) -> list[str]:
    """A table under its heading; nothing if it has no row."""
    return [heading, markdown(frame)] if len(frame) else []


def _aligned(column: Sequence[str], left: bool) -> list[str]:
    """The cells of a column at one width, the markdown rule below the first."""
    width = max(map(len, column))
    cells = [cell.ljust(width) if left else cell.rjust(width) for cell in column]
    return [cells[0], "-" * width if left else "-" * (width - 1) + ":", *cells[1:]]
