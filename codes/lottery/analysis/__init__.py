"""Records to facts: one table of all runs, which may be averaged, intervals, verdicts, costs.

No English and no picture is made here; what is computed, the report draws.
"""
