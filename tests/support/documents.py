"""Random documents of deals, in every spelling that JSON allows and every awkwardness we could think of."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

WANTED = ("f01000", "f01001", "t0100")
SHAPES = ("object", "array", "lines", "rpc")
LOOK_ALIKE = '}},"77":{"Proposal":{"Client":"f01000"}},"78":{"Proposal":{'

LABELS: Sequence[Any] = (
    None, "", "bafy", "f01000", '"f01000"', LOOK_ALIKE, "\\", '\\"', "},", '},"', "a\nb\t\0", "é中😀",
    "<>&", "\u2028", "x" * 300, "}" * 20 + '"' * 20, "\\u0066",
)  # fmt: skip


class Raw(str):
    """A JSON value given by its very text."""


@dataclass(frozen=True)
class Document:
    """A document, and what it is."""

    data: bytes
    shape: str


def record(rng: random.Random, awkward: float) -> Any:
    """Return a deal as pairs of members; with a share of invalid and odd ones."""
    odd = rng.random() < awkward
    client: Any = rng.choice((*WANTED, "f01", "f010000", "f02", "f03", "f0100"))
    proposal: list[tuple[str, Any]] = [
        ("PieceCID", rng.choice([[("/", "baga6ea4")], [("/", "baga" + "x" * rng.randrange(40))]])),
        ("PieceSize", rng.choice([2048, 2**35, 2**63 - 1])),
        ("VerifiedDeal", rng.random() < 0.5),
        ("Client", client),
        ("Provider", f"f0{rng.randrange(5000)}"),
        ("Label", rng.choice(LABELS) if odd else "bafybei"),
        ("StartEpoch", rng.randrange(1000)),
        ("EndEpoch", rng.randrange(2000)),
        ("StoragePricePerEpoch", rng.choice(["0", str(10**30), "17"] + ["9" * 310, "9" * 311] * odd)),
        ("ProviderCollateral", "9223372036854775808"),
        ("ClientCollateral", "-1"),
    ]
    state: list[tuple[str, Any]] = [
        ("SectorNumber", rng.randrange(100)),
        ("SectorStartEpoch", rng.choice([-1, 5, 50])),
        ("LastUpdatedEpoch", -1),
        ("SlashEpoch", rng.choice([-1, -1, 0, 70])),
    ]
    members: list[tuple[str, Any]] = [("Proposal", proposal), ("State", state)]
    if odd:
        for _ in range(rng.randrange(1, 4)):
            _bend(rng, members, proposal, state)
    return members


def _bend(rng: random.Random, members: Any, proposal: Any, state: Any) -> None:
    """Make one thing about a record odd: some stay valid, some become invalid."""
    group = rng.choice([members, proposal, proposal, state])
    change = rng.randrange(8)
    if change == 0 and group:
        group.pop(rng.randrange(len(group)))
    elif change == 1:
        rng.shuffle(group)
    elif change == 2 and group:
        index = rng.randrange(len(group))
        group[index] = (group[index][0], junk(rng))
    elif change == 3:
        group.insert(
            rng.randrange(len(group) + 1), (rng.choice(["X", "Client", "", "DealID", "}"]), junk(rng))
        )
    elif change == 4 and group:
        group.append((rng.choice(group)[0], junk(rng)))  # a repeated member, which overrides
    elif change == 5 and group:
        group.insert(0, (rng.choice(group)[0], junk(rng)))  # one that is overridden
    elif change == 6:
        inner = [("Proposal", [("Client", rng.choice(WANTED))]), ("State", [])]
        nested = [(str(n), inner) for n in range(rng.randrange(1, 4))]
        group.insert(rng.randrange(len(group) + 1), ("nested", nested))
    else:
        group.append(("deep", Raw("[" * 50 + "]" * 50)))


def junk(rng: random.Random) -> Any:
    """Return any JSON value."""
    return rng.choice(
        [
            None, True, 0, -1, "1", "f01000", [], [("a", 1)], Raw("1.0"), Raw("1e400"), Raw("-0"),
            Raw("123456789012345678901234567890"), Raw(r'"\ud800"'), Raw(r'"\ud83d\ude00"'), 2**63, 2**64,
            Raw('[[],{},{"a":[{}]}]'), Raw('{"1":{"Proposal":{"Client":"f01000"}},"2":{"Proposal":{}}}'),
        ]
    )  # fmt: skip


def keys(rng: random.Random, count: int) -> list[Any]:
    """Return keys of records: mostly deal ids, some twice, some that are none."""
    big = ["9223372036854775808", "9223372036854775807"]
    odd = ["NaN", "", "-1", "01", *big, "f01000", "}", ",", 'a"b', "é", Raw(r'"\ud800"')]
    return [
        rng.choice(odd) if rng.random() < 0.05 else str(rng.randrange(max(3, 3 * count)))
        for _ in range(count)
    ]


class Speller:
    """Spells JSON in one of the ways that mean the same."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._space = rng.choice([0.0, 0.0, 0.1, 0.6])
        self._escape = rng.choice([0.0, 0.02, 0.5])
        self._newlines = True

    def one_line(self) -> Speller:
        """Leave out raw newlines."""
        self._newlines = False
        return self

    def plain(self) -> Speller:
        """Leave out what needs not be there."""
        self._space = self._escape = 0.0
        return self

    def space(self) -> str:
        """Return white space, perhaps none."""
        if self._rng.random() >= self._space:
            return ""
        return "".join(
            self._rng.choices(" \t\r\n" if self._newlines else " \t\r", k=self._rng.randrange(1, 4))
        )

    def string(self, text: str) -> str:
        """Spell a string."""
        if isinstance(text, Raw):
            return text
        return '"' + "".join(map(self._character, text)) + '"'

    def _character(self, character: str) -> str:
        short = {
            '"': '\\"', "\\": "\\\\", "/": "\\/",
            "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
        }  # fmt: skip
        if character in '"\\' or character < " " or self._rng.random() < self._escape:
            if character in short and self._rng.random() < 0.5:
                return short[character]
            units = character.encode("utf-16-be", "surrogatepass")
            form = self._rng.choice(["\\u{:04x}", "\\u{:04X}"])
            return "".join(
                form.format(int.from_bytes(units[i : i + 2], "big")) for i in range(0, len(units), 2)
            )
        return character

    def value(self, value: Any) -> str:
        """Spell any value; a list of pairs is an object."""
        if isinstance(value, Raw):
            return value
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, list):
            if not value:
                return "{" + self.space() + "}"
            return self.enclosed("{", [self.member(key, item) for key, item in value], "}")
        return (
            {None: "null", True: "true", False: "false"}[value]
            if value is None or isinstance(value, bool)
            else str(value)
        )

    def member(self, key: str, value: Any) -> str:
        """Spell a member of an object."""
        return f"{self.string(key)}{self.space()}:{self.space()}{self.value(value)}"

    def enclosed(self, opening: str, items: list[str], closing: str) -> str:
        """Put items between brackets."""
        body = ",".join(self.space() + item + self.space() for item in items)
        return opening + body + self.space() + closing


