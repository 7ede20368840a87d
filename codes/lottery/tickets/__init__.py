"""Tickets to take away: a folder that holds one, what it answers, and whether it is what it says.

Nothing here trains but `export`, where weights are gone; `plain` imports nothing of this package.
"""
