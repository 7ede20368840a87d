"""What to run, what it stands on, and the method itself: train, prune, rewind, train again.

Read `ladder.py` first. Every engine (this process, jobs, a cluster) drives `ladder.climb`.
"""