def build(rng: random.Random, shape: str, count: int, awkward: float) -> bytes:
    """Return a document of `count` records."""
    speller = Speller(rng)
    deals = [record(rng, awkward) for _ in range(count)]
    # What a document is must show: some record has an object `Proposal`, the first one for lines.
    if not any(
        isinstance(value, list) and name == "Proposal" for deal in deals[:1] for name, value in deal
    ):
        deals[0] = record(rng, 0)
    names = keys(rng, count)
    if shape == "lines":
        speller.one_line()
    if shape in ("lines", "array"):
        for deal, name in zip(deals, names, strict=True):
            spelled = int(name) if name.isdigit() and name.isascii() and rng.random() < 0.5 else name
            deal.insert(rng.randrange(len(deal) + 1), ("DealID", spelled))
    if shape == "lines":
        lines = [speller.value(deal) for deal in deals]
        blank = [rng.choice(["", " ", "\r"]) if rng.random() < 0.05 else None for _ in lines]
        text = "\n".join(
            part for pair in zip(lines, blank, strict=True) for part in pair if part is not None
        )
        return (text + rng.choice(["", "\n", "\r\n", "\n\n"])).encode()
    if shape == "array":
        text = speller.enclosed("[", [speller.value(deal) for deal in deals], "]")
    else:
        text = speller.value(list(zip(names, deals, strict=True)))
    if shape == "rpc":
        parts = [speller.member("jsonrpc", "2.0"), speller.member("id", 0)]
        parts.insert(
            rng.randrange(3), f"{speller.string('result')}{speller.space()}:{speller.space()}{text}"
        )
        if rng.random() < 0.3:
            parts.append(speller.member("error", None))
        text = speller.enclosed("{", parts, "}")
    return (rng.choice(["", "", "\ufeff"]) + speller.space() + text + speller.space()).encode()


@st.composite
def documents(draw: st.DrawFn, most: int = 40) -> Document:
    """Any document."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from(SHAPES))
    awkward = draw(st.sampled_from([0.0, 0.2, 0.9]))
    return Document(build(rng, shape, draw(st.integers(1, most)), awkward), shape)
