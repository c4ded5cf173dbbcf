"""A synthetic feed of the real shape, for trials, tests and measurements.

The same settings give the same decoded bytes on any machine: every draw comes from one
`random.Random(seed)`, a whole block of records at a time, and only through methods whose sequence
is the same in every supported Python.
"""

from __future__ import annotations

import json
import os
import random
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, cycle
from pathlib import Path
from typing import Any, BinaryIO, Literal

import click

from etl.command import outputs
from etl.command.show import line
from etl.command.streams import data_output
from etl.errors import DatabaseError

Shape = Literal["object", "rpc", "lines", "array", "pretty"]

TRACKED = ("f01000", "f01001", "f01002")
"""The wallets whose deals a trial run should find. No other client of a sample equals one."""

HEAD_EPOCH = 4_200_000
"""The chain head that the states suppose: epochs of 30 s since mainnet's genesis (August 2024)."""

_BLOCK = 512  # records, which is about 256 KiB of compact JSON
_FIRST_ID = 100_000_000  # nine digits: numeric order is then also the order of Go's sorted keys
_FAR_ID = 1 << 53  # added to the last ids: beyond 32 bits, and beyond what a double holds exactly
_DAY = 2_880  # epochs
_SHORTEST, _LONGEST = 180 * _DAY, 540 * _DAY  # a deal's duration

# A record as Go's encoder indents it. Without the white space it is as the public feed has it.
_INDENTED = b"""\
{
    "Proposal": {
      "PieceCID": {
        "/": "baga6ea4seaq%b"
      },
      "PieceSize": %d,
      "VerifiedDeal": %b,
      "Client": "%b",
      "Provider": "%b",
      "Label": "bafybei%b",
      "StartEpoch": %d,
      "EndEpoch": %d,
      "StoragePricePerEpoch": "0",
      "ProviderCollateral": "%d",
      "ClientCollateral": "0"
    },
    "State": {
      "SectorNumber": %d,
      "SectorStartEpoch": %d,
      "LastUpdatedEpoch": %d,
      "SlashEpoch": %d
    }
  }"""
_COMPACT = re.sub(rb"\n *|(?<=:) ", b"", _INDENTED)
# The deal id is the first value of a row and the last: `%.0b` drops the one that has no place.
_KEYED = b'"%b":' + _COMPACT + b"%.0b"
_NAMED = b"%.0b" + _COMPACT[:-1] + b',"DealID":"%b"}'

# What opens a document, a record, what separates records, and what closes the document.
_LAYOUTS: dict[str, tuple[bytes, bytes, bytes, bytes]] = {
    "object": (b"{", _KEYED, b",", b"}"),
    "rpc": (b'{"jsonrpc":"2.0","result":{', _KEYED, b",", b'},"id":0}\n'),
    "lines": (b"", _NAMED + b"\n", b"", b""),
    "array": (b"[", _NAMED, b",", b"]"),
    "pretty": (b"{\n", b'  "%b": ' + _INDENTED + b"%.0b", b",\n", b"\n}\n"),
}

# A CID is a prefix, in base32, and 256 random bits. The digits at its ends carry fewer than five
# of them, and a piece's digest leaves its two highest bits (here in digits 49 and 50) unset.
_DIGITS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
_BITS = b"\x0f" + b"\x1f" * 48 + b"\x1e\x0f\x18" + b"\x07" + b"\x1f" * 50 + b"\x1c"
_MASK = int.from_bytes(_BITS * _BLOCK, "big")
_CIDS = struct.Struct("<52s52s")
_NUMBERS = struct.Struct("<QIIIHBB")
_PROVIDERS = [b"f0%d" % (1_200_000 + 1013 * n) for n in range(1024)]
_TRAITS = [(1 << 35, b"true")] * 224 + [(1 << 36, b"true"), (1 << 28, b"false")] * 16

# Of 256 deals: sealed, slashed, and the epochs from StartEpoch to the head: the least, how many.
_MIX = [
    *[(True, False, 0, _SHORTEST)] * 180,  # active
    *[(True, False, _LONGEST + 1, 360 * _DAY)] * 30,  # expired
    *[(True, True, 1 << 16, 100 * _DAY)] * 10,  # slashed
    *[(False, False, -7 * _DAY, 7 * _DAY + 1)] * 12,  # published
    *[(False, False, 1, 360 * _DAY)] * 24,  # not sealed in time
]

