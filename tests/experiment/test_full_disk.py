"""Without room no file is damaged, one line says what is missing, and with room it goes on."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from helpers.children import Child, limit_files, run, study
from helpers.stores import same
from lottery import files
from lottery.files import UserError
from lottery.report import page as report
from lottery.runs.store import Store
from lottery.upkeep.verify import verify

pytestmark = pytest.mark.process


def whole(store: Store) -> None:
    assert store.records()[1] == []
    for path in store.root.glob("checkpoints/*/*/*.safetensors"):
        files.load(path)
    assert list(store.root.rglob("*.tmp")) == [], "not even a temporary file takes room"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_file_that_may_not_grow(tmp_path):
    quiet = study(tmp_path / "quiet", epochs=3)
    quiet.run()
    store = Store(tmp_path / "demo")
    sizes = {}
    for path in quiet.store.root.rglob("*.*"):
        sizes.setdefault(path.suffix, []).append(path.stat().st_size)
    for number, (size, missing) in enumerate(
        [
            (min(sizes[".json"]) // 2, ".state.safetensors"),
            (max(sizes[".safetensors"]) - 1, ".state.safetensors"),
        ]
    ):
        child = Child(run(store.root, epochs=3), tmp_path / f"log{number}", limit_files, size)
        assert child.wait() == 2
        (line,) = [line for line in child.said if "cannot be written" in line]
        assert missing in line and "make room, then run the same again" in line
        assert "Traceback" not in child.log.read_text()
        whole(store)
    assert store.paths() == []
    child = Child(run(store.root, epochs=3), tmp_path / "log")
    assert child.wait() == 0, child.said
    same(store, quiet.store)
    child = Child(["report", "--results", str(store.root)], tmp_path / "report", limit_files, 300)
    assert child.wait() == 2
    assert "make room" in child.said[-1]
    whole(store)
    report.write(store, say=[].append)
    assert verify(store)[1] == []


@pytest.mark.parametrize("ending", [".state.safetensors", "safetensors", ".json", ".lock"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_disk_that_is_full_at_any_file(tmp_path, monkeypatch, ending, number):
    """Each kind of file, the first or the second time it is written."""
    store = Store(tmp_path / "results")
    count = [0]

    def full(name: str) -> bool:
        kind = name if name.endswith(".lock") else name[1:].split(".", 1)[1].rsplit(".", 2)[0]
        if kind == ending.lstrip(".") or name.endswith(ending):
            count[0] += 1
        return count[0] == number and (kind == ending.lstrip(".") or name.endswith(ending))

    write, open_ = Path.write_bytes, os.open

    def half(self: Path, content: bytes) -> int:
        if full(self.name):
            write(self, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return write(self, content)

    def opened(path, *more, **options):
        if str(path).endswith(".lock") and full(Path(path).name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return open_(path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        patch.setattr(os, "open", opened)
        with pytest.raises(UserError) as caught:
            study(store.root, arms=("lt",)).run()
    line = str(caught.value)
    assert "\n" not in line
    assert ending in line
    assert "No space left on device); make room, then run the same again" in line
    whole(store)
    study(store.root, arms=("lt",)).run()
    quiet = study(tmp_path / "quiet", arms=("lt",))
    quiet.run()
    same(store, quiet.store)
