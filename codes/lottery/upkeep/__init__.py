"""What is done and what is not, what no record needs, and whether the records are true.

Nothing here trains; `clean` alone removes, and never a record.
"""
