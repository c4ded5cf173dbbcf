"""The columns of a pipeline's rows, as its record type shows them."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

Kind = Literal["text", "integer", "boolean", "float"]

KINDS: dict[type, Kind] = {str: "text", int: "integer", bool: "boolean", float: "float"}
"""The types of values that a column can have."""


@dataclass(frozen=True)
class Column:
    """A column of what `row` returns."""

    name: str
    kind: Kind
    nullable: bool = False


def columns_of(record: type[msgspec.Struct]) -> tuple[Column, ...]:
    """Return the columns of rows that are a record's members in order.

    Raises:
        ValueError: a member is of a type that no column has; the text names it.
    """
    columns = tuple(column(field.name, field.type) for field in msgspec.structs.fields(record))
    if not columns:
        raise ValueError(f"{record.__name__} has no members, so there are no columns")
    return columns


def column(name: str, kind: Any) -> Column:
    """Return the column of a member; one of `X | None` may be null.

    Raises:
        ValueError: no column has values of that type.
    """
    kinds = list(get_args(kind)) if get_origin(kind) in (Union, types.UnionType) else [kind]
    nullable = type(None) in kinds
    rest = [each for each in kinds if each is not type(None)]
    if len(rest) == 1 and rest[0] in KINDS:
        return Column(name, KINDS[rest[0]], nullable)
    shown = kind.__name__ if isinstance(kind, type) else kind
    raise ValueError(
        f"the member {name} is of the type {shown}, and a column can be"
        " str, int, bool, float, or one of these or None"
    )
