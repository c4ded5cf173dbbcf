"""Addresses: the specification's are read, and no damage makes one address another."""

from __future__ import annotations

import string
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.deals.address import Address, parse

# Most are from the tests of go-address; the last but one is Ethereum's 0x000...0, the last is the longest.
ROBUST = [
    "f17uoq6tp427uzv7fztkbsnn64iwotfrristwpryy",
    "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za",
    "f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq",
    "f1xpbyy4tkdx5si2bgo37dubc2xwv6fum5tk57mia",
    "t24vg6ut43yw2h2jqydgbg2xq7x6f4kub3bg6as6i",
    "f24vg6ut43yw2h2jqydgbg2xq7x6f4kub3bg6as6i",
    "f2nuqrg7vuysaue2pistjjnt3fadsdzvyuatqtfei",
    "f3vvmn62lofvhjd2ugzca6sof2j2ubwok6cj4xxbfzz4yuxfkgobpihhd2thlanmsh3w2ptld2gqkn2jvlss4a",
    "t3wmuu6crofhqmm3v4enos73okk2l366ck6yc4owxwbdtkmpk42ohkqxfitcpa57pjdcftql4tojda2poeruwa",
    "f432f77777777x32lpna",
    "f49223372036854775807fiic6zsy",
    "f410faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaonc6iji",
    f"f49223372036854775807f{'a' * 86}hwgiuam",
]
IDS = ["f00", "f01", "t010", "f01024", "f0999999", "f09223372036854775807"]
LETTERS = string.ascii_letters + string.digits + "=-_ \n\0\u017f\u0661"
"""All that base32 is spelled with, and what could be taken for it."""


@pytest.mark.parametrize("text", IDS + ROBUST)
def test_a_good_address_is_read(text: str) -> None:
    assert parse(text) == Address(text[0], int(text[1]), text)
    assert parse(text).is_id == (text in IDS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "(empty): there is no address"),
        ("f", "f: ends after the network"),
        ("x01000", "x01000: unknown network “x” (f is the main network, t a test network)"),
        ("F01000", "F01000: unknown network “F” (f is the main network, t a test network)"),
        ("\x1b[2J", r"\x1b[2J: unknown network “\x1b” (f is the main network, t a test network)"),
        ("f5abc", "f5abc: unknown protocol “5” (0 to 4 are known)"),
        ("f\n1", r"f\n1: unknown protocol “\n” (0 to 4 are known)"),
        ("f\u06601", "f\u06601: unknown protocol “\u0660” (0 to 4 are known)"),
        ("f0", "f0: the number is missing"),
        ("f05x", "f05x: not a number"),
        ("f05\n", r"f05\n: not a number"),
        ("f0-5", "f0-5: not a number"),
        ("f01_000", "f01_000: not a number"),
        ("f0\u0663", "f0\u0663: not a number"),
        ("f007", "f007: the number has leading zeros"),
        ("f09223372036854775808", "f09223372036854775808: the number is too large (2^63 or more)"),
        (ROBUST[0][:-1], f"{ROBUST[0][:-1]}: wrong length: 40 characters instead of 41"),
        (ROBUST[7] + "a", f"{ROBUST[7]}a: wrong length: 87 characters instead of 86"),
        (ROBUST[0][:-1] + "a", f"{ROBUST[0][:-1]}a: the checksum does not match"),
        (ROBUST[3][:-1] + "d", f"{ROBUST[3][:-1]}d: not base32: stray bits at the end"),
        ("f1" + ROBUST[0][2:].upper(), "not base32 (lower case a to z, 2 to 7)"),
        ("f17uoq6tp427uzv7fztkbsnn64iwotfrristwpry1", "not base32 (lower case a to z, 2 to 7)"),
        ("f410", "f410: no “f” between namespace and subaddress"),
        ("f4faaaaaaa", "f4faaaaaaa: the number is missing"),
        ("f4010" + ROBUST[11][4:], "the number has leading zeros"),
        ("f49223372036854775808fiic6zsy", "the number is too large (2^63 or more)"),
        ("f410f", "f410f: not base32 (lower case a to z, 2 to 7)"),
        ("f410faaaaa", "f410faaaaa: wrong length: shorter than a checksum"),
        ("f410faaaaaaaaa", "f410faaaaaaaaa: wrong length: not a whole number of bytes"),
        ("f410f" + "a" * 95, "wrong length: a subaddress has up to 54 bytes"),
        ("f1" + "\0" * 100, r"f1\x00\x00\x00\x00\x00\x…: wrong length: 102 characters instead of 41"),
        ("f1" + "a" * 10_000, f"f1{'a' * 22}…: too long for an address (10,002 characters)"),
        ("f0" + "9" * 100_000, f"f0{'9' * 22}…: too long for an address (100,002 characters)"),
    ],
    ids=lambda value: ascii(value[:24]),
)
def test_the_reason_says_which_address_and_what_is_wrong(text: str, reason: str) -> None:
    said = refusal(text)
    assert said is not None
    assert said.endswith(reason)
    assert said.isprintable()
    assert len(said) < 200


