"""Deals documents, and what they hold by the plainest reading: `json.loads` and a loop."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tests.support.twin.reading import plain_row

HEAD = 4_200_000
OURS = ("f01000", "f0234567")
OTHER = "f09999"

Record = dict[str, Any]
Pairs = list[tuple[str, Record]]

AWKWARD = 'He said "}, \\"7\\": {\\"Proposal\\": {" \\ / \b\f\n\r\t é 漢字 😀 \x7f }],{['
LONG_AMOUNT = "123456789012345678901234567890"


def deal(
    client: str = OURS[0],
    *,
    state: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
    **proposal: Any,
) -> Record:
    """A record of the current shape: an active deal, but for what is given."""
    return {
        "Proposal": {
            "PieceCID": {"/": "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"},
            "PieceSize": 34359738368,
            "VerifiedDeal": True,
            "Client": client,
            "Provider": "f0123",
            "Label": "mAXCg5AIg",
            "StartEpoch": 3_000_000,
            "EndEpoch": 5_000_000,
            "StoragePricePerEpoch": "0",
            "ProviderCollateral": "7654321",
            "ClientCollateral": "0",
            **proposal,
        },
        "State": {
            "SectorNumber": 42,
            "SectorStartEpoch": 2_999_000,
            "LastUpdatedEpoch": 4_100_000,
            "SlashEpoch": -1,
            **(state or {}),
        },
        **(more or {}),
    }


def without(record: Record, *path: str) -> Record:
    """A copy of a record that lacks one member."""
    first, *rest = path
    copy = dict(record)
    if rest:
        copy[first] = without(copy[first], *rest)
    else:
        del copy[first]
    return copy


def small() -> Pairs:
    """A deal of ours and one of somebody else."""
    return [("1", deal()), ("2", deal(OTHER))]


def awkward() -> Pairs:
    """Every kind of record that is hard to find or to keep, ours and others'; no id twice."""
    unset = {"SectorStartEpoch": -1, "LastUpdatedEpoch": -1, "SectorNumber": 0}
    decoy = {"7": {"Proposal": {"Client": OURS[0]}}, "8": {"Proposal": {"Client": OURS[0]}}, "9": {}}
    older = without(deal(state={"VerifiedClaim": 17}), "State", "SectorNumber")
    return [
        ("30", deal(OTHER)),
        ("9007199254740993", deal(Label=AWKWARD)),
        ("9223372036854775807", deal(OURS[1], StoragePricePerEpoch=LONG_AMOUNT)),
        ("4", deal(OTHER, Label=OURS[0], Provider=OURS[0])),  # ours, but in other members
        ("5", deal(PieceCID=None, Label=None)),
        ("6", without(without(deal(OURS[1]), "Proposal", "PieceCID"), "Proposal", "Label")),
        ("1000", deal(OURS[0] + "1")),  # an address of ours is only its beginning
        ("70", older),
        ("71", without(deal(OTHER, state={"VerifiedClaim": 17}), "State", "SectorNumber")),
        ("8", deal(Label="", VerifiedDeal=False, PieceCID={"/": None})),
        ("9", deal(state={"SlashEpoch": 4_000_000})),
        ("10", deal(OURS[1], state=unset, StartEpoch=HEAD)),
        ("11", deal(state=unset, StartEpoch=HEAD - 1)),
        ("12", deal(EndEpoch=HEAD - 1)),
        ("13", deal(EndEpoch=HEAD)),
        ("14", deal(OTHER, more={"Extra": decoy})),
        ("15", deal(more={"Extra": decoy, "Huge": 10**29, "Deep": [[[{"a": [1.5e3, None, True]}]]]})),
        ("0", deal(OURS[1], ProviderCollateral="-1", Label="NUL: \x00, DEL: \x7f")),
        ("16", {"State": deal()["State"], "Proposal": deal(Label="state first")["Proposal"]}),
        ("17", deal(OTHER, Label=AWKWARD)),
    ]


# Documents -------------------------------------------------------------------------------------------


def as_object(pairs: Iterable[tuple[str, Any]], **style: Any) -> bytes:
    """A bare object; keys may stand in it more than once."""
    style = dict[str, Any](separators=(",", ":"), ensure_ascii=False) | style
    return encoded(f"{{{','.join(f'{json.dumps(k)}:{json.dumps(v, **style)}' for k, v in pairs)}}}")


def as_pretty(pairs: Pairs, indent: int | str = 2) -> bytes:
    return encoded(json.dumps(dict(pairs), indent=indent, ensure_ascii=False) + "\n")


def as_reply(records: bytes, before: str = '"jsonrpc":"2.0",', after: str = ',"id":0') -> bytes:
    """A JSON-RPC reply; `records` is its result."""
    return b"{" + before.encode() + b'"result":' + records + after.encode() + b"}"


