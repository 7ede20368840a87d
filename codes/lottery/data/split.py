"""Rows to train, validation and test, by the texts and the split seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from lottery.files import UserError


def divide(
    texts: Sequence[bytes],
    labels: Sequence[int],
    official: Sequence[bool] | None,
    sizes: tuple[int, int, int],
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers of train, validation and test (int64 each), `sizes` rows in that order.

    Args:
        texts: a digest of every row's text; rows with equal digests are one text.
        labels: of every row; only orders rows of one text.
        official: which rows are the official test set; None if there is none.
        sizes: rows of train, validation and test.
        seed: another seed gives another split.

    Every text has a key, the hash of seed and text. Texts in order of their keys go, with all
    their rows, to the first of test, validation and train that has room for them. Where the test
    set is official it is kept whole, and other rows that repeat one of its texts go to validation
    before anything else. Inside a split rows stand in order of (key, label).

    Raises:
        UserError: repeated texts leave no way to these sizes.
    """
    groups: dict[bytes, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(text, []).append(row)
    salt = f"lottery split {seed} ".encode()
    keyed = sorted((hashlib.sha256(salt + text).digest(), rows) for text, rows in groups.items())

    names, room = (
        ("train", "valid", "test"),
        dict(zip(("train", "valid", "test"), sizes, strict=True)),
    )
    found: dict[str, list[int]] = {name: [] for name in names}
    rank = np.zeros(len(texts), np.int64)

    def put(name: str, rows: list[int]) -> None:
        found[name] += rows
        room[name] -= len(rows)

    free = []
    for number, (_, rows) in enumerate(keyed):
        rank[rows] = number
        held = [row for row in rows if official is not None and official[row]]
        if held:
            put("test", held)
            put("valid", [row for row in rows if not official[row]])
        else:
            free.append(rows)
    for rows in free:
        put(next((name for name in ("test", "valid") if len(rows) <= room[name]), "train"), rows)

    if any(room.values()):
        got = " / ".join(f"{len(found[name]):,}" for name in names)
        raise UserError(
            f"{len(texts):,} rows with {len(groups):,} different texts cannot be divided "
            f"{' / '.join(f'{size:,}' for size in sizes)} without parting rows of one text "
            f"(the nearest is {got}); remove repeated rows"
        )
    labels = np.asarray(labels)
    orders = (
        np.array(sorted(found[n], key=lambda r: (rank[r], labels[r])), np.int64) for n in names
    )
    return tuple(orders)
