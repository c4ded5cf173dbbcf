"""ClickHouse's local engine (chdb): the object to JSON lines, which other systems need."""

import sys

import chdb
from clickhouse import STRUCTURE


def main(feed: str, output: str) -> None:
    """Write every deal as a line, with its id as `DealID`."""
    chdb.query(f"""
        INSERT INTO FUNCTION file('{output}', JSONEachRow)
        SELECT Proposal, State, DealID
        FROM file('{feed}', JSONObjectEachRow, 'DealID String, {STRUCTURE}')
        SETTINGS format_json_object_each_row_column_for_object_name = 'DealID',
            output_format_json_quote_64bit_integers = 0
    """)


if __name__ == "__main__":
    main(*sys.argv[1:])
