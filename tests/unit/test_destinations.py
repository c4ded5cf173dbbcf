"""What destinations make of rows, without a run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, Optional

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from etl.database.target import Target
from etl.declare.columns import Column, columns_of
from etl.sink.compression import FRAME_BYTES, Compressed
from etl.sink.csv_file import Csv
from etl.sink.destinations import FORMATS, csv, lines, parquet, table, tables
from etl.sink.json_lines import compact
from etl.sink.names import is_standard_output
from etl.sink.table import Table


class Flat(msgspec.Struct):
    id: int
    name: str | None
    share: Optional[float]  # noqa: UP045 - as some still write it
    ok: bool = True


class Nested(msgspec.Struct):
    flat: Flat


def test_columns_are_the_records_members() -> None:
    assert columns_of(Flat) == (
        Column("id", "integer"),
        Column("name", "text", nullable=True),
        Column("share", "float", nullable=True),
        Column("ok", "boolean"),
    )


@pytest.mark.parametrize(
    ("kind", "shown"),
    [(dict, "dict"), (Nested, "Nested"), (list[int], "list[int]"), (int | str, "int | str"), (Any, "Any")],
)
def test_a_member_of_another_type_is_no_column(kind: Any, shown: str) -> None:
    record = msgspec.defstruct("Record", [("first", int), ("second", kind)])
    with pytest.raises(ValueError, match="the member second is of the type ") as refused:
        columns_of(record)
    assert shown in str(refused.value)


@pytest.mark.parametrize("destination", [table("t", key="id"), parquet(key="id"), csv(), lines()])
def test_columns_that_can_be_derived_need_not_be_given(destination: Any) -> None:
    destination.check(Flat)
    assert [column.name for column in destination.columns(Flat)] == ["id", "name", "share", "ok"]


def test_a_table_of_derived_columns_is_merged(tmp_path: Path) -> None:
    database = Target(f"sqlite:///{tmp_path}/x.db").database
    destination = table("flat", key="id").for_run(Flat, "the pipeline", database)
    assert isinstance(destination, Table)
    engine = database.engine()
    for share, counted in (
        (0.5, {"inserted": 2, "duplicates": 1}),
        (None, {"updated": 1, "duplicates": 1}),
    ):
        rows = [(10, 1, "a", 0.5, True), (30, 1, None, share, False), (20, 2, "b", 1.0, True)]
        with engine.connect() as connection:
            destination.store().schema.metadata.create_all(connection)
            connection.commit()
            staging = destination.open(connection, None, dry_run=False)
            counts: dict[str, int] = {}
            with connection.begin():
                staging.load([destination.pack(rows)])
                staging.finish()
                assert staging.count() == 3
                for step in staging.steps(1, None, whole=True):
                    affected = connection.execute(step.executable).rowcount
                    if step.counts is not None:
                        counts[step.counts] = affected
            assert {name: count for name, count in counts.items() if count} == counted
            query = sa.text("SELECT id, name, share, ok FROM flat ORDER BY id")
            assert connection.execute(query).all() == [(1, None, share, 0), (2, "b", 1.0, 1)]
    engine.dispose()


def test_destinations_differ_where_something_else_would_come_of_the_rows() -> None:
    declared = [
        destination.declared
        for destination in (
            table("t"), table("t", "id"), table("u"), table("t", columns={"id": int}), tables("a:B"),
            tables("a:C"), parquet(), parquet("a:B"), parquet(key="id"), csv(), csv("x.csv.gz"), lines(),
        )
    ]  # fmt: skip
    assert len({json.dumps(each) for each in declared}) == len(declared)


def test_every_format_has_its_suffix() -> None:
    for destination, suffix in ((csv(), ".csv"), (lines(), ".jsonl"), (parquet(), ".parquet")):
        assert suffix in FORMATS
        assert type(destination).suffix == suffix  # type: ignore[attr-defined]


def test_where_rows_go_unless_a_file_is_named() -> None:
    assert parquet().default_output("events") == Path("events.parquet")
    assert lines().default_output("events") == csv().default_output("events") == Path("-")
    assert lines("x.jsonl").default_output("events") == Path("x.jsonl")
    assert table("t").default_output("events") is None


@pytest.mark.parametrize(
    ("name", "is_it"),
    [("-", True), ("-.csv", True), ("-.csv.gz", True), ("./-.csv", True), ("x/-", False), ("-x", False)],
)
def test_what_stands_for_standard_output(name: str, is_it: bool) -> None:
    assert is_standard_output(Path(name)) == is_it


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(
    JSON, st.booleans(), st.sampled_from(["", " ", "\n", "\t \r\n"]), st.none() | st.sampled_from([0, 2])
)
def test_white_space_goes_and_tokens_stay(
    value: Any, escaped: bool, blank: str, indent: int | None
) -> None:
    wanted = json.dumps(value, ensure_ascii=escaped, separators=(",", ":"))
    spelled = json.dumps(
        value, ensure_ascii=escaped, indent=indent, separators=(f"{blank},{blank}", f"{blank}:{blank}")
    )
    assert compact(spelled.encode(errors="surrogatepass")) == wanted.encode(errors="surrogatepass")


@pytest.mark.parametrize(
    "value", [b'{"a" : "\\ud800 \\\\\\" x"}', b"[ 1E5 , -0 , 1.50 ]", b"[ " * 3000 + b"1" + b" ]" * 3000]
)
def test_what_the_decoder_does_not_take_is_written_as_well(value: bytes) -> None:
    wanted = value.replace(b" ", b"") if b"x" not in value else b'{"a":"\\ud800 \\\\\\" x"}'
    assert compact(value) == wanted


def test_null_and_the_empty_text_are_told_apart() -> None:
    destination = Csv().for_run(Flat, "the pipeline", None)
    packed = destination.pack(
        [(1, 7, None, 1e300, True), (2, -1, "", None, False), (3, 0, "a\r\n\nb", 0.1, True)]
    )
    assert packed[8:] == b'7,,1e+300,true\r\n-1,"",,false\r\n0,"a\r\n\nb",0.1,true\r\n'
    assert int.from_bytes(packed[:8]) == 3


class Kept:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.frames.append(data)

    def put_in_place(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("parts", [[], [b"a"], [b"x" * FRAME_BYTES, b"y"], [b"z" * 300_000] * 10])
def test_what_is_compressed_is_one_file(parts: list[bytes]) -> None:
    kept = Kept()
    output = Compressed(kept, "gzip")
    for part in parts:
        output.write(part)
    output.put_in_place()
    assert gzip.decompress(b"".join(kept.frames)) == b"".join(parts)
