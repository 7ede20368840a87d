"""Records to facts: frames, groups that may be averaged, intervals, states, costs. No English.

Change `verdict.py` to ask another question; how it is said is for `report`.
"""
