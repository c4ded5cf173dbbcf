"""Which validator there is: simdjson where it is installed, else the typed decoder, which skips all values.

simdjson has no wheel for every interpreter (setup.cfg says where it is asked for). Both check a document
whose root is an object or an array, and count what it holds. Where one of them refuses what is well-formed
JSON (integers over 64 bits, text in escapes that is none, deep nesting), the caller looks closer.
"""

from __future__ import annotations

from typing import Any

import msgspec

simdjson: Any
try:
    import simdjson
except ImportError:
    simdjson = None


class Simd:
    """simdjson's parser."""

    name = "simdjson"

    def __init__(self) -> None:
        self._parser = simdjson.Parser()

    def count(self, document: memoryview) -> int:
        """Return how many values the root holds.

        Raises:
            ValueError: malformed, or beyond what the parser can represent.
        """
        try:
            return len(self._parser.parse(document))
        except RuntimeError as error:
            raise ValueError(*error.args) from None


class Skipping:
    """msgspec's decoder, made to keep nothing but where each value begins and ends.

    Of several members with the same name it keeps one, so it alone does not say how many there are. But
    each has its bytes, and a colon outside of the values: where there are no more of either than those that
    were kept account for, no member gave way to another.
    """

    name = "msgspec"

    def __init__(self) -> None:
        self._object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._array = msgspec.json.Decoder(list[msgspec.Raw]).decode

    def count(self, document: memoryview) -> int:
        """Return how many values the root holds.

        Raises:
            ValueError: malformed, or not to be counted: two members of one name, or a name with a colon.
        """
        data = bytes(document)
        try:
            if not data.isascii():
                data.decode()  # which the decoder does not look at in what it skips
            if not data.startswith(b"{"):
                return len(self._array(data))
            found = self._object(data)
        except RecursionError as error:
            raise ValueError(*error.args) from None
        names = len(found)
        # Where nothing need not be there, one more would make it longer.
        if len(data) == sum(map(len, found)) + sum(map(len, found.values())) + 4 * names + 1:
            return names
        if ":" in "".join(found) or data.count(b":") - b"".join(found.values()).count(b":") != names:
            raise ValueError("more than one member of a name, or a colon in one")
        return names


VALIDATORS: list[Any] = [Simd, Skipping] if simdjson is not None else [Skipping]
"""What there is to check and count, the fastest first."""
