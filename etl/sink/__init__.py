"""Rows go to where they shall be: one module a destination.

In: rows as a worker packs them. Out: tables or a file that hold all of them, or are as they were before.
Packed in the worker processes, written in the writer process.
"""
