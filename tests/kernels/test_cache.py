"""A compiled kernel is used again only while every kernel that is compiled into it is the same."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from lottery import kernels

PROGRAM = "from lottery import kernels; from numba import config; print(config.CACHE_DIR)"


@pytest.mark.process
def test_another_file_beside_it_makes_another_cache(tmp_path):
    package = tmp_path / "lottery"
    shutil.copytree(kernels.HERE, package / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").touch()

    def cache() -> str:
        command = [sys.executable, "-c", PROGRAM]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    before = cache()
    assert before == cache() and before.startswith(str(package / "kernels"))
    with (package / "kernels" / "vectors.py").open("a", encoding="utf-8") as file:
        file.write("\n# another tile\n")
    assert cache() != before
