"""Files that are whole or not there, and mistakes a person can mend."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent  # this package's sources

FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class UserError(Exception):
    """A mistake of the user's: one line that names the place and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback."""
        return [f"lottery: {self}"]


def unwritable(path: Path, error: OSError) -> UserError:
    """What to tell a person whose `path` cannot be written."""
    remedy = "make room, then run the same again" if error.errno in FULL else "allow it"
    return UserError(f"{path}: cannot be written ({error.strerror}); {remedy}")


def root() -> Path:
    """Repository this package is installed from in place; the working directory otherwise."""
    codes = PACKAGE.parent
    return codes.parent if codes.name == "codes" else Path.cwd()


@contextmanager
def whole(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it there once the block ends without an error.

    A reader sees the old file or the new one, never a part of either. Without `overwrite` a file
    that is there already stays, and FileExistsError is raised.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise unwritable(path, error) from None
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp gives 0600
        _sync(temporary)
        if overwrite:
            temporary.replace(path)
        else:
            _new(temporary, path)
        _sync(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str, overwrite: bool = True) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole(path, overwrite) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, fails if another process was first
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if path.exists():  # a file system without links: the lock on the run must do
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder; its rename is durable enough
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
