"""What a pipeline declares, checked when it is loaded: an author is told what is wrong, by its name."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click
import msgspec

from etl.declare.destination import Destination
from etl.declare.match import Match
from etl.declare.mistakes import failed, wrong
from etl.declare.pipeline import Pipeline, Selection
from etl.errors import ConfigurationError, EtlError, one_line

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
"""A pipeline's name is also that of a file, of a table in `etl.toml` and of a lock."""

_FIGURE = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""A figure's name is that of a column, on PostgreSQL of up to 63 bytes."""

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "summary": ((str,), "a text"),
    "match": ((tuple,), "a tuple of names"),
    "envelope": ((tuple,), "a tuple of names"),
    "options": ((tuple, list), "a tuple of click options"),
    "figures": ((tuple,), "a tuple of names"),
    "counts": ((tuple,), "a tuple of names"),
    "source": ((str, type(None)), "a text or None"),
    "source_variables": ((tuple,), "a tuple of names"),
    "named_sources": ((Mapping,), "a mapping from names to functions"),
    "stale_after": ((timedelta, type(None)), "a timedelta or None"),
    "database": ((str, type(None)), "a text or None"),
    "version": ((str,), "a text"),
}
"""Of which types the fields are that take plain values, and how to say that."""

_CALLS: Mapping[str, tuple[str, ...]] = {
    "row": ("key", "record", "selection"),
    "select": ("options",),
    "unmatched": ("opening", "selection"),
}
"""The fields that are functions, and what these are called with."""


def checked(name: str, pipeline: object) -> Pipeline:
    """Return a pipeline that declares what can be.

    Raises:
        ConfigurationError: it does not, in a sentence.
    """
    if not isinstance(pipeline, Pipeline):
        raise wrong(name, f"PIPELINE names {_kind(pipeline)}, not a Pipeline")
    if not isinstance(pipeline.name, str) or not _NAME.fullmatch(pipeline.name):
        shown = one_line(pipeline.name) if isinstance(pipeline.name, str) else _kind(pipeline.name)
        raise wrong(
            name, f"its name is “{shown}”: a name is made of up to 63 ASCII letters, digits, “_” and “-”"
        )
    for part, (kinds, expected) in _KINDS.items():
        value: Any = getattr(pipeline, part)
        items = value if expected == "a tuple of names" and isinstance(value, tuple) else ()
        if not isinstance(value, kinds) or not all(isinstance(item, str) for item in items):
            raise wrong(name, f"{part} is {_kind(value)}, not {expected}")
    _check_record(name, pipeline.record)
    _check_match(name, pipeline)
    for part, arguments in _CALLS.items():
        if part != "unmatched" or pipeline.unmatched is not None:
            _check_call(name, part, getattr(pipeline, part), arguments)
    sources: Mapping[str, object] = pipeline.named_sources
    for source, function in sources.items():
        _check_call(name, f"the named source {source}", function, ("options",))
    if pipeline.stale_after is not None and pipeline.stale_after <= timedelta():
        raise wrong(name, f"stale_after is {pipeline.stale_after}, which no feed can be younger than")
    _check_figures(name, pipeline)
    own_options(pipeline, name)
    if not isinstance(pipeline.destination, Destination):
        raise wrong(name, f"destination is {_kind(pipeline.destination)}, not a Destination")
    try:
        pipeline.destination.check(pipeline.record)
    except ValueError as error:
        raise wrong(name, f"destination: {error}") from None
    return pipeline


def _check_record(name: str, record: object) -> None:
    if not (isinstance(record, type) and issubclass(record, msgspec.Struct)):
        raise wrong(name, f"record is {_kind(record)}, not a subclass of msgspec.Struct")
    try:
        fields = msgspec.structs.fields(record)
        msgspec.json.Decoder(record)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        raise wrong(
            name, f"record: {record.__name__} cannot be decoded: {one_line(str(error)).removesuffix('.')}"
        ) from None
    if not fields:
        raise wrong(name, f"record: {record.__name__} has no members")


def _check_match(name: str, pipeline: Pipeline) -> None:
    try:
        match = Match(pipeline.record, pipeline.match)
    except ValueError as error:
        raise wrong(name, f"match: {error}") from None
    if match.kind in (bool, int, float) or isinstance(match.kind, type(msgspec.Struct)):
        where = ".".join(pipeline.match)
        raise wrong(name, f"match: the member {where} is of the type {match.kind.__name__}, not a text")


