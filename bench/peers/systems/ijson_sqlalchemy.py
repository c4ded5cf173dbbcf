"""ijson and SQLAlchemy by the book: a loop over the records, inserts in batches, from a zstd stream."""

import itertools
import sys

import ijson
import sqlalchemy as sa
import zstandard
from deals_table import deals, row

BATCH = 1_000


def main(feed: str, output: str, *wallets: str) -> None:
    """Insert the wallets' deals into an SQLite file."""
    engine = sa.create_engine(f"sqlite:///{output}")
    deals.create(engine)
    with zstandard.open(feed, "rb") as stream, engine.begin() as connection:
        found = (
            row(key, deal)
            for key, deal in ijson.kvitems(stream, "")
            if deal["Proposal"]["Client"] in wallets
        )
        while batch := list(itertools.islice(found, BATCH)):
            connection.execute(sa.insert(deals), batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
