"""The options of the commands.

A setting comes from the command line, or else the environment, a file, or the default, in this order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etl.command import settings
from etl.command.duration import Duration
from etl.command.show import line
from etl.database.target import Target
from etl.declare import registry
from etl.declare.location import BUSY

if TYPE_CHECKING:
    from etl.declare.pipeline import Pipeline

Function = TypeVar("Function", bound=Callable[..., Any])
_WARNINGS = "etl.options.warnings"
_SETTINGS_FILE = "etl.settings"
"""Where it keeps which file settings were read from."""
_SCHEMA = "etl.schema"
"""Where click's context keeps the schema that was named, for the option that names the database."""

DATABASE_VARIABLES = ["ETL_DATABASE", "DATABASE_CONNECTION_STRING", "DATABASE_URL"]


class LazyOption(click.Option):
    """An option whose default takes an import: it is asked for when it is needed, or help shows it."""

    def __init__(self, *args: Any, later: Callable[[], str | None], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._later = later

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        """Return the default of the settings' file, or else what `later` returns."""
        known = super().get_default(ctx, call)
        return known if isinstance(known, str) else self._later()


def database_options(pipeline: str | None = None) -> Callable[[Function], Function]:
    """Return `--database` and `--config`, for the commands beside `run` that open a database.

    The default is the pipeline's, and so are the settings of its table in the file; without a name, that
    is the pipeline whose settings hold where none is named.
    """

    def name() -> str | None:
        return pipeline or registry.default_name()

    def default() -> str | None:
        found = name()
        return None if found is None else registry.find(found).database_url

    def add(function: Function) -> Function:
        return _config_option(name, strict=False)(_database_option(default)(_schema_option()(function)))

    return add


def _database_option(default: Callable[[], str | None]) -> Callable[[Function], Function]:
    return click.option(
        "--database", metavar="URL", cls=LazyOption, later=default, show_default=True,
        envvar=DATABASE_VARIABLES, callback=_target, help="The database, as a SQLAlchemy URL.",
    )  # fmt: skip


def _schema_option() -> Callable[[Function], Function]:
    return click.option(
        "--schema", metavar="NAME", envvar="ETL_SCHEMA", is_eager=True, expose_value=False,
        callback=_note_schema,
        help="The schema of our tables (PostgreSQL).  [default: the first of the search path]",
    )  # fmt: skip


def _note_schema(context: click.Context, _parameter: click.Parameter, name: str | None) -> None:
    context.meta[_SCHEMA] = name


def _target(context: click.Context, parameter: click.Parameter, url: str | None) -> Target:
    if url is None:
        raise click.MissingParameter(ctx=context, param=parameter)
    return Target(url, context.meta[_SCHEMA])


def _config_option(pipeline: Callable[[], str | None], strict: bool) -> Callable[[Function], Function]:
    return click.option(
        "--config", type=click.Path(path_type=Path), is_eager=True, expose_value=False,
        callback=partial(_read_config, pipeline, strict), metavar="FILE",
        help="Settings (TOML).  [default: etl.toml here, or $XDG_CONFIG_HOME/etl/config.toml]",
    )  # fmt: skip


def run_options(pipeline: Pipeline) -> list[Callable[[Any], Any]]:
    """Return the decorators of `etl run`'s options for a pipeline, its own among them, in help's order.

    Raises:
        ConfigurationError: the pipeline's own have names that are taken.
    """
    from etl.command.clashes import refuse_clashes

    first, rest = _options_of_feed(pipeline), _options_of_run(pipeline)
    refuse_clashes(pipeline, [*first, *rest])
    return [*first, *pipeline.options, *rest]


def _options_of_feed(pipeline: Pipeline) -> list[Callable[[Any], Any]]:
    usual = {"default": (pipeline.source,)} if pipeline.source is not None else {"required": True}
    return [
        _config_option(lambda: pipeline.name, strict=True),
        click.option(
            "--source", "sources", multiple=True, metavar="URI", **usual,
            type=SourceUri(), callback=_need_one,
            envvar=["ETL_SOURCE", *pipeline.source_variables], show_default=True,
            help=f"The feed: {', '.join(['a path', '- (standard input)', *pipeline.named_sources])}"
            " or an http(s) URL; repeatable, in the environment one a line.",
        ),
        _database_option(lambda: pipeline.database_url),
        _schema_option(),
    ]  # fmt: skip


def _options_of_run(pipeline: Pipeline) -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
            default=(output := pipeline.destination.default_output(pipeline.name)),
            show_default=output is not None,
            help="The file that the rows go to, in place of tables: .csv, .jsonl or .parquet;"
            " - is standard output.",
        ),
        click.option(
            "--workers", type=click.IntRange(0, 64),
            help="Worker processes; 0 does all in one process, that of the writer.  [default: one a core]",
        ),
        click.option(
            "--threads", type=click.IntRange(1, 64),
            help="To decompress zstd of several frames.  [default: one for two cores, at most 4]",
        ),
        click.option(
            "--batch-size", type=click.IntRange(1, 1_000_000),
            help="Rows in a bulk insert.  [default: 1,000; PostgreSQL 10,000]",
        ),
        click.option(
            "--on-error", type=click.Choice(["fail", "skip", "salvage"]), default="skip",
            show_default=True,
            help="Of invalid records: stop at the first, skip them, or skip even malformed JSON.",
        ),
        click.option(
            "--max-rejects", type=click.IntRange(min=0), default=100, show_default=True,
            help="How many records may be skipped.",
        ),
        click.option(
            "--rejects", "rejects_file", type=click.Path(path_type=Path), metavar="FILE",
            envvar="ETL_REJECTS", help="Also write them to a file (JSON lines; raw data).",
        ),
        click.option(
            "--temp-dir", type=click.Path(path_type=Path), metavar="DIR",
            help="For temporary files.  [default: TMPDIR, /var/tmp, /tmp, the database's folder]",
        ),
        click.option(
            "--overwrite", is_flag=True,
            help="Let an output replace a file that is there and of another kind.",
        ),
        click.option("--dry-run", is_flag=True, help="Do everything but the commit."),
        click.option("--limit", type=click.IntRange(min=1), help="Stop after so many matches."),
        click.option("--allow-empty", is_flag=True, help="A feed with no records is no error."),
        click.option("--wait-lock", is_flag=True, help="If another run is at work, wait for its end."),
        click.option(
            "--force", is_flag=True, help="Read the feed even if its server says that it has not changed.",
        ),
        click.option(
            "--interval", type=Duration(), metavar="TIME",
            help="Run again and again, each so long after the last one's start (1h, 90s), until stopped.",
        ),
        click.option(
            "--stale-after", type=Duration(), metavar="TIME", default=pipeline.stale_after,
            show_default=_spelled(pipeline.stale_after), help="Warn of a feed that is older.",
        ),
        click.option(
            "--retry-for", type=Duration(), metavar="TIME", default=BUSY, show_default="1m",
            help="How long to try again what a server cannot serve now (HTTP status 408, 429, 5xx).",
        ),
        click.option("--explain", is_flag=True, help="Print how the run would go, and stop."),
        click.option(
            "--progress/--no-progress", default=None, help="A progress bar.  [default: on a terminal]",
        ),
        click.option(
            "--json", "as_json", is_flag=True, envvar="ETL_JSON",
            help="Print the report as one JSON object.",
        ),
        click.option(
            "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
            help="How log lines look.",
        ),
        click.option("-v", "--verbose", is_flag=True, help="Log more."),
        click.option("-q", "--quiet", is_flag=True, help="Log errors only."),
        click.option("--chunk-bytes", type=click.IntRange(1), hidden=True),
        click.option("--record-bytes", type=click.IntRange(4096), hidden=True),
    ]  # fmt: skip