@pytest.mark.parametrize("text", ROBUST)
def test_no_single_change_makes_a_robust_address_another(text: str) -> None:
    changed = {
        text[:index] + other + text[index + length :]
        for index in range(1, len(text) + 1)
        for other in ["", *LETTERS]
        for length in (0, 1)
    }
    assert [other for other in changed - {text} if is_address(other)] == []


@pytest.mark.parametrize("text", ROBUST)
def test_the_prefix_of_another_network_is_an_address_there(text: str) -> None:
    other = "t" if text[0] == "f" else "f"
    assert parse(other + text[1:]).network == other
    assert not is_address(text[1:])


def refusal(text: str) -> str | None:
    """Why a text is no address; None if it is one."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None


def is_address(text: str) -> bool:
    return refusal(text) is None


# An encoder of another kind: bits as text, and a number for the groups of seven -------------------------


def base32(data: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in data)
    groups = [bits[at : at + 5].ljust(5, "0") for at in range(0, len(bits), 5)]
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[int(group, 2)] for group in groups)


def groups_of_seven(number: int) -> bytes:
    digits = [number // 128**power % 128 for power in range(10)]
    while len(digits) > 1 and digits[-1] == 0:
        digits.pop()
    return bytes([digit + 128 for digit in digits[:-1]] + digits[-1:])


def checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=4).digest()


def hashed(network: str, protocol: int, payload: bytes) -> str:
    return f"{network}{protocol}{base32(payload + checksum(bytes([protocol]) + payload))}"


def delegated(network: str, namespace: int, subaddress: bytes) -> str:
    covered = b"\x04" + groups_of_seven(namespace) + subaddress
    return f"{network}4{namespace}f{base32(subaddress + checksum(covered))}"


networks = st.sampled_from("ft")
numbers = st.integers(0, 2**63 - 1) | st.integers(0, 300)
robust = st.one_of(
    st.builds(hashed, networks, st.sampled_from([1, 2]), st.binary(min_size=20, max_size=20)),
    st.builds(hashed, networks, st.just(3), st.binary(min_size=48, max_size=48)),
    st.builds(delegated, networks, numbers, st.binary(max_size=54)),
)


def test_the_other_encoder_is_right() -> None:
    payload = bytes.fromhex("fd1d0f4dfcd7e99afcb99a8326b7dc459d32c628")
    assert hashed("f", 1, payload) == ROBUST[0]
    assert delegated("f", 32, b"\xff" * 5) == ROBUST[9]
    assert delegated("f", 10, bytes(20)) == ROBUST[11]


@given(robust)
def test_every_address_that_can_be_made_is_read(text: str) -> None:
    assert parse(text) == Address(text[0], int(text[1]), text)


@given(networks, numbers)
def test_every_number_is_an_id_address(network: str, number: int) -> None:
    assert parse(f"{network}0{number}") == Address(network, 0, f"{network}0{number}")


@given(robust, st.data())
def test_damage_is_always_refused(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(1, len(text) - 1))
    end = data.draw(st.integers(begin, len(text)))
    other = data.draw(st.text(LETTERS, max_size=8))
    damaged = text[:begin] + other + text[end:]
    if damaged != text and damaged[1:2] != "0":
        assert not is_address(damaged)


@given(robust, st.data())
def test_swapped_neighbours_are_refused(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(text) - 2))
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    assert is_address(swapped) == (swapped == text)


@given(st.sampled_from([1, 2, 3]), st.binary(max_size=60))
def test_a_payload_of_a_wrong_length_is_refused(protocol: int, payload: bytes) -> None:
    right = 48 if protocol == 3 else 20
    assert is_address(hashed("f", protocol, payload)) == (len(payload) == right)


@given(st.text() | st.text("ft01234" + LETTERS, max_size=130))
def test_garbage_is_refused_with_a_short_line(text: str) -> None:
    said = refusal(text)
    assert said is None or (said.isprintable() and len(said) < 250)
