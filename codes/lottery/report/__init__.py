"""Facts to the report: the answer's grid, tables, figures, the page. Nothing is decided here.

What stands here is what a notebook shows of its records.
"""

from lottery.report.evidence import conditions, differences, savings
from lottery.report.figures import learning_curves
from lottery.report.figures.accuracy import sparsity_curve
from lottery.report.figures.words import word_curve
from lottery.report.grid import answer
from lottery.report.scores import scores
from lottery.report.tables import after, before, rungs

__all__ = [
    "after",
    "answer",
    "before",
    "conditions",
    "differences",
    "learning_curves",
    "rungs",
    "savings",
    "scores",
    "sparsity_curve",
    "word_curve",
]
