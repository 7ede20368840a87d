"""Run a notebook top to bottom and show its progress: python execute.py IN OUT [name=value ...]"""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from lottery.files import write_whole


class Client(NotebookClient):
    """Passes on what the bars of the notebook show, which would else be seen only afterwards."""

    def process_message(self, message, cell, cell_index):
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "update_display_data" and sys.stderr.isatty():
            line = content["data"].get("text/plain", "")
            sys.stderr.write(f"\r\033[K{line[: os.get_terminal_size(2).columns - 1]}")
        elif kind == "stream":
            sys.stderr.write(content["text"])
        sys.stderr.flush()
        return super().process_message(message, cell, cell_index)


def main(source: str, target: str, *values: str) -> int:
    if not Path(source).is_file():
        return _refused(f"{source}: is not there; name a notebook")
    notebook = load_notebook_node(source)
    known = _known(notebook)
    if wrong := [value for value in values if "=" not in value]:
        return _refused(f"{wrong[0]!r} sets nothing; write name=value, e.g. seeds=[0]")
    named = dict(value.split("=", 1) for value in values)
    if strange := [name for name in named if name not in known]:
        return _refused(f"{source}: no parameter {strange[0]!r}; there are {', '.join(known)}")
    if named:
        parameters = {name: _value(text) for name, text in named.items()}
        notebook = parameterize_notebook(notebook, parameters)
    _plain(notebook)
    client = Client(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(Path(source).parent)}},
        record_timing=False,  # an unchanged result is an unchanged file
    )
    status = 0
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"\n{source}: {error.ename}: {error.evalue}", file=sys.stderr)
        status = 1
        target = str(Path(target).with_suffix(".failed.ipynb"))  # the last good one stays
    notebook.metadata.get("language_info", {}).pop("version", None)
    write_whole(Path(target), nbformat.writes(notebook) + "\n")
    print(f"\n{target}", file=sys.stderr)
    return status


def _refused(line: str) -> int:
    print(line, file=sys.stderr)
    return 2


def _known(notebook: nbformat.NotebookNode) -> list[str]:
    """The names that the cell of parameters gives values to; any other would change nothing."""
    cells = [c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    names = [n for n in ast.walk(ast.parse("\n".join(cells))) if isinstance(n, ast.Name)]
    names.sort(key=lambda name: (name.lineno, name.col_offset))
    return list(dict.fromkeys(name.id for name in names if isinstance(name.ctx, ast.Store)))


def _plain(notebook: nbformat.NotebookNode) -> None:
    """Take out what papermill notes down for itself: paths and empty tags."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if not cell.metadata.get("tags", True):
            cell.metadata.pop("tags")


def _value(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
