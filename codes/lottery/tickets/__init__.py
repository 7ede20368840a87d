"""Tickets to take away: a folder that holds one, what it answers, and whether it is what it says.

Nothing here trains; `plain` imports nothing of this package.
"""
