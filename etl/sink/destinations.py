"""The destinations that there are: what an author writes, and what `--output` may name.

A new format of files is a module and a line of `FORMATS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.declare.columns import Column, column
from etl.declare.destination import Destination
from etl.declare.mistakes import maker_of_rows
from etl.errors import ConfigurationError
from etl.redaction import redacted
from etl.sink.names import COMPRESSIONS, STANDARD_OUTPUT, is_standard_output

if TYPE_CHECKING:
    from etl.database.database import Database
    from etl.declare.pipeline import Pipeline
    from etl.sink.file_destination import FileDestination

FORMATS = {
    ".csv": "etl.sink.csv_file:Csv",
    ".jsonl": "etl.sink.json_lines:JsonLines",
    ".parquet": "etl.sink.parquet:Parquet",
}
"""The formats of files, by what their names end with; each is loaded when it is needed."""

_TO_STANDARD_OUTPUT = ".jsonl"
"""The format of rows on standard output, if none is named and the pipeline has none that can go there."""


# What an author writes -------------------------------------------------------------------------------


def table(
    name: str, key: str | Sequence[str] = (), columns: Mapping[str, Any] | None = None
) -> Destination:
    """A table of the database that has one row for each `key`, always the last that a feed had.

    `key` names a column, or several; without one, every row is added to the table, in every run. The
    columns are the record's members, or are given as `{"name": str, ...}`, of str, int, bool and float, in
    the order in which `row` returns them; with `X | None`, one may be null.
    """
    from etl.sink.table import Table

    return Table(
        name=name,
        key=(key,) if isinstance(key, str) else tuple(key),
        given=_columns(columns),
    )


def tables(reference: str) -> Destination:
    """Tables of the author's own, with a merge of their own: the `Store` at `package.module:NAME`."""
    from etl.sink.tables import Tables

    return Tables(reference=reference)


def parquet(
    columns: str | Mapping[str, Any] | None = None,
    file: str | Path | None = None,
    key: str | None = None,
) -> Destination:
    """A Parquet file, NAME.parquet unless a file is named.

    `columns` are as for `table`; or any that Parquet has, and how they are written: the `Columns` (of
    `etl.sink.arrow`) at `package.module:NAME`, which name the key themselves. Of rows with the same `key`,
    a column, the last holds.
    """
    if isinstance(columns, str):
        return _format(".parquet", reference=columns, output=_path(file), key=key)
    return _format(".parquet", given=_columns(columns), output=_path(file), key=key)


def lines(file: str | Path | None = None) -> Destination:
    """The records as they are in the feed, one a line; standard output unless a file is named."""
    return _format(".jsonl", output=_path(file), compression=_compression(file))


def csv(file: str | Path | None = None, columns: Mapping[str, Any] | None = None) -> Destination:
    """The rows as CSV; standard output unless a file is named. `columns` are as for `table`."""
    return _format(".csv", output=_path(file), compression=_compression(file), given=_columns(columns))


def _format(suffix: str, **settings: Any) -> FileDestination:
    module, _, name = FORMATS[suffix].partition(":")
    destination: FileDestination = getattr(importlib.import_module(module), name)(**settings)
    return destination


def _columns(given: Mapping[str, Any] | None) -> tuple[Column, ...] | None:
    return None if given is None else tuple(column(*item) for item in given.items())


def _path(file: str | Path | None) -> Path | None:
    return None if file is None else Path(file)


def _compression(file: str | Path | None) -> str | None:
    return None if file is None else COMPRESSIONS.get(Path(file).suffix.lower())


# For a run -------------------------------------------------------------------------------------------


def destination_of(pipeline: Pipeline, database: Database | None, output: Path | None) -> Destination:
    """Return where the rows of a pipeline go in a run: to `output` if it is named.

    Raises:
        ConfigurationError: there is no such format, or it cannot hold these rows.
    """
    destination = pipeline.destination if output is None else _at(output, pipeline.destination)
    try:
        destination.check(pipeline.record)
    except ValueError as error:
        raise ConfigurationError(f"--output {redacted(str(output))}: {error}") from None
    return destination.for_run(pipeline.record, maker_of_rows(pipeline), database)


def _at(output: Path, own: Destination) -> Destination:
    """Return the destination that a name means, for rows that otherwise go to the pipeline's `own`."""
    from etl.sink.file_destination import FileDestination
    from etl.sink.stream_destination import StreamDestination

    suffix, compression = _suffixes(output)
    if isinstance(own, FileDestination) and suffix in (own.suffix, None):
        if not isinstance(own, StreamDestination):
            if compression is None and not is_standard_output(output):
                return replace(own, output=output)
        else:
            return replace(own, output=output, compression=compression)
    if suffix is None and str(output) == STANDARD_OUTPUT:
        suffix = _TO_STANDARD_OUTPUT
    if suffix is None:
        raise ConfigurationError(
            f"--output {redacted(str(output))}: the name of the file says what it shall be: it ends with"
            f" {', '.join(FORMATS)}; the texts among them also with {' or '.join(COMPRESSIONS)} after that"
        )
    destination = _format(suffix, output=output, rows_of=own)
    if isinstance(destination, StreamDestination):
        return replace(destination, compression=compression)
    if is_standard_output(output) or compression is not None:
        what = "go to standard output" if is_standard_output(output) else "be compressed as a whole"
        raise ConfigurationError(f"--output {redacted(str(output))}: {destination.name} cannot {what}")
    return destination


def _suffixes(output: Path) -> tuple[str | None, str | None]:
    """Return the suffix of a format that a name has, if any, and the kind of compression after it."""
    name = output.name.lower()
    compression = None
    for end, kind in COMPRESSIONS.items():
        if name.endswith(end):
            name, compression = name.removesuffix(end), kind
    return next((suffix for suffix in FORMATS if name.endswith(suffix)), None), compression
