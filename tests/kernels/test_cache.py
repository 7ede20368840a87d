"""A compiled kernel is used again only while every kernel that is compiled into it is the same."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import subprocess
import sys

import pytest
from numba.core.registry import CPUDispatcher

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


def test_each_kernel_has_a_place_of_its_own_in_the_cache():
    """Numba names it by a function's name and first line: the same function, compiled once for
    many threads and once for one, would take whichever came first."""
    found = {}
    for module in pkgutil.iter_modules(kernels.__path__):
        for kernel in vars(importlib.import_module(f"lottery.kernels.{module.name}")).values():
            if isinstance(kernel, CPUDispatcher):
                code = kernel.py_func.__code__
                found.setdefault((code.co_filename, code.co_firstlineno), set()).add(id(kernel))
    assert len(found) > 20 and all(len(same) == 1 for same in found.values())
