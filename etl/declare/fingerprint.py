"""Digests that tell whether the same would come of a feed that has not changed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from etl import __version__


def digest(*parts: Any) -> str:
    """Return a digest of JSON values, equal only where all of them are."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def digest_of(
    declared: Any,
    record: type[msgspec.Struct],
    parts: Iterable[object],
    modules: Iterable[str],
) -> str:
    """Return a digest of all that is known of what a pipeline makes of a record.

    That is what it declares, and the source of the packages that its parts (functions and classes)
    and further modules are from, as it is now.
    """
    files = sorted(set(_files(parts, modules)))
    sources = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    return digest(__version__, declared, list(_members(record)), sources)


def _members(record: type[msgspec.Struct]) -> Iterator[tuple[str, str, bool]]:
    for field in msgspec.structs.fields(record):
        yield field.encode_name, str(field.type), field.required


def _files(parts: Iterable[object], modules: Iterable[str]) -> Iterator[Path]:
    """Yield the source files of the packages of a pipeline's parts; some may have none."""
    names = {getattr(part, "__module__", None) for part in parts}
    names |= set(modules)
    for name in names:
        try:
            spec = importlib.util.find_spec(name) if name else None
        except (ImportError, ValueError):
            continue
        if spec is None or not spec.has_location or spec.origin is None:
            continue
        file = Path(spec.origin)
        yield from (
            path for path in (file.parent.rglob("*.py") if spec.parent else [file]) if path.is_file()
        )
