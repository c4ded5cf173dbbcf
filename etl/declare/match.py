"""The member that is tested: where it is in a record, and in one that does not fit its type."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import msgspec


class Match:
    """The member at `path` (names as in the JSON) of a record type.

    `get` returns it, of a decoded record; without a path, the record. `kind` is the member's type.

    Raises:
        ValueError: the record type has no such member; the text says which ones it has.
    """

    def __init__(self, record: type[msgspec.Struct], path: tuple[str, ...]) -> None:
        self._path = path
        fields = list(_fields(record, path))
        names = ".".join(field.name for field in fields)
        self.get: Callable[[Any], Any] = operator.attrgetter(names) if fields else lambda record: record
        kind: Any = fields[-1].type if fields else None
        self.kind = kind
        for field in reversed(fields):
            usual = {"default": field.default, "default_factory": field.default_factory}
            renamed: Any = msgspec.field(name=field.encode_name, **usual)
            kind = msgspec.defstruct("Alone", [(field.name, kind, renamed)])
        self._alone = kind
        """The record type with nothing but that member."""

    def may_be_wanted(self, value: Any, wanted: frozenset[str]) -> bool:
        """Say whether a record that does not fit its type is a wanted one, or may have been meant as such.

        Where its tested member is as declared, that decides. Where it is not (it is a list, say, or stands
        somewhere else), no more can be told than whether the record has a wanted text anywhere.
        """
        try:
            tested = self.get(msgspec.convert(_only(value, self._path), self._alone))
            return tested in wanted
        except (msgspec.ValidationError, UnicodeEncodeError):
            return not wanted.isdisjoint(texts(value))


def _fields(record: Any, path: tuple[str, ...]) -> Iterator[msgspec.structs.FieldInfo]:
    """Yield what the record type says of each member on a path."""
    kind, name_of = record, getattr(record, "__name__", str(record))
    for name in path:
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            raise ValueError(f"{name_of} is no msgspec.Struct that could have a member {name}")
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        if name not in fields:
            raise ValueError(f"{name_of} has no member {name}; it has {', '.join(fields) or 'none'}")
        yield fields[name]
        kind, name_of = fields[name].type, f"the member {name} of {name_of}"


def _only(value: Any, path: tuple[str, ...]) -> Any:
    """Return a generic JSON value without all that is not on a path, where it has the path."""
    if not path or not isinstance(value, dict):
        return value
    return {path[0]: _only(value[path[0]], path[1:])} if path[0] in value else {}


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, generic or typed, the names of members too; to any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, msgspec.Struct):
            waiting += (getattr(item, name) for name in item.__struct_fields__)
        elif isinstance(item, msgspec.Raw):
            yield str(item, "utf-8")
        elif hasattr(item, "__dict__"):
            waiting += vars(item).values()
