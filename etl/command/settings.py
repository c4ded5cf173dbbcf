"""The settings file: where it is, whether it can be trusted, and which settings it may hold."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

import click

from etl.errors import ConfigurationError

_NAMED = "(--config names it all the same)"


class Found(NamedTuple):
    """The settings of a file, not checked yet, and what to warn of."""

    file: Path | None
    settings: dict[str, Any]
    warnings: list[str]


def read(named: Path | None) -> Found:
    """Read the file that is named, or else the one that is found, if any.

    Looked for are `etl.toml` in the working directory and `etl/config.toml` in the user's folder of
    settings (XDG Base Directory Specification). What cannot be looked at is not there. A file that was
    found and that somebody else could have written is not read: it could send a token from the environment
    to wherever it likes.

    Raises:
        ConfigurationError: the file cannot be read, or is not TOML.
    """
    if named is not None:
        try:
            return Found(named, _parsed(named, named.read_bytes()), [])
        except OSError as error:
            raise ConfigurationError(f"{named}: {error.strerror}") from None
    warnings: list[str] = []
    for file in _candidates():
        data, doubt = _read_if_ours(file)
        if data is not None:
            return Found(file, _parsed(file, data), warnings)
        if doubt is not None:
            warnings.append(f"{file} is not read: {doubt} {_NAMED}")
    return Found(None, {}, warnings)


def _candidates() -> list[Path]:
    return [Path("etl.toml"), *(folder / "etl" / "config.toml" for folder in _user_folder())]


def _user_folder() -> list[Path]:
    """Return the user's folder of settings, if there is one; a path that is not absolute names none."""
    if (given := os.environ.get("XDG_CONFIG_HOME")) and os.path.isabs(given):
        return [Path(given)]
    try:
        home = Path.home()
    except (RuntimeError, OSError):  # neither HOME nor an entry in the user database
        return []
    return [home / ".config"] if home.is_absolute() else []


def _read_if_ours(file: Path) -> tuple[bytes | None, str | None]:
    """Return what stands in a file; or why it is not to be believed; or nothing, if it is no file.

    Raises:
        ConfigurationError: it is ours, and cannot be read.
    """
    try:
        link, status = os.lstat(file), os.stat(file)
    except OSError:
        return None, None
    if not stat.S_ISREG(status.st_mode):
        return None, None
    if (doubt := _doubt(link, status)) is not None:
        return None, doubt
    try:
        with open(file, "rb", opener=_without_waiting) as opened:
            doubt = _doubt(link, os.fstat(opened.fileno()))  # it may be another one by now
            return (opened.read(), None) if doubt is None else (None, doubt)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None


def _doubt(link: os.stat_result, status: os.stat_result) -> str | None:
    """Say why a file is not to be believed; what is root's is, as root could do anything."""
    if not {link.st_uid, status.st_uid} <= {os.geteuid(), 0}:
        return "it belongs to another user"
    return "everybody may write to it" if status.st_mode & stat.S_IWOTH else None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # as a pipe without a writer would have it


def _parsed(file: Path, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not all that it raises is a TOMLDecodeError
        why = error if isinstance(error, ValueError) else "nested too deeply"
        raise ConfigurationError(f"{file}: not TOML: {why}") from None


def defaults(
    found: Found, pipeline: str | None, pipelines: Collection[str], context: click.Context, strict: bool
) -> dict[str, Any]:
    """Return the settings by option: those at the top level, and over them those of the pipeline's table.

    The file is written for `etl run`; the other commands pass over what is not theirs (not `strict`).

    Raises:
        ConfigurationError: there is no such setting, or its value is of the wrong type or out of bounds.
    """
    options = {_setting(p): p for p in context.command.params if isinstance(p, click.Option)}
    options = {name: option for name, option in options.items() if name not in ("config", "help")}
    given: dict[str, Any] = {}
    wrong: list[str] = []
    for name, value in found.settings.items():
        if not isinstance(value, dict) or _key(name) in options:
            _take(given, wrong, name, value)
        elif name not in pipelines:
            found.warnings.append(f"{found.file}: there is no pipeline “{name}”: its settings are not read")
    own = found.settings.get(pipeline, {}) if pipeline is not None else {}
    if isinstance(own, dict):
        over: dict[str, Any] = {}
        for name, value in own.items():
            _take(over, wrong, name, value)
        given |= over
    if strict:
        wrong += [f"there is no setting “{name}”" for name in given if name not in options]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if (option := options.get(name)) is None:
            continue
        assert option.name is not None
        try:
            values[option.name] = _checked(option, value, context)
        except ValueError as error:
            wrong.append(f"{name.replace('_', '-')}: {error}")
    if wrong:
        raise ConfigurationError(f"{found.file}: {'; '.join(wrong)}")
    return values


def _take(given: dict[str, Any], wrong: list[str], name: str, value: Any) -> None:
    """Add a setting, which may be spelled with - or _, but not with both."""
    if _key(name) in given:
        wrong.append(f"{name} is set twice, with - and with _")
    given[_key(name)] = value


def _key(name: str) -> str:
    return name.replace("-", "_")


def _setting(option: click.Parameter) -> str:
    """Return an option's name in a file: that of its long form."""
    long = next((text for text in option.opts if text.startswith("--")), "")
    return _key(long.removeprefix("--"))


def _checked(option: click.Option, value: Any, context: click.Context) -> Any:
    """Return a setting's value, as the option takes it.

    Raises:
        ValueError: it is of the wrong type, or out of bounds, with what was expected.
    """
    if not option.multiple:
        return _checked_one(option, value, context, "")
    if not isinstance(value, list):
        return [_checked_one(option, value, context, ", or a list of such,")]
    if not value and option.default:
        raise ValueError("the list is empty")
    return [_checked_one(option, each, context, " in the list") for each in value]


def _checked_one(option: click.Option, value: Any, context: click.Context, more: str) -> Any:
    types, expected = _expected(option)
    if isinstance(value, bool) != (bool in types) or not isinstance(value, types):
        raise ValueError(f"{expected}{more} is expected, not {_kind(value)}")
    try:
        option.type.convert(value, option, context)
    except click.UsageError as error:
        raise ValueError(" ".join(error.message.split()).rstrip(".")) from None
    return value


def _expected(option: click.Option) -> tuple[tuple[type, ...], str]:
    """Return the types of values that an option takes, and how to say that."""
    kind = option.type
    if option.is_flag or isinstance(kind, click.types.BoolParamType):
        return (bool,), "true or false"
    if isinstance(kind, click.types.IntParamType):
        return (int,), "a whole number"
    if isinstance(kind, click.types.FloatParamType):
        return (int, float), "a number"
    if isinstance(kind, click.Choice):
        return (str,), f"one of {', '.join(map(str, kind.choices))}"
    if getattr(kind, "takes_numbers", False):
        return (str, int), "text or a whole number"
    return (str,), "text"


_KINDS: Mapping[type, str] = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list",
    dict: "a table", datetime: "a date and time", date: "a date", time: "a time",
}  # fmt: skip


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)
