"""Sluice: your own records out of a giant JSON feed, into your database.

Bytes come in through `etl.source`, are cut into chunks by the reader process (`etl.reader`), looked at
and decoded by the worker processes (`etl.worker`), and written by the single writer process
(`etl.writer`). `etl.supervisor` starts, watches and stops them. The package is mechanism: what a
record is, which ones are wanted and which tables they go to is said by a module of `pipelines`.
"""

__version__ = "0.1.0"
