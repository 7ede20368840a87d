"""What is written as a folder is on the disk before it has its name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lottery import Ticket
from lottery.files import root
from lottery.tickets import folder as folders


@pytest.mark.skipif(sys.platform == "win32", reason="it syncs no folder")
def test_files_then_the_folder_then_its_name(tmp_path, monkeypatch):
    contents = Ticket.load(root() / "results" / "tickets" / "agnews-cnn").contents
    done, fsync, rename = [], os.fsync, Path.replace

    def synced(handle):
        done.append(os.fstat(handle).st_ino)
        fsync(handle)

    def renamed(self, target):
        done.append("renamed")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    folders.write(tmp_path / "out", contents, "card")
    files = {path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    folder, parent = (path.stat().st_ino for path in (tmp_path / "out", tmp_path))
    assert set(done[: len(files)]) == files
    assert done[len(files) :] == [folder, "renamed", parent]
