"""Whether the rows are right: all fields of all rows, against a full parse by the standard library."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

_BLOCK = 1 << 22
_BATCH = 100_000

SCHEMA = pa.schema(
    [
        ("deal_id", pa.int64()),
        *((name, pa.string()) for name in ("client", "provider", "label", "piece_cid")),
        ("piece_size", pa.int64()),
        ("verified", pa.bool_()),
        *((name, pa.string()) for name in ("price", "provider_collateral", "client_collateral")),
        *((name, pa.int64()) for name in ("start_epoch", "end_epoch", "sector_number")),
        *((name, pa.int64()) for name in ("sector_start_epoch", "last_updated_epoch", "slash_epoch")),
    ]
)
_OTHER_NAMES = {"client_id": "client"}


def truth(feed: Path) -> Path:
    """Return a Parquet file of every deal of a plain feed, which is one object."""
    path = feed.with_suffix(".truth.parquet")
    if not path.exists():
        part = path.with_suffix(".part")
        with feed.open(encoding="utf-8") as file, pa.parquet.ParquetWriter(part, SCHEMA) as writer:
            columns: list[list[Any]] = [[] for _ in SCHEMA]
            for key, deal in members(file):
                for column, value in zip(columns, _row(key, deal), strict=True):
                    column.append(value)
                if len(columns[0]) == _BATCH:
                    writer.write_table(pa.table(columns, schema=SCHEMA))
                    columns = [[] for _ in SCHEMA]
            writer.write_table(pa.table(columns, schema=SCHEMA))
        part.replace(path)
    return path


def members(file: TextIO, block: int = _BLOCK) -> Iterator[tuple[str, Any]]:
    """Yield the members of one object, as the standard library decodes them one after the other."""
    decode = json.JSONDecoder().raw_decode
    text, at = file.read(block), 1
    if text[:1] != "{":
        raise ValueError("not an object without white space")
    while text[at : at + 1] != "}":
        try:
            key, end = decode(text, at)
            value, end = decode(text, end + 1)
            end += text[end] == ","
        except (ValueError, IndexError):
            more = file.read(block)
            if not more:
                raise
            text, at = text[at:] + more, 0
        else:
            yield key, value
            at = end


def _row(key: str, deal: dict[str, Any]) -> tuple[Any, ...]:
    proposal, state = deal["Proposal"], deal["State"]
    return (
        int(key), proposal["Client"], proposal["Provider"], proposal.get("Label"),
        (proposal.get("PieceCID") or {}).get("/"), proposal["PieceSize"], proposal["VerifiedDeal"],
        proposal["StoragePricePerEpoch"], proposal["ProviderCollateral"], proposal["ClientCollateral"],
        proposal["StartEpoch"], proposal["EndEpoch"], state.get("SectorNumber"),
        state["SectorStartEpoch"], state["LastUpdatedEpoch"], state["SlashEpoch"],
    )  # fmt: skip


def right_rows(feed: Path, wallets: Sequence[str]) -> pa.Table:
    """Return the deals of some wallets, or all where none is named, in the order of their ids."""
    chosen = pyarrow.compute.field("client").isin(list(wallets)) if wallets else None
    return pyarrow.parquet.read_table(truth(feed), filters=chosen).sort_by("deal_id")


def rows_of(kind: str, output: Path) -> pa.Table:
    """Return what a system has written, in the same order, with the same types.

    Raises:
        ValueError: it cannot be read as rows of deals.
    """
    try:
        table = {"SQLite": _sqlite, "Parquet": _parquet, "lines": _lines}[kind](output)
        table = table.rename_columns([_OTHER_NAMES.get(name, name) for name in table.column_names])
        return table.select(SCHEMA.names).cast(SCHEMA).sort_by("deal_id")
    except (KeyError, pa.ArrowException, sqlite3.Error, OSError) as error:
        raise ValueError(f"{kind}: {error}") from error


def _sqlite(output: Path) -> pa.Table:
    connection = sqlite3.connect(output)
    try:
        found = connection.execute("SELECT * FROM deals")
        names = [_OTHER_NAMES.get(entry[0], entry[0]) for entry in found.description]
        return _table(dict(zip(names, row, strict=True)) for row in found)
    finally:
        connection.close()


def _lines(output: Path) -> pa.Table:
    with output.open(encoding="utf-8") as file:
        return _table(json.loads(line) for line in file)


def _table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    as_type = {pa.int64(): int, pa.bool_(): bool, pa.string(): str}
    columns: list[list[Any]] = [[] for _ in SCHEMA]
    for row in rows:
        for field, column in zip(SCHEMA, columns, strict=True):
            value = row[field.name]
            column.append(None if value is None else as_type[field.type](value))
    return pa.table(columns, schema=SCHEMA)


def _parquet(output: Path) -> pa.Table:
    files = sorted(output.rglob("*.parquet")) if output.is_dir() else [output]
    tables = [pyarrow.parquet.read_table(file) for file in files]
    return pa.concat_tables([table for table in tables if "deal_id" in table.column_names])


def fault(found: pa.Table, right: pa.Table) -> str:
    """Say how rows differ from the right ones; nothing if they do not."""
    if found.num_rows != right.num_rows:
        return f"{found.num_rows:,} rows of {right.num_rows:,}"
    columns = [name for name in SCHEMA.names if not found[name].equals(right[name])]
    return f"wrong {', '.join(columns)}" if columns else ""
