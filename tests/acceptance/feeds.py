"""Deals documents, and what the slow twin finds in them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from tests.support.twin.deals import Expected, expected_of_feeds

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


def zstd(data: bytes) -> bytes:
    """One frame, without a checksum."""
    compressed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return compressed


def lz4(data: bytes) -> bytes:
    """One frame, without a checksum."""
    compressed: bytes = pa.Codec("lz4").compress(data, asbytes=True)
    return compressed


def expected(*documents: bytes, clients: Iterable[str] = OURS, nul: bool = True) -> Expected:
    """What a run finds in documents, as `Tables.deals` shows it; without `nul`, a text that has one is a
    reject."""
    found = expected_of_feeds(documents, set(clients), HEAD, refuse_nul=not nul)
    for row in found.rows.values():
        del row["deal_id"]
        row["proposal_id"] = None
    return found
