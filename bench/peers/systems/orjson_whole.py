"""orjson: the whole document in memory, the rows into SQLite."""

import sys
from pathlib import Path

import orjson
import sqlalchemy as sa
from deals_table import deals, row


def main(feed: str, output: str, *wallets: str) -> None:
    """Insert the wallets' deals into an SQLite file."""
    document = orjson.loads(Path(feed).read_bytes())
    rows = [row(key, deal) for key, deal in document.items() if deal["Proposal"]["Client"] in wallets]
    engine = sa.create_engine(f"sqlite:///{output}")
    deals.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(deals), rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
