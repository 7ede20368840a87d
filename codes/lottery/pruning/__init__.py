"""Weights to scores to masks to tickets: the mathematics, in pure functions.

A new score is one function and one line in `scores.SCORES`, a new arm one object in `arms.ARMS`;
from outside the package, one decorator (docs/extend.md).
"""
