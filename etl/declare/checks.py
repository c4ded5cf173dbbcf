"""What a pipeline declares, checked when it is loaded: an author is told what is wrong, by its name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
import msgspec

from etl.declare.destination import Destination
from etl.declare.match import Match
from etl.declare.mistakes import failed, wrong
from etl.declare.pipeline import Pipeline, Selection
from etl.errors import ConfigurationError, EtlError

if TYPE_CHECKING:
    from collections.abc import Callable


def checked(name: str, pipeline: object) -> Pipeline:
    """Return a pipeline that declares what can be.

    Raises:
        ConfigurationError: it does not, in a sentence.
    """
    if not isinstance(pipeline, Pipeline):
        raise wrong(name, f"PIPELINE names {_kind(pipeline)}, not a Pipeline")
    if not (isinstance(pipeline.record, type) and issubclass(pipeline.record, msgspec.Struct)):
        raise wrong(name, f"record is {_kind(pipeline.record)}, not a subclass of msgspec.Struct")
    for part in ("match", "envelope"):
        _check_names(name, part, getattr(pipeline, part))
    if len(pipeline.match) < 2:
        raise wrong(
            name, "match needs two steps: a record is known by the first, a member that is an object"
        )
    try:
        Match(pipeline.record, pipeline.match)
    except ValueError as error:
        raise wrong(name, f"match: {error}") from None
    _check_call(name, "row", pipeline.row, 3, "key, record, selection")
    _check_call(name, "select", pipeline.select, 1, "options")
    if not isinstance(pipeline.destination, Destination):
        raise wrong(name, f"destination is {_kind(pipeline.destination)}, not a Destination")
    try:
        pipeline.destination.check(pipeline.record)
    except ValueError as error:
        raise wrong(name, f"destination: {error}") from None
    return pipeline


def _check_names(name: str, part: str, value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise wrong(name, f"{part} is {_kind(value)}, not a tuple of names")


def _check_call(name: str, part: str, function: Callable[..., Any], count: int, arguments: str) -> None:
    if not callable(function):
        raise wrong(name, f"{part} is {_kind(function)}, not a function")
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        raise wrong(name, f"{part} does not take ({arguments})") from None
    except ValueError:  # one that does not tell
        return


def _kind(value: object) -> str:
    kind = value.__name__ if isinstance(value, type) else type(value).__name__
    return f"the class {kind}" if isinstance(value, type) else f"a value of the type {kind}"


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
    wanted: object = selection.wanted
    if wanted is None:
        return selection
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
