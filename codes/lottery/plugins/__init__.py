"""Scores, arms and models from outside the package: decorators, their sources, and the digests
that make the code a part of a run's name. What they plug into is said by `pruning` and `models`.
"""