def _spelled(length: timedelta | None) -> str:
    return "never" if length is None else f"{length / timedelta(hours=1):g}h"


class SourceUri(click.ParamType[str]):
    """Where a feed is. A path may hold blanks: in the environment there is one source a line."""

    name = "uri"

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the lines that are not blank."""
        lines = (line.strip("\r") for line in rv.split("\n"))
        return [line for line in lines if line.strip()]


def _need_one(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    if not given:
        raise click.BadParameter("at least one source is needed")
    return given


def _read_config(
    pipeline: Callable[[], str | None],
    strict: bool,
    context: click.Context,
    _parameter: click.Parameter,
    given: Path | None,
) -> None:
    """Take the settings of a file as the defaults.

    Raises:
        ConfigurationError: the file cannot be read, or has a setting that there is not.
    """
    found = settings.read(given)
    context.meta[_SETTINGS_FILE] = found.file
    name = pipeline()
    known = {*registry.names(), *([] if name is None else [name])}
    context.default_map = settings.defaults(found, name, known, context, strict)
    if strict:
        context.meta[_WARNINGS] = found.warnings  # for the log, which is not set up yet
        return
    for warning in found.warnings:
        line(f"etl: {warning}", err=True)


def warnings_of(context: click.Context) -> list[str]:
    """Return what there is to warn of in the settings of `etl run`."""
    found: list[str] = context.meta.get(_WARNINGS, [])
    return found


def settings_file() -> Path | None:
    """Return the file that this command's settings were read from, if there was one."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_SETTINGS_FILE)
