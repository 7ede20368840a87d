"""A model and a ticket to trained weights: Adam, one epoch, the best epoch and the test, resume.

A loop is changed here; what is trained, and from what, is said by `experiment`.
"""