def with_ids(pairs: Pairs, number: bool) -> list[Record]:
    return [{"DealID": int(key) if number else key, **record} for key, record in pairs]


def as_array(pairs: Pairs, number: bool = True) -> bytes:
    return encoded(json.dumps(with_ids(pairs, number), ensure_ascii=False))


def as_lines(pairs: Pairs, number: bool = True, newline: str = "\n", end: bool = True) -> bytes:
    lines = [json.dumps(record, ensure_ascii=False) for record in with_ids(pairs, number)]
    return encoded(newline.join(lines) + (newline if end else ""))


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^"{}\[\],:\s]+')


def spaced(document: bytes, seed: int, blanks: bytes = b" \t\r\n") -> bytes:
    """The same document with odd white space around every token."""
    draw = random.Random(seed)

    def blank() -> bytes:
        return bytes(draw.choices(blanks, k=draw.choice((0, 0, 1, 2, 5))))

    tokens: list[bytes] = _TOKEN.findall(document)
    return blank() + b"".join(token + blank() for token in tokens)


def shuffled(value: Any, seed: int) -> Any:
    """The same value with the members of every object in another order."""
    draw = random.Random(seed)

    def turn(part: Any) -> Any:
        if isinstance(part, dict):
            names = list(part)
            draw.shuffle(names)
            return {name: turn(part[name]) for name in names}
        return part

    return turn(value)


def escaped(document: bytes, spell: str) -> bytes:
    r"""The same document with our addresses spelled with `\u` escapes.

    `spell` has a letter for each character: `u` and `U` escape it with lower and upper hexadecimal
    digits, any other leaves it alone; it is repeated as needed.
    """

    def respelled(found: re.Match[bytes]) -> bytes:
        parts = []
        for number, byte in enumerate(found[1]):
            how = spell[number % len(spell)]
            digits = {"u": f"{byte:04x}", "U": f"{byte:04X}"}.get(how)
            parts.append(f"\\u{digits}" if digits else chr(byte))
        return f'"Client":"{"".join(parts)}"'.encode()

    return re.sub(rb'"Client":\s*"([^"\\]+)"', respelled, document)


# The plain reading ------------------------------------------------------------------------------------


def zstd(data: bytes) -> bytes:
    """One frame, without a checksum."""
    compressed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return compressed


def lz4(data: bytes) -> bytes:
    """One frame, without a checksum."""
    compressed: bytes = pa.Codec("lz4").compress(data, asbytes=True)
    return compressed


class Members(dict[str, Any]):
    """An object that remembers the members that later ones have replaced."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def plain_records(document: bytes) -> list[tuple[Any, Record]]:
    """The records of a document in any of the shapes, with their ids as they are spelled."""
    text = document.decode("utf-8-sig", "surrogatepass")
    try:
        root = json.loads(text, object_pairs_hook=Members)
    except json.JSONDecodeError:
        lines = (line.strip(" \t\r") for line in text.split("\n"))
        root = [json.loads(line, object_pairs_hook=Members) for line in lines if line]
    if isinstance(root, Members) and "result" in root:
        root = root["result"]
    if isinstance(root, Members) and "Proposal" in root:
        root = [root]
    if isinstance(root, Members):
        return root.pairs
    return [(record.get("DealID"), record) for record in root]


@dataclass(frozen=True)
class Expected:
    """What a run on an empty database must come to."""

    records: int
    matched: int
    rejected: int
    rows: dict[int, dict[str, Any]]
    """By deal id, in the order of the feed."""

    @property
    def figures(self) -> dict[str, int]:
        """The report of such a run."""
        return {
            "records": self.records,
            "matched": self.matched,
            "inserted": len(self.rows),
            "updated": 0,
            "unchanged": 0,
            "duplicates": self.matched - len(self.rows),
            "expired": 0,
            "rejected": self.rejected,
        }


def expected(*documents: bytes, clients: Iterable[str] = OURS, nul: bool = True) -> Expected:
    """What a run finds in documents; without `nul`, a text that has one is a reject."""
    records = matched = rejected = 0
    rows: dict[int, dict[str, Any]] = {}
    wanted = set(clients)
    for document in documents:
        for key, record in plain_records(document):
            records += 1
            if record["Proposal"]["Client"] not in wanted:
                continue
            row = plain_row(record, HEAD) | {"proposal_id": None}
            if not str(key).isdecimal() or (not nul and any("\0" in str(value) for value in row.values())):
                rejected += 1
                continue
            matched += 1
            rows[int(key)] = row
    return Expected(records, matched, rejected, rows)
