"""Records to pictures, readable in grey: every line has its own dashes, marker and name.

A drawing function gives None where the records hold nothing that it could show. A new picture is
one function in one module, a line here, its caption in `report.captions`, and the section that
shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lottery.report.figures.accuracy import decay_curve, sparsity_curve
from lottery.report.figures.forest import forest
from lottery.report.figures.layers import density_curve
from lottery.report.figures.learning import learning_curves
from lottery.report.figures.picture import Picture, both, png, svg
from lottery.report.figures.travel import travel_forest
from lottery.report.figures.words import word_curve
from lottery.runs.record import Record

__all__ = ["ACROSS", "PICTURES", "Picture", "both", "learning_curves", "png", "svg"]

Draw = Callable[[Iterable[Record]], Picture | None]

# Of the records of one dataset.
PICTURES: dict[str, Draw] = {
    "sparsity": sparsity_curve,
    "decay": decay_curve,
    "words": word_curve,
    "densities": density_curve,
}
# Of all records.
ACROSS: dict[str, Draw] = {"forest": forest, "travel": travel_forest}
