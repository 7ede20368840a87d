"""A figure as bytes: PNG for the page, SVG beside it, the same bytes every time."""

from __future__ import annotations

import io
import math
import re
from hashlib import sha256
from typing import Any

import matplotlib
from matplotlib.figure import Figure

WIDTH, DPI = 9.0, 150  # inches, shown at 100 dots an inch: 900 pixels, saved half as wide again
# Names in an SVG are hashes; with a salt of our own they are the same every time.
STEADY = {"svg.hashsalt": "lottery", "svg.fonttype": "path", "savefig.bbox": None}
CREATOR = f"matplotlib {matplotlib.__version__}"
NUMBER = re.compile(r"(-?\d+\.\d+)")


class Picture(Figure):
    """A figure that a notebook shows, crisp and 900 pixels wide, with no plotting state behind."""

    def __init__(self, height: float) -> None:
        """`height` in inches."""
        super().__init__(figsize=(WIDTH, height), layout="constrained")

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (int(100 * inches) for inches in self.get_size_inches())
        return png(self), {"width": width, "height": height}


def png(figure: Figure, beside: bytes = b"") -> bytes:
    """The figure as PNG, with the digest of the SVG `beside` it; no date is in it."""
    named = {"Comment": sha256(beside).hexdigest()} if beside else {}
    return _bytes(figure, "png", dpi=DPI, metadata={"Software": None, **named})


def svg(figure: Figure) -> bytes:
    """The figure as SVG, with words as outlines, and by which matplotlib; no date is in it."""
    return _bytes(figure, "svg", metadata={"Date": None, "Creator": CREATOR})


def both(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as PNG, and as the SVG that lies beside it."""
    written = svg(figure)
    figure.set_layout_engine("none")  # where the SVG has its parts, the PNG has them, too
    return png(figure, written), written


def is_same(drawn: bytes, wanted: bytes) -> bool | None:
    """Do two SVGs show the same? None: they are by different matplotlibs, and nobody can tell."""
    if CREATOR.encode() not in drawn:
        return None
    one, other = (NUMBER.split(content.decode()) for content in (drawn, wanted))
    if one[::2] != other[::2]:
        return False
    pairs = zip(one[1::2], other[1::2], strict=True)  # numbers, which a machine rounds its own way
    return all(math.isclose(float(a), float(b), rel_tol=1e-4, abs_tol=0.01) for a, b in pairs)


def is_of(picture: bytes, drawn: bytes) -> bool:
    """Was a PNG made with this SVG?"""
    return sha256(drawn).hexdigest().encode() in picture


def is_whole(name: str, content: bytes) -> bool:
    """Does a picture's file, PNG or SVG by its name, begin and end as it should?"""
    if name.endswith(".svg"):
        return content.startswith(b"<?xml") and content.rstrip().endswith(b"</svg>")
    return content.startswith(b"\x89PNG\r\n\x1a\n") and content[-8:-4] == b"IEND"


def _bytes(figure: Figure, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context(STEADY):
        figure.savefig(buffer, format=form, **options)
    return buffer.getvalue()