_LABELS = (
    "",
    'a "quoted" label',
    "}{][,:",
    'C:\\deals\\ \\" \\u0022 \\',
    "tab\tline\r\nnul\x00del\x7f",
    "Ωmega données 数据 🗄",
    '<a href="?a=1&b=2">\u2028\u2029',
    TRACKED[0],
    f'"Client":"{TRACKED[0]}"',
    json.dumps({"1": {"Proposal": {"Client": TRACKED[1]}, "State": {"SlashEpoch": -1}}}),
    "x" * 256,  # bytes, the most that the chain accepts
)


def _go_string(text: str) -> bytes:
    """`text` as Go's encoding/json writes it: UTF-8, and safe inside HTML and JavaScript."""
    unsafe = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
    return json.dumps(text, ensure_ascii=False).translate(unsafe).encode()


# What makes a record awkward: a pattern of what to replace, past its group, and with what.
_EDITS = [
    *((rb'("Label": ?)"[^"]*"', _go_string(label).replace(b"\\", rb"\\")) for label in _LABELS),
    (rb'("Label": ?)"[^"]*"', b"null"),
    (rb'()"Label": ?"[^"]*",\s*', b""),
    (rb'("PieceCID": ?)\{[^}]*\}', b"null"),
    (rb'("StoragePricePerEpoch": ?)"0"', b'"%d"' % 2**64),
    (rb'("ClientCollateral": ?)"0"', b'"%d"' % (10**27 + 1)),
]


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """What a sample holds; shares are from 0 to 1. Equal settings give equal documents."""

    records: int = 10_000
    seed: int = 1
    match_share: float = 0.001  # of the deals, those whose client is one of TRACKED
    clients: int = 2000  # how many others share the rest: the n-th has 1/n of what the first has
    shape: Shape = "object"  # rpc: a node's reply; lines and array: the id as DealID; pretty
    awkward_share: float = 0.01  # of the deals, those with what is valid but easily mishandled

    def __post_init__(self) -> None:
        """Refuse what no document can be made of, with a `ValueError`."""
        if self.records < 0 or self.clients < 1:
            raise ValueError("records must be at least 0, and clients at least 1")
        if not (0 <= self.match_share <= 1 and 0 <= self.awkward_share <= 1):
            raise ValueError("a share must be from 0 to 1")


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What was written: deals, decoded bytes, and how many of the deals `TRACKED` have."""

    records: int
    bytes: int
    matched: int


def documents(settings: SampleSettings) -> Iterator[bytes]:
    """Yield the bytes of the document, in blocks of about 256 KiB."""
    return (data for data, _, _ in _blocks(settings) if data)


def _blocks(settings: SampleSettings) -> Iterator[tuple[bytes, int, int]]:
    """Bytes, and the numbers of the records in them and of those that `TRACKED` have."""
    rng = random.Random(settings.seed)
    head, template, separator, tail = _LAYOUTS[settings.shape]
    names, odds = _clients(settings)
    edits, last = cycle(_EDITS), _FIRST_ID
    near = settings.records * 99 // 100  # the last hundredth have far ids
    yield head, 0, 0
    for done in range(0, settings.records, _BLOCK):
        size = min(_BLOCK, settings.records - done)
        *ids, last = accumulate(rng.choices((1, 1, 1, 2, 2, 3, 7), k=_BLOCK), initial=last)
        ids = [deal_id + _FAR_ID * (done + n >= near) for n, deal_id in enumerate(ids)]
        clients = rng.choices(names, cum_weights=odds, k=_BLOCK)[:size]
        records = [template % row for row in _rows(rng, ids, clients)]
        for n in range(size):
            if rng.random() < settings.awkward_share:
                pattern, value = next(edits)
                records[n] = re.sub(pattern, rb"\g<1>" + value, records[n], count=1)
        matched = sum(clients.count(address.encode()) for address in TRACKED)
        yield (separator if done else b"") + separator.join(records), size, matched
    yield tail, 0, 0


def _clients(settings: SampleSettings) -> tuple[list[bytes], list[float]]:
    """Addresses and their cumulative weights. The commonest begin as the tracked ones do."""
    names = [b"f0%d" % (1_000_000 + 997 * n) for n in range(settings.clients)]
    curve = [1 / rank for rank in range(1, settings.clients + 1)]
    *_, total = accumulate(curve)  # not sum(), which rounds in another way since Python 3.12
    weights = [(1 - settings.match_share) * weight for weight in curve]
    weights += [settings.match_share * total / len(TRACKED)] * len(TRACKED)
    return names + [address.encode() for address in TRACKED], list(accumulate(weights))


def _rows(rng: random.Random, ids: list[int], clients: list[bytes]) -> Iterator[tuple[Any, ...]]:
    """The values for the template, for as many records as there are clients."""
    bits = rng.getrandbits(8 * _CIDS.size * _BLOCK) & _MASK
    cids = _CIDS.iter_unpack(bits.to_bytes(_CIDS.size * _BLOCK, "big").translate(_DIGITS))
    numbers = _NUMBERS.iter_unpack(rng.randbytes(_NUMBERS.size * _BLOCK))
    for client, deal_id, (piece, label), drawn in zip(clients, ids, cids, numbers, strict=False):
        worth, age, length, sector, lag, trait, kind = drawn
        size, verified = _TRAITS[trait]
        sealed, slashed, least, span = _MIX[kind]
        key = b"%d" % deal_id
        start = HEAD_EPOCH - least - age % span
        end = start + _SHORTEST + length % (_LONGEST - _SHORTEST + 1)
        number, since, seen = sector % 1_000_000, start - 1 - lag % _DAY, start + lag
        if not sealed:
            number, since, seen = 0, -1, -1
        elif not slashed:
            seen = (end if end < HEAD_EPOCH else HEAD_EPOCH) - lag % _DAY
        deal = (key, piece, size, verified, client, _PROVIDERS[worth >> 54], label, start, end)
        yield (*deal, worth % 10**16, number, since, seen, seen if slashed else -1, key)


def write_sample(
    settings: SampleSettings, output: str | Path, progress: Callable[[int], object] | None = None
) -> SampleSummary:
    """Write a sample to a file, which appears under its name only when it is whole.

    The file is compressed if its name ends in .zst, .gz, .bz2 or .lz4; `-` is standard output.
    `progress` is called after each block with the number of records in it. What cannot be written
    raises an `OSError`.
    """
    written = records = matched = 0
    with _opened(output) as sink:
        for data, count, found in _blocks(settings):
            sink.write(data)
            written, records, matched = written + len(data), records + count, matched + found
            if progress:
                progress(count)
    return SampleSummary(records, written, matched)


@contextmanager
def _opened(output: str | Path) -> Iterator[BinaryIO]:
    if str(output) == "-":
        with data_output() as sink:
            yield sink
        return
    path = part = Path(os.path.realpath(output))  # a link stays, and what it points to is replaced
    if path.is_file() or not path.exists():  # a pipe or a device is not ours to replace
        part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with part.open("wb") as file, _compressed(file, Path(output).suffix) as sink:
            yield sink
        part.replace(path)
    except BaseException:
        if part != path:
            part.unlink(missing_ok=True)
        raise


@contextmanager
def _compressed(file: BinaryIO, suffix: str) -> Iterator[BinaryIO]:
    codec = {".zst": "zstd", ".gz": "gzip", ".bz2": "bz2", ".lz4": "lz4"}.get(suffix.lower())
    stream = file
    if codec:
        import pyarrow as pa

        # zstd at Arrow's own level, 1: it offers 3 for separate frames only, where the feed has
        # one, and these digits get no smaller by it.
        stream = pa.CompressedOutputStream(file, codec)
    try:
        yield stream
    except BaseException:
        with suppress(Exception):  # the first error is the one to tell
            stream.close()
        raise
    stream.close()


@click.command("deals", context_settings={"show_default": True})
@click.option("--records", type=int, default=10_000, help="How many deals.")
@click.option("--seed", type=int, default=1, help="Equal seeds give equal feeds.")
@click.option("--output", metavar="FILE", default="deals-sample.json.zst", help="- is stdout.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there and no feed.")
@click.option("--match-share", type=float, default=0.001, help="Share of the tracked wallets.")
@click.option("--clients", type=int, default=2000, help="How many other clients.")
@click.option("--shape", type=click.Choice(list(_LAYOUTS)), default="object", help="The framing.")
@click.option("--awkward-share", type=float, default=0.01, help="Share of records hard to parse.")
def sample_deals(output: str, overwrite: bool, **options: Any) -> None:
    """Write a synthetic feed of the real shape, compressed as the name of FILE says."""
    try:
        settings = SampleSettings(**options)
    except ValueError as error:
        raise click.UsageError(f"{error}") from None
    if output != "-" and not Path(output).is_dir():
        outputs.check([outputs.Place(f"--output {output}", Path(output), outputs.FEED)], overwrite)
    try:
        done = write_sample(settings, output)
    except OSError as error:
        if output == "-" and isinstance(error, BrokenPipeError):  # `| head` has had enough
            return
        raise DatabaseError(f"cannot write {output}: {error.strerror or error}") from None
    whose = f"{done.matched} of tracked wallets {' '.join(TRACKED)} (as of epoch {HEAD_EPOCH})"
    line(f"wrote {done.records} records, {whose}, to {output}", err=True)
