"""May two records be of one run, trained twice?"""

from __future__ import annotations

from math import sqrt

from lottery.runs.record import Record

# A rung whose weights are gone is trained again. On the same CPU and by the same code it comes out
# the same to the bit. Elsewhere sums are rounded otherwise, and an LSTM's training is chaotic: it
# ends as far away as another seed's. Further off than this, something else has changed.
ACCURACY_TOLERANCE = 0.01
LOSS_TOLERANCE = 0.05
# Of fewer test texts than this a point is less than ten, and chance alone may change more: another
# training answers up to a twentieth of them otherwise, each by itself.
MANY = 1000
CHANGED = 0.05


def is_near(before: Record, again: Record) -> bool:
    """May two records be of one run? To the bit on one machine and by one code, else nearly."""
    if before.failed or again.failed or _is_one_place(before, again):
        return is_same(before, again)
    accuracy, loss = tolerances(len(before.correct))
    return (
        abs(before.test_accuracy - again.test_accuracy) <= accuracy
        and abs(before.test_loss - again.test_loss) <= loss
    )


def tolerances(rows: int) -> tuple[float, float]:
    """By how much test accuracy and loss of one run may differ, of so many test texts.

    Of fewer than a thousand: four standard deviations of what chance changes, and ten texts at
    most; the loss, a mean, spreads with one over the root of their number.
    """
    texts = min(4 * sqrt(CHANGED * rows), ACCURACY_TOLERANCE * MANY)
    few = max(MANY / rows, 1.0)
    return max(texts / rows, ACCURACY_TOLERANCE), LOSS_TOLERANCE * sqrt(few)


def is_same(before: Record, again: Record) -> bool:
    """The same failure, or the same test to the bit."""
    return (before.failed, before.test_loss, before.test_correct) == (
        again.failed,
        again.test_loss,
        again.test_correct,
    )


def _is_one_place(before: Record, again: Record) -> bool:
    """Were both trained by one clean commit on one machine's CPU?"""

    def place(record: Record) -> tuple:
        return record.host, record.device, record.versions, record.commit

    is_clean = before.commit not in ("", "unknown") and not before.commit.endswith("+")
    return place(before) == place(again) and before.device.startswith("cpu") and is_clean
