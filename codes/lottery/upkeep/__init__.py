"""What is done and what is not, what a command would train, what no record needs, whether the
records are true, and folders that were filled apart come to one.

Nothing here trains; `clean` alone removes, and never a record.
"""
