"""Rows to train, validation and test, by the texts and the split seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from lottery.files import UserError, amount

TRAIN, VALID, TEST = range(3)


def divide(
    texts: Sequence[bytes] | np.ndarray,
    labels: Sequence[int],
    official: Sequence[bool] | None,
    sizes: tuple[int, int, int],
    seed: int,
    exact: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers of train, validation and test (int64 each), `sizes` rows in that order.

    Args:
        texts: a digest of every row's text, 32 bytes; rows with equal digests are one text.
        labels: of every row; only orders rows of one text.
        official: which rows are the official test set; None if there is none.
        sizes: rows of train, validation and test.
        seed: another seed gives another split.
        exact: are sizes that repeated texts forbid an error? Else they are as near as can be.

    Every text has a key, the hash of seed and text. Texts in order of their keys go, with all
    their rows, to the first of test, validation and train that has room for them. Where the test
    set is official it is kept whole, and other rows that repeat one of its texts go to validation
    before anything else. Inside a split rows stand in order of (key, label).

    Raises:
        UserError: repeated texts leave no way to these sizes.
    """
    labels = np.asarray(labels)
    held = np.zeros(len(labels), bool) if official is None else np.asarray(official, bool)
    different, text = np.unique(digests(texts), return_inverse=True)
    text = text.reshape(-1)  # numpy 2.0 keeps the shape of its input
    salt = f"lottery split {seed} ".encode()
    keys = digests([hashlib.sha256(salt + digest.tobytes()).digest() for digest in different])
    order = np.argsort(keys)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))

    is_held = np.bincount(text, held, len(different)) > 0  # texts of the official test set
    place = np.full(len(different), VALID, np.int8)
    counts = np.bincount(text, minlength=len(different))
    room = dict(zip((TRAIN, VALID, TEST), sizes, strict=True))
    room[TEST] -= int(held.sum())
    room[VALID] -= int(counts[is_held].sum() - held.sum())
    for free in order[~is_held[order]].tolist():
        count = int(counts[free])
        place[free] = to = next((to for to in (TEST, VALID) if count <= room[to]), TRAIN)
        room[to] -= count

    where = np.where(held, TEST, place[text])
    if exact and any(room.values()):
        got = " / ".join(f"{int((where == number).sum()):,}" for number in range(3))
        raise UserError(
            f"{amount(len(text), 'row', 'rows')} with "
            f"{amount(len(different), 'different text', 'different texts')} cannot be divided "
            f"{' / '.join(f'{size:,}' for size in sizes)} without parting rows of one text "
            f"(the nearest is {got}); remove repeated rows"
        )
    inside = np.lexsort((labels, rank[text]))
    return tuple(inside[where[inside] == number] for number in range(3))


def digests(found: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """32 bytes each as an array of them; they sort as bytes do."""
    return found if isinstance(found, np.ndarray) else np.frombuffer(b"".join(found), "V32")
