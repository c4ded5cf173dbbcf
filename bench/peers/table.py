"""What is compared: every system as data, with what it reads, what it writes, and its command.

In a command `{feed}`, `{output}`, `{etl}`, `{python}` (that of `.venv-peers`), `{here}` (the scripts) and
`{epoch}` are filled in; `WALLETS` becomes the wallets, and `CLIENTS` them as options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bench.workbench import DENSE

SMALL = 10
"""What takes the whole document into memory is given so much less of it."""


@dataclass(frozen=True)
class System:
    """One system, with one kind of input."""

    name: str
    reads: Literal[".zst", "plain", "lines", "lines .zst"]
    command: tuple[str, ...]
    writes: Literal["nothing", "SQLite", "Parquet", "lines", "JSON lines"]
    """Lines are its standard output, and JSON lines a document that is only counted."""
    needs: str = ""
    """The distribution it needs in `.venv-peers`, `$ COMMAND` of the machine, or a pipeline of `etl`."""
    small: bool = False
    """Whether it reads the smaller feed."""

    @property
    def label(self) -> str:
        """The name and the input."""
        return f"{self.name}, {self.reads}"


@dataclass(frozen=True)
class Group:
    """Systems that do the same work."""

    name: str
    title: str
    systems: tuple[System, ...]
    every: bool = False
    """Whether all records are wanted."""
    wallets: tuple[str, ...] = ()
    """Whose deals are wanted; none leaves it to who runs it."""


def _script(file: str, *more: str) -> tuple[str, ...]:
    return ("{python}", "{here}/" + file, "{feed}", "{output}", *more)


_ETL = (
    "{etl}", "run", "deals", "--source", "{feed}", "--database", "sqlite:///{output}", "CLIENTS",
    "--head-epoch", "{epoch}", "--quiet", "--json",
)  # fmt: skip
_MARKET = (
    "{etl}", "run", "market_deals", "--source", "{feed}", "--output", "{output}",
    "--database", "sqlite:///{output}.db", "--quiet",
)  # fmt: skip
_CLICKHOUSE = _script("clickhouse.py", "WALLETS")
_DUCK = _script("duck.py", "WALLETS")
_POLARS = _script("polars_lines.py", "WALLETS")
_IJSON = _script("ijson_sqlalchemy.py", "WALLETS")
_JQ = ("jq", "-c", "-f", "{here}/rows.jq", "{feed}", "--args", "WALLETS")

ZSTD = System("zstd -dc", ".zst", ("zstd", "-dc", "{feed}"), "nothing", "$ zstd")

WANTED = Group(
    "wanted",
    "Three wallets' deals",
    (
        System("etl", ".zst", _ETL, "SQLite"),
        System("etl", "plain", _ETL, "SQLite"),
        System("ClickHouse local", ".zst", _CLICKHOUSE, "Parquet", "chdb"),
        System("ClickHouse local", "plain", _CLICKHOUSE, "Parquet", "chdb"),
        System("DuckDB", "lines", _DUCK, "Parquet", "duckdb"),
        System("DuckDB", "lines .zst", _DUCK, "Parquet", "duckdb"),
        System("Polars", "lines", _POLARS, "Parquet", "polars"),
        System("ijson and SQLAlchemy", ".zst", _IJSON, "SQLite", "ijson"),
        System("jq", "plain", _JQ, "lines", "$ jq", small=True),
        System("orjson", "plain", _script("orjson_whole.py", "WALLETS"), "SQLite", "orjson", small=True),
    ),
)

MANY = replace(WANTED, name="dense", title="Three other wallets' deals, one in six", wallets=DENSE)

CONVERTED = Group(
    "converted",
    "The object into JSON lines, which a system that reads lines needs beforehand",
    (System("ClickHouse local", ".zst", _script("clickhouse_lines.py"), "JSON lines", "chdb"),),
)

EVERY = Group(
    "every",
    "Every record into Parquet",
    (
        System("etl market_deals", ".zst", _MARKET, "Parquet", "pipeline market_deals"),
        System("ClickHouse local", ".zst", _script("clickhouse.py"), "Parquet", "chdb"),
        System("DuckDB", "lines", _script("duck.py"), "Parquet", "duckdb"),
        System("Polars", "lines", _script("polars_lines.py"), "Parquet", "polars"),
        System("pyarrow.json", "lines", _script("arrow_lines.py"), "Parquet", "pyarrow"),
    ),
    every=True,
)

GROUPS = (WANTED, MANY, CONVERTED, EVERY)
