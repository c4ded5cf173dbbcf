"""Filecoin addresses as text.

After the Filecoin specification, appendix "Address", and FIP-0048 (f4); limits and strictness are those of
go-address, by which Lotus reads. Stricter than it in one point: numbers have no leading zeros. So an
address has one spelling, and addresses may be compared as text.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from dataclasses import dataclass
from hashlib import blake2b

from etl.text import visible

NETWORKS = ("f", "t")
"""The main network's prefix, and that of all test networks."""

_LARGEST = 2**63 - 1  # go-address, NewIDAddress and NewDelegatedAddress
_CHECKSUM_BYTES = 4
_SUBADDRESS_BYTES = 54  # FIP-0048, "Address Format"
_LONGEST = 115  # go-address, MaxAddressStringLength
_LENGTHS = {1: 41, 2: 41, 3: 86}
"""Characters by protocol: two, then base32 of the payload (20, 20, 48 bytes) and the checksum."""

_DIGITS = re.compile("[0-9]+")
_BASE32 = re.compile("[a-z2-7]+")  # RFC 4648, section 6, in lower case and without padding
_SHOWN = 24


@dataclass(frozen=True, slots=True)
class Address:
    """An address that was checked."""

    network: str
    """`f` is the main network, `t` a test network."""
    protocol: int
    text: str

    @property
    def is_id(self) -> bool:
        """Whether it names the actor by its number, as the state of the chain does."""
        return self.protocol == 0


def parse(text: str) -> Address:
    """Return the address that `text` spells.

    Raises:
        ValueError: it spells none, with the reason.
    """
    try:
        return Address(text[:1], _protocol(text), text)
    except ValueError as error:
        raise ValueError(f"{_shown(text)}: {error}") from None


def _shown(text: str) -> str:
    """Return what can be printed of a text, on one line."""
    if not text:
        return "(empty)"
    shown = visible(text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_SHOWN]}…"


def _protocol(text: str) -> int:
    """Return an address's protocol; raise what is wrong with it."""
    if not text:
        raise ValueError("there is no address")
    if len(text) > _LONGEST:
        raise ValueError(f"too long for an address ({len(text):,} characters)")
    if text[0] not in NETWORKS:
        network = visible(text[0])
        raise ValueError(f"unknown network “{network}” (f is the main network, t a test network)")
    if len(text) == 1:
        raise ValueError("ends after the network")
    if text[1] not in "01234":
        raise ValueError(f"unknown protocol “{visible(text[1])}” (0 to 4 are known)")
    protocol = int(text[1])
    if protocol == 0:
        _number(text[2:])
    elif protocol == 4:
        _check_delegated(text[2:])
    else:
        if len(text) != _LENGTHS[protocol]:
            raise ValueError(f"wrong length: {len(text)} characters instead of {_LENGTHS[protocol]}")
        _check(bytes([protocol]), _decoded(text[2:]))
    return protocol


def _number(digits: str) -> int:
    """Return an ID or a namespace."""
    if not _DIGITS.fullmatch(digits):
        raise ValueError("not a number" if digits else "the number is missing")
    if digits[0] == "0" and digits != "0":
        raise ValueError("the number has leading zeros")
    if int(digits) > _LARGEST:
        raise ValueError("the number is too large (2^63 or more)")
    return int(digits)


def _check_delegated(rest: str) -> None:
    """Check what follows `f4`: the namespace, `f` on every network, and the subaddress."""
    digits, separator, subaddress = rest.partition("f")
    if not separator:
        raise ValueError("no “f” between namespace and subaddress")
    namespace = _number(digits)
    data = _decoded(subaddress)
    if len(data) < _CHECKSUM_BYTES:
        raise ValueError("wrong length: shorter than a checksum")
    if len(data) > _SUBADDRESS_BYTES + _CHECKSUM_BYTES:
        raise ValueError(f"wrong length: a subaddress has up to {_SUBADDRESS_BYTES} bytes")
    _check(b"\x04" + _leb128(namespace), data)


def _leb128(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _decoded(digits: str) -> bytes:
    """Return the bytes that base32 spells, if it is how these bytes are spelled."""
    if not _BASE32.fullmatch(digits):
        raise ValueError("not base32 (lower case a to z, 2 to 7)")
    try:
        data = b32decode(digits.upper() + "=" * (-len(digits) % 8))
    except Base32Error:
        raise ValueError("wrong length: not a whole number of bytes") from None
    if b32encode(data).decode().rstrip("=").lower() != digits:
        raise ValueError("not base32: stray bits at the end")
    return data


def _check(prefix: bytes, data: bytes) -> None:
    """Check the checksum at the end of `data`; it covers `prefix` and all before it."""
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if blake2b(prefix + payload, digest_size=_CHECKSUM_BYTES).digest() != checksum:
        raise ValueError("the checksum does not match")
