"""By which code a record says that it was made."""

from __future__ import annotations

import re
import subprocess

from lottery.files import root
from lottery.runs import provenance


def test_a_commit_is_this_projects_or_unknown(tmp_path, monkeypatch):
    """Installed within another project's checkout, as into its .venv, this one has no commit."""
    if (root() / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}\+?", provenance.commit.__wrapped__())
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "another"], check=True)
    package = tmp_path / ".venv" / "lottery"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    assert provenance.commit.__wrapped__() == "unknown"
