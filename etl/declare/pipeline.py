"""What a pipeline has to say: the whole interface between mechanism and policy.

A pipeline is a package `pipelines.<name>`, in any folder `pipelines` on Python's path. Its `__init__` is
light (it is imported to list what there is) and names the rest:

    SUMMARY   = "one line for the list"
    PIPELINE  = "pipelines.<name>.pipeline:PIPELINE"      a `Pipeline`
    COMMANDS  = {"wallets": "pipelines.<name>.wallets:wallets"}      further commands of `etl`, if any
    DATABASE  = "sqlite:///<name>.db"      the default
    SAMPLE    = "pipelines.<name>.sample:command"      `etl sample <name>`, if there is one
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from types import ModuleType
from typing import Any

import msgspec

from etl.declare.destination import Destination
from etl.declare.fingerprint import digest, digest_of
from etl.declare.location import Source
from etl.declare.mistakes import not_loaded, wrong
from etl.errors import ConfigurationError, EtlError, one_line


@dataclass(frozen=True)
class Selection:
    """Which records one run wants, and the point in time that it judges them by."""

    wanted: frozenset[str] | None
    """Values of the member that is tested; None is every record."""
    head_epoch: int | None
    """The feed's own time at which states are derived, where it has one."""

    @property
    def fingerprint(self) -> str:
        """A text that is equal only where the same would be selected from the same feed."""
        return digest(sorted(self.wanted) if self.wanted is not None else None)


@dataclass(frozen=True)
class Pipeline:
    """One data set: its records, and which of them are tested how."""

    name: str
    record: type[msgspec.Struct]
    """The members that are used, typed; all others are ignored."""
    match: tuple[str, ...]
    """The path, in a record, of the member that is tested; its first step marks a record."""
    envelope: tuple[str, ...]
    """Members of the root under which the records may be found (`result` in a JSON-RPC reply)."""
    row: Callable[[str | None, Any, Selection], tuple[Any, ...]]
    """From the key (None outside objects) and the record, to texts, integers of 64 bits, booleans and None;
    ValueError rejects it, with the reason."""
    destination: Destination
    """Where the rows go (`etl.sink.destinations` has the functions that make one)."""
    select: Callable[[Mapping[str, Any]], Selection]
    """From all the options, the pipeline's own among them, to the selection."""
    options: tuple[Callable[[Any], Any], ...]
    """click decorators of the options that only this data set has."""
    default_source: str
    source_variables: tuple[str, ...]
    """Environment variables that name the source, besides ETL_SOURCE."""
    named_sources: Mapping[str, Callable[[Mapping[str, Any]], Source]]
    """What `--source` may be besides a URI: from all the options to where that is."""
    stale_after: timedelta
    """How old a feed may be before there is a warning."""
    default_database: str
    unmatched: Callable[[bytes, Selection], str | None] | None = None
    """Where no record of a feed matched: from the feed's first bytes to what to warn of, if anything."""
    version: str = ""
    """To be changed when rows change though the package of none of the pipeline's parts does."""

    @cached_property
    def fingerprint(self) -> str:
        """A digest of what makes its rows: other code, another match, other columns give another one."""
        return digest_of(self)


def _package() -> ModuleType:
    return importlib.import_module("pipelines")


def names() -> list[str]:
    """Return the names of the pipelines that are installed."""
    return sorted({module.name for module in pkgutil.iter_modules(_package().__path__)})


def describe(name: str) -> ModuleType:
    """Return a pipeline's light module; `name` is one of `names()`.

    Raises:
        ConfigurationError: it cannot be imported, or is no pipeline.
    """
    with mistakes_named(name):
        module = importlib.import_module(f"{_package().__name__}.{name}")
    for part in ("SUMMARY", "PIPELINE"):
        if not isinstance(getattr(module, part, None), str):
            raise wrong(name, f"{module.__name__} has no text {part}")
    if not isinstance(getattr(module, "COMMANDS", {}), dict):
        raise wrong(name, "COMMANDS is no dict")
    return module


def summary(name: str) -> str:
    """Return the line for the list; of a pipeline that cannot be used, why."""
    try:
        return one_line(describe(name).SUMMARY)
    except ConfigurationError as error:
        return error.message.removeprefix(f"the pipeline {name} ")


@contextmanager
def mistakes_named(name: str) -> Iterator[None]:
    """Say of what goes wrong within that it is the pipeline's mistake; it may be anything.

    Raises:
        ConfigurationError: with the kind of error and its place.
    """
    try:
        yield
    except EtlError:
        raise
    except (Exception, SystemExit) as error:
        raise not_loaded(name, error) from None


def resolve(reference: str) -> Any:
    """Return the object that `package.module:name` names.

    Raises:
        ConfigurationError: there is none, or what it is in cannot be imported.
    """
    module, _, attribute = reference.partition(":")
    with mistakes_named(module.removeprefix(f"{_package().__name__}.").partition(".")[0]):
        return getattr(importlib.import_module(module), attribute)


def usual() -> str:
    """Return the name of the pipeline whose settings hold where none is named."""
    name: str = _package().USUAL
    return name


def load(name: str) -> Pipeline:
    """Import a pipeline; `name` is one of `names()`.

    Raises:
        ConfigurationError: it cannot be used; the text says why.
    """
    from etl.declare.checks import checked

    pipeline = checked(name, resolve(describe(name).PIPELINE))
    _ = pipeline.fingerprint  # of the code as it was loaded: a service may outlive an upgrade
    return pipeline


def commands() -> dict[str, str]:
    """Return the commands that the pipelines add to `etl`, by what names them.

    Those of a pipeline that cannot be used are left out.
    """
    found: dict[str, str] = {}
    for name in names():
        with suppress(ConfigurationError):
            found = {**getattr(describe(name), "COMMANDS", {}), **found}
    return found
