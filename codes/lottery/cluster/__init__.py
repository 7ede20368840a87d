"""The same plan on the same shelf by Dask: many processes, or many machines.

The caller alone writes records and weights; a worker drives `experiment.ladder` and sends back.
"""
