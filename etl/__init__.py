"""Sluice: your own records out of a giant JSON feed, into your database.

Bytes come in through `etl.source`, are cut into chunks by what `etl.shape` knows, looked at and decoded by
`etl.records`, and written by `etl.sink`; `etl.ledger` remembers each run. `etl.engine` moves them: one
reader process, the worker processes, one writer process. What a record is, which ones are wanted and where
they go is said by a pipeline (`etl.declare`).

The names below are for authors of pipelines, and stable; what they stand for is imported when it is used.

    Record                          the base of record types
    pipeline                        declares a pipeline
    option                          an option that `etl run` gets for it
    Selection, Source               what its functions return: the records that are wanted, where a feed is
    Reject                          raised for a record that cannot be used
    table, tables                   where its rows go: a table like its records, or tables and their merge
    parquet, lines, csv             ... or a file
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from click import option as option
    from msgspec import Struct as Record

    from etl.declare.location import Source as Source
    from etl.declare.pipeline import Pipeline as pipeline
    from etl.declare.pipeline import Reject as Reject
    from etl.declare.pipeline import Selection as Selection

__version__ = "0.2.0"

_PUBLIC = {
    "Record": "msgspec:Struct",
    "Reject": "etl.declare.pipeline:Reject",
    "Selection": "etl.declare.pipeline:Selection",
    "Source": "etl.declare.location:Source",
    "csv": "etl.sink.destinations:csv",
    "lines": "etl.sink.destinations:lines",
    "option": "click:option",
    "parquet": "etl.sink.destinations:parquet",
    "pipeline": "etl.declare.pipeline:Pipeline",
    "table": "etl.sink.destinations:table",
    "tables": "etl.sink.destinations:tables",
}
"""Where each public name is."""

__all__ = ["Record", "Reject", "Selection", "Source", "option", "pipeline"]


def __getattr__(name: str) -> Any:
    """Import what a public name stands for.

    Raises:
        AttributeError: there is no such name.
    """
    from importlib import import_module

    if name not in _PUBLIC:
        known = ", ".join(sorted(_PUBLIC))
        raise AttributeError(f"etl has no {name}; for pipelines it has {known}")
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