def _check_call(name: str, part: str, function: object, arguments: tuple[str, ...]) -> None:
    if not callable(function):
        raise wrong(name, f"{part} is {_kind(function)}, not a function")
    try:
        inspect.signature(function).bind(*[None] * len(arguments))
    except TypeError:
        raise wrong(name, f"{part} does not take ({', '.join(arguments)})") from None
    except ValueError:  # one that does not tell
        return


def _check_figures(name: str, pipeline: Pipeline) -> None:
    declared = (*pipeline.figures, *pipeline.counts)
    for figure in declared:
        if not _FIGURE.fullmatch(figure):
            named = "a name of up to 63 lower-case letters, digits and “_”"
            raise wrong(name, f"figures and counts: “{one_line(figure)}” is not {named}")
    for figure, times in Counter(declared).items():
        if times > 1:
            raise wrong(name, f"figures and counts: {figure} is there twice")


def own_options(pipeline: Pipeline, name: str | None = None) -> list[click.Option]:
    """Return the options that a pipeline adds to `etl run`.

    Raises:
        ConfigurationError: one of its decorators does not make an option, or two make the same.
    """
    name = name or pipeline.name
    found: list[click.Option] = []
    for number, decorate in enumerate(pipeline.options, 1):
        added = _added(decorate)
        if len(added) != 1 or not isinstance(added[0], click.Option):
            raise wrong(name, f"options: number {number} is {_kind(decorate)}, not etl.option(...)")
        found += added
    for what, times in Counter(text for option in found for text in spellings(option)).items():
        if times > 1:
            raise wrong(name, f"options: {what} is there twice")
    return found


def spellings(option: click.Parameter) -> list[str]:
    """Return by what an option is known, on the command line and in the environment."""
    variables = [option.envvar] if isinstance(option.envvar, str) else [*(option.envvar or ())]
    automatic = [f"ETL_{(option.name or '').upper()}"] if option.envvar is None else []
    return [*option.opts, *option.secondary_opts, *variables, *automatic]


def _added(decorate: Any) -> list[Any]:
    """Return the parameters that a decorator adds to a command; none, if it does not."""

    def command() -> None: ...

    if not callable(decorate):
        return []
    try:
        decorate(command)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return []
    return list(getattr(command, "__click_params__", []))


def _kind(value: object) -> str:
    kind = value.__name__ if isinstance(value, type) else type(value).__name__
    return f"the class {kind}" if isinstance(value, type) else f"a value of the type {kind}"


# The selection of a run --------------------------------------------------------------------------------


def selected(pipeline: Pipeline, options: Mapping[str, Any]) -> Selection:
    """Return what a pipeline selects.

    Raises:
        ConfigurationError: it is no selection, or not of texts.
        EtlError: as the pipeline says.
        PipelineFailed: it fails otherwise.
    """
    try:
        selection = pipeline.select(options)
    except (EtlError, click.ClickException):
        raise
    except Exception as error:
        raise ConfigurationError(failed(pipeline, "select", error).message) from None
    if not isinstance(selection, Selection):
        raise wrong(pipeline.name, f"select returns {_kind(selection)}, not a Selection")
    _check_figures_given(pipeline, selection)
    wanted: object = selection.wanted
    if wanted is None:
        return selection
    if not pipeline.match:
        raise wrong(
            pipeline.name, "select wants some records only, but match says nothing of what is tested"
        )
    if not isinstance(wanted, set | frozenset):
        raise wrong(pipeline.name, f"what select wants is {_kind(wanted)}, not a set of texts")
    for value in wanted:
        if not isinstance(value, str):
            raise wrong(pipeline.name, f"among what select wants is {_kind(value)}, not a text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise wrong(pipeline.name, "among what select wants is a text that is not Unicode") from None
    return selection


def _check_figures_given(pipeline: Pipeline, selection: Selection) -> None:
    figures: object = selection.figures
    if not isinstance(figures, Mapping):
        raise wrong(pipeline.name, f"what select gives as figures is {_kind(figures)}, not a mapping")
    for name, value in figures.items():
        if name not in pipeline.figures:
            raise wrong(pipeline.name, f"select gives the figure {name}, which is not among its figures")
        if value is not None and (type(value) is not int or not -(2**63) <= value < 2**63):
            raise wrong(pipeline.name, f"the figure {name} is not a whole number of 64 bits")
