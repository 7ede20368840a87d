"""The numba that models and Adam stand on: arrays in, arrays out, exact to rounding.

No mathematics of tickets is here. Sums have one order, whatever the threads or the batch.
"""
