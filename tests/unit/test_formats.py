"""What is no JSON, or not laid out as a feed, is named with what would help."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from etl.declare.location import Source
from etl.errors import DataError, MalformedFeed
from etl.shape.head import learn
from etl.source.feed import open_feed

RECORD = {"Proposal": {"Client": "f01"}, "State": {}}
FEED = json.dumps({"1": RECORD, "2": RECORD}).encode()


def refused(head: bytes, complete: bool = True) -> str:
    with pytest.raises(DataError) as caught:
        learn(head, complete, "Proposal", ("result",), ("Proposal", "State"))
    assert isinstance(caught.value, MalformedFeed)
    assert caught.value.message.isprintable()
    return caught.value.message


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("feed.json")
        member.size = len(FEED)
        archive.addfile(member, io.BytesIO(FEED))
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("feed.json", FEED)
    return file.getvalue()


def written(write: Any) -> bytes:
    file = pa.BufferOutputStream()
    write(pa.table({"a": [1]}), file)
    content: bytes = file.getvalue().to_pybytes()
    return content


def database(folder: Path) -> bytes:
    with sqlite3.connect(folder / "db") as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    return (folder / "db").read_bytes()


FORMATS = {
    "an xz file: unpack it first, such as by “xz -dc FILE |": lzma.compress(FEED),
    "an LZMA file": lzma.compress(FEED, lzma.FORMAT_ALONE),
    "a zip archive: unpack it first, such as by “unzip -p FILE | etl run ... --source -”": zipped(),
    "a tar archive": tar(),
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(30),
    "a snappy stream": b"\xff\x06\0\0sNaPpY\0",
    "a zlib stream": zlib.compress(FEED),
    "a Parquet file": written(pa.parquet.write_table),
    "an ORC file": written(pa.orc.write_table),
    "an Arrow file": written(pa.feather.write_feather),
    "an Avro file": b"Obj\x01\x04",
    "compressed once more": gzip.compress(FEED),
    "compressed once more: unpack": bz2.compress(FEED),
    "an HTML page": b"\n<!DOCTYPE HTML>\n<html><title>canary: log in</title>",
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
    "zeros": bytes(4096),
    "UTF-16": FEED.decode().encode("utf-16"),
    "iconv": FEED.decode().encode("utf-16-le"),
}


@pytest.mark.parametrize("said", FORMATS)
def test_another_format_is_named(said: str) -> None:
    message = refused(FORMATS[said])
    assert said.partition(":")[0] in message
    assert said in message or "compressed" in said
    assert "canary" not in message


def test_a_database_is_named(tmp_path: Path) -> None:
    assert "an SQLite database" in refused(database(tmp_path))


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"data": {"items": {"1": RECORD}}}, "$.data.items"),
        ({"meta": {"n": 1}, "deals": [RECORD]}, "$.deals"),
        ([{"page": 1, "rows": [RECORD]}], "$[].rows"),
        ({"a": {"b": {"c": {"d": {"1": RECORD}}}}}, "$.a.b.c.d"),
        ([{"key": "1", "value": RECORD}], "$[]"),
    ],
)
@pytest.mark.parametrize("complete", [False, True])
def test_records_elsewhere_are_told_of(document: object, place: str, complete: bool) -> None:
    message = refused(json.dumps(document).encode(), complete)
    assert f"some seem to be at {place}, from byte " in message
    assert "--source -" in message


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([{"key": "1", "value": RECORD}] * 2, "“key” and “value”"),
        ([{"value": RECORD, "key": "1"}] * 2, "“key” and “value”"),
        ([{"_id": "1", "_source": RECORD}] * 2, "under the member “_source”"),
        ([{"1": RECORD}, {"2": RECORD}], "another document begins at byte "),
        ([[RECORD], [RECORD]], "another document begins at byte "),
        ([{"id": 1, "result": {"1": RECORD}}] * 2, "another document begins at byte "),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n\n"])
def test_several_documents_are_told_of(documents: list[object], said: str, newline: str) -> None:
    text = newline.join(map(json.dumps, documents))
    message = refused(text.encode())
    assert said in message
    if "byte" in said:
        assert f"byte {text.encode().rindex(json.dumps(documents[1]).encode()):,}:" in message


def test_records_of_several_lines_each_are_told_of() -> None:
    text = "\n".join(json.dumps(RECORD, indent=2) for _ in range(2))
    assert "jq -c . FILE" in refused(text.encode())


@pytest.mark.parametrize(
    "document",
    [
        FEED, FEED + b"\n", b"\n\n" + FEED + b"\r\n \n", json.dumps({"1": RECORD}, indent=1).encode(),
        json.dumps(RECORD).encode(), (json.dumps(RECORD) + "\n").encode() * 3,
        json.dumps([RECORD]).encode(),
        b'{"id":1,\n"result":' + FEED + b"}\n",
    ],
)  # fmt: skip
def test_what_is_a_feed_is_none_of_these(document: bytes) -> None:
    learn(document, True, "Proposal", ("result",), ("Proposal", "State"))


def test_brotli_is_known_by_its_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "feed.json.br"
    path.write_bytes(b"\x1b\x8e\x07\x00")
    with pytest.raises(MalformedFeed, match="brotli -dc"), open_feed(Source(str(path))):
        pass
    path.write_bytes(FEED)
    with open_feed(Source(str(path))) as feed:
        assert feed is not None
