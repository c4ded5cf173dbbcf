"""Sluice: your own records out of a giant JSON feed, into your database.

Bytes come in through `etl.source`, are cut into chunks by what `etl.shape` knows, looked at and decoded by
`etl.records`, and written by `etl.sink`; `etl.ledger` remembers each run. `etl.engine` moves them: one
reader process, the worker processes, one writer process. What a record is, which ones are wanted and where
they go is said by a pipeline (`etl.declare`).
"""

__version__ = "0.2.0"
