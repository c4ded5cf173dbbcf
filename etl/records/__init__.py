"""The bytes of a chunk become rows and rejects.

In: whole records, as bytes. Out: a count, the rows of those that are wanted, and what was rejected, after
every byte was checked. In the worker processes.
"""
