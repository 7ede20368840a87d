"""Run a notebook top to bottom and show its progress: python execute.py IN OUT [name=value ...]"""

from __future__ import annotations

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
    notebook = load_notebook_node(source)
    named = dict(value.split("=", 1) for value in values)
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
