"""Files that are whole or not there, tensors with a checksum, and mistakes a person can mend."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # PyTorch takes seconds to import, and the shell's commands need little of this
    from torch import Tensor

PACKAGE = Path(__file__).resolve().parent  # this package's sources

FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class UserError(Exception):
    """A mistake of the user's: one line that names the place and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback."""
        return [f"lottery: {self}"]


class Damaged(Exception):
    """The file is not what was written."""


def say(line: str) -> None:
    """Tell a person at the shell something that is no result, on a line above any bars."""
    bars = sys.modules.get("tqdm")  # who has not imported it shows none
    (bars.tqdm.write if bars else print)(line, file=sys.stderr)


def shown(value: object) -> str:
    """A value that a person gave, for the line that refuses it: whole or its beginning."""
    try:
        text = " ".join(repr(value).splitlines())
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "of thousands of digits"
    return text if len(text) <= 80 else f"{text[:79]}…"


def amount(number: int, one: str, many: str) -> str:
    """A number with its words, as in "1 row has" and "2 rows have"."""
    return f"{number:,} {one if number == 1 else many}"


def check_known(kind: str, name: Any, known: Iterable[str]) -> Any:
    """`name`, or a UserError if it is none of `known`."""
    known = list(known)
    if not isinstance(name, str) or name not in known:
        raise UserError(
            f"unknown {kind} {shown(name)}: there are {', '.join(known)}{meant(name, known)}"
        )
    return name


def meant(name: Any, known: Iterable[str]) -> str:
    """A question to stand behind the line that refuses a name; "" if none of `known` is near."""
    known = list(known)
    near = get_close_matches(name, known, 1) if isinstance(name, str) else []
    if near and len(begun := [one for one in known if one.startswith(name)]) == 1:
        near = begun
    return f"; did you mean {near[0]!r}?" if near else ""


def as_path(name: str, value: Any) -> Path:
    """A folder that a person gave, or a UserError if it is no path."""
    if not isinstance(value, (str, os.PathLike)):
        raise UserError(f"{name} {shown(value)} is no folder: give its path as a str or a Path")
    return Path(value)


def unwritable(path: Path, error: OSError) -> UserError:
    """What to tell a person whose `path` cannot be written."""
    remedy = "make room, then run the same again" if error.errno in FULL else "allow it"
    if error.errno == errno.ENOTDIR:
        remedy = "what it lies in is a file: name a folder"
    return UserError(f"{path}: cannot be written ({error.strerror}); {remedy}")


def check_writable(folder: Path) -> None:
    """UserError if nothing can be put into a folder, which need not be there and is not made."""
    there = next(path for path in (folder, *folder.parents, Path()) if os.path.exists(path))
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise unwritable(folder, error) from None


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
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        # With what the umask leaves. Not tempfile, whose 0600 would have to be widened: to know the
        # umask is to set it, for all threads, and two that do so at once can lose it.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        yield temporary
        sync(temporary)
        if overwrite:
            temporary.replace(path)
        else:
            _new(temporary, path)
        sync(path.parent)
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


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before anything else."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows cannot open a folder; its rename is durable enough
    # Windows syncs a file only where it may write it.
    handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if not is_folder or error.errno != errno.EINVAL:  # some shares cannot sync a folder
            raise
    finally:
        os.close(handle)


# Tensors and facts in one file: whole, with a checksum, and nothing in it can run code.

KINDS = {
    **{f"torch.float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"torch.int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{"torch.bfloat16": "BF16", "torch.uint8": "U8", "torch.bool": "BOOL"},
}


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write `tensors` and JSON-able `facts`, whole or not at all, with a checksum over both."""
    import safetensors.torch

    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, sort_keys=True)
    with whole(path) as temporary:
        metadata = {"facts": text, "sha256": digest(tensors, text)}
        # Not save_file: its error on a full disk is no OSError.
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))


def stream(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """The same, one tensor after the other: what is mapped from a file takes no memory.

    The form is that of safetensors: the header's length, the header, and the bytes of each tensor.
    """
    import torch

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, sort_keys=True)
    header: dict[str, Any] = {"__metadata__": {"facts": text, "sha256": digest(tensors, text)}}
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # aligned
    end = 0
    for name in order:
        start, end = end, end + tensors[name].numel() * tensors[name].element_size()
        kind, shape = KINDS[str(tensors[name].dtype)], list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with whole(path) as temporary, temporary.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in order:
            file.write(tensors[name].reshape(-1).view(torch.uint8).numpy())


def load(path: Path, **of: object) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of `path`; the tensors are mapped into memory, not read.

    Raises Damaged unless they are those that were saved, and the facts say what `of` says.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads(metadata["facts"])
        same = metadata["sha256"] == digest(tensors, metadata["facts"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__})") from None
    except safetensors.SafetensorError as error:
        raise Damaged(f"{path} cannot be read ({error})") from None
    if not same:
        raise Damaged(f"{path} has a wrong checksum")
    if any(facts.get(name) != value for name, value in of.items()):
        raise Damaged(f"{path} is of another run")
    return tensors, facts


def facts_of(path: Path) -> dict[str, Any]:
    """The facts of `path` alone, unchecked but for their form; raises Damaged."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            return dict(json.loads((file.metadata() or {})["facts"]))
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__})") from None


def set_aside(path: Path) -> None:
    """Rename a damaged file, so that it is neither read again nor lost."""
    try:
        with suppress(FileNotFoundError):
            path.replace(path.with_name(f"{path.name}.damaged"))
    except OSError as error:
        raise unwritable(path, error) from None


def digest(tensors: Mapping[str, Tensor], facts: str = "") -> str:
    """SHA-256 over names, types, shapes and values, and over `facts`."""
    import torch

    result = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        result.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        result.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return result.hexdigest()
