"""A ticket's files in fewer bytes, as .xz: `xz -dk *.xz` in the folder gives the files back."""

from __future__ import annotations

import lzma
from pathlib import Path

from lottery.files import UserError

ENDING = ".xz"
LIMIT = 1 << 30  # bytes of a file; a foreign one may hold few bytes that grow to many
# Of float32 the first bytes are alike, the others noise: told apart by their place of four.
FLOATS = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 2, "lp": 2, "pb": 2}
OTHERS = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}


def pack(content: bytes) -> bytes:
    """The shorter of two ways."""
    return min((lzma.compress(content, filters=[way]) for way in (FLOATS, OTHERS)), key=len)


def read(path: Path) -> bytes:
    """The content of a file, or of its packed form beside it; UserError if neither is in order."""
    try:
        if path.exists():
            return path.read_bytes()
        packed = path.with_name(path.name + ENDING)
        expander = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        content = expander.decompress(packed.read_bytes(), LIMIT)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); export it anew") from None
    except lzma.LZMAError:
        raise UserError(f"{packed}: was altered or is not whole; export it anew") from None
    if not expander.eof or expander.unused_data:
        raise UserError(f"{packed}: is not whole, or too long; export it anew")
    return content
