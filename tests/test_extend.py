"""Every block of docs/extend.md runs, in order, as a notebook's cells and a shell's lines."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from helpers.corpora import make_corpus
from helpers.plugins import nothing_left
from lottery import cli, study
from lottery.files import root
from lottery.pruning.scores import SCORES
from lottery.upkeep import commands

TEXT = (root() / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.process
def test_every_block_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for module in (study, commands):
        monkeypatch.setattr(module, "root", lambda: tmp_path)
    small = make_corpus()
    monkeypatch.setattr(study.Study, "corpus", property(lambda self: small))
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    main = sys.modules["__main__"]
    notebook, ran = shell(), []
    try:
        with nothing_left():
            for language, block in BLOCKS:
                if language == "python" and (name := re.match(r"# (\w+\.py)\n", block)):
                    (tmp_path / name[1]).write_text(block)
                elif language == "python":
                    done = notebook.run_cell(block, store_history=True)
                    assert done.success, (block, done.error_in_exec or done.error_before_exec)
                else:
                    for line in block.splitlines():
                        assert shlex.split(line)[0] == "lottery"
                        assert cli.main(shlex.split(line)[1:]) == 0, (line, capsys.readouterr())
                ran.append(language)
    finally:
        sys.modules["__main__"] = main
    assert ran.count("python") == 9 and ran.count("") == 2
    page = (tmp_path / "results" / "demo" / "week9.md").read_text(encoding="utf-8")
    assert "## Scores" in page and "| snip " in page and "| smallest " in page


def test_the_table_of_scores_names_them_all():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (trained|first values) \|", TEXT, re.MULTILINE)
    told = {name: of == "first values" for name, of in rows}
    assert told == {name: score.of_first for name, score in SCORES.items()}
