"""What a file looks like to others once it is whole."""

from __future__ import annotations

import errno
import os
import stat
import sys

import pytest
import torch
from tqdm import tqdm

from lottery import files
from lottery.files import amount, digest, say, sync, write_whole


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
def test_a_file_has_the_mode_that_the_umask_leaves(tmp_path, monkeypatch):
    path, set_umask = tmp_path / "new" / "file", os.umask

    def touched(mask: int) -> int:
        raise AssertionError("the umask is that of all threads")

    before = set_umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", touched)
        for overwrite in (False, True):
            write_whole(path, "text", overwrite)
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        set_umask(before)
    assert [other.name for other in path.parent.iterdir()] == ["file"]
    with pytest.raises(FileExistsError):
        write_whole(path, "more", overwrite=False)
    assert path.read_text() == "text"


@pytest.mark.skipif(sys.platform == "win32", reason="it syncs no folder")
def test_a_folder_that_a_share_cannot_sync_is_no_error_and_a_file_is(tmp_path, monkeypatch):
    def unable(handle):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unable)
    sync(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="Invalid argument"):
        sync(tmp_path / "file")


def test_one_is_no_plural():
    said = [amount(number, "row has", "rows have") for number in (0, 1, 2, 1000)]
    assert said == ["0 rows have", "1 row has", "2 rows have", "1,000 rows have"]


def test_a_line_stands_above_a_bar(capsys):
    with tqdm(total=1):
        say("a checkpoint is set aside")
    assert "\ra checkpoint is set aside\n" in capsys.readouterr().err


def test_a_digest_is_of_names_types_shapes_and_values():
    one = {"w": torch.zeros(2, 3)}
    others = {"v": one["w"]}, {"w": torch.zeros(3, 2)}, {"w": torch.ones(2, 3)}
    others += {"w": torch.zeros(2, 3, dtype=torch.int32)}, one | {"v": torch.zeros(0)}
    found = [digest(one), digest(one, "{}"), *map(digest, others)]
    assert len(set(found)) == len(found)
    assert digest({"w": torch.zeros(3, 2).T}) == digest(one), "however it lies in memory"


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, done, sync = tmp_path / "x.json", [], files.sync
    monkeypatch.setattr(
        files, "sync", lambda of: done.append((of.name[:2], path.exists())) or sync(of)
    )
    for overwrite in (False, True):
        path.unlink(missing_ok=True)
        done.clear()
        files.write_whole(path, "{}", overwrite)
        assert done == [(".x", False), (tmp_path.name[:2], True)]
