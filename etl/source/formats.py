"""What is no JSON, told by its first bytes, and what would make JSON of it.

Magic numbers are those of the formats' specifications, or of file(1) where there is none.
"""

from __future__ import annotations

import re

from etl.errors import MalformedFeed

_UNPACK = "unpack it first, such as by “{} FILE | etl run ... --source -”"
_QUERY = "have its records written as JSON lines first"

_FORMATS = (
    (rb"\xfd7zXZ\0", "an xz file", _UNPACK.format("xz -dc")),
    (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "a zip archive", _UNPACK.format("unzip -p")),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK.format("7z x -so")),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK.format("unrar p -inul")),
    (rb".{257}ustar", "a tar archive", _UNPACK.format("tar -xOf")),
    (rb"\xff\x06\0\0sNaPpY", "a snappy stream", _UNPACK.format("snzip -dc")),
    (rb"LZIP", "an lzip file", _UNPACK.format("lzip -dc")),
    (rb"\x89LZO\0\r\n\x1a\n", "an lzop file", _UNPACK.format("lzop -dc")),
    (rb"\x5d\0\0[\0-\xff]{2}", "an LZMA file", _UNPACK.format("xz -dc")),
    (rb"\x1f\x9d", "a file of compress (.Z)", _UNPACK.format("zcat")),
    (rb"\x02\x21\x4c\x18", "a file of LZ4's old format", _UNPACK.format("lz4 -dc")),
    (rb"\x78[\x01\x5e\x9c\xda]", "a zlib stream", "have it written as gzip"),
    (rb"PAR1|PARE", "a Parquet file", _QUERY),
    (rb"SQLite format 3\0", "an SQLite database", _QUERY),
    (rb"ORC", "an ORC file", _QUERY),
    (rb"Obj\x01", "an Avro file", _QUERY),
    (rb"ARROW1|FEA1|\xff\xff\xff\xff", "an Arrow file", _QUERY),
    (rb"\x28\xb5\x2f\xfd|\x1f\x8b|BZh[1-9]|\x04\x22\x4d\x18", "a stream that is compressed once more",
     "unpack the outer one first, such as by “zstd -dc FILE | etl run ... --source -”"),
    (rb"%PDF-", "a PDF", "give the feed itself"),
    (rb"version https://git-lfs", "a pointer of Git LFS and not the file", "fetch it by “git lfs pull”"),
    (rb"-----BEGIN PGP|age-encryption\.org", "an encrypted file", "decrypt it first"),
    (rb"(?:\xef\xbb\xbf)?\s*<(?i:!doctype\s+html|html|head|body)", "an HTML page",
     "it may be a login, an error or a captive portal: look at it in a browser"),
    (rb"(?:\xef\xbb\xbf)?\s*<[?!A-Za-z]", "XML or HTML", "it may be an error's page: look at it"),
    (rb"\0{512}", "zeros, as in a file that was never written to its end", "fetch it again"),
)  # fmt: skip


def refuse_others(head: bytes) -> None:
    """Refuse what begins like another format than JSON.

    Raises:
        MalformedFeed: it does; the sentence names it, and what would help.
    """
    is_likely = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
    for magic, name, help_ in () if is_likely else _FORMATS:
        if re.match(magic, head, re.DOTALL):
            raise MalformedFeed(f"not well-formed JSON at byte 0, but {name}: {help_}")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]:
        # JSON between systems is UTF-8 (RFC 8259, section 8.1).
        raise MalformedFeed(
            "not UTF-8 at byte 0: this looks like UTF-16 or UTF-32: convert it first, such as by"
            " “iconv -f UTF-16 -t UTF-8 FILE | etl run ... --source -”"
        )


def refuse_brotli(name: str, head: bytes) -> None:
    """Refuse a file that is brotli by its name; it has no magic number.

    Raises:
        MalformedFeed: it is, and does not begin like JSON.
    """
    if name.endswith(".br") and not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        raise MalformedFeed(f"by its name this is a brotli file: {_UNPACK.format('brotli -dc')}")
