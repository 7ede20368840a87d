"""What a run leaves: its record, and where records and weights are kept.

Records are written once and never again; a field may be added, with a default, and none changed.
"""
