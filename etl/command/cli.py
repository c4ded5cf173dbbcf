"""The command `etl`: arguments to options, options to a run, outcomes to exit statuses."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import datetime
from typing import Any

import click

from etl import __version__
from etl.command import streams
from etl.command.options import database_options, run_options, warnings_of
from etl.command.show import line, table
from etl.database.target import Target
from etl.declare import pipeline
from etl.engine import signals
from etl.errors import ConfigurationError, DatabaseError, stack_of, told
from etl.redaction import without_urls
from etl.text import rfc3339, visible


class _Pipelines(click.Group):
    """A group of one command for each pipeline; a pipeline is imported only when it is named."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return pipeline.names()

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return self.command_of(name) if name in self.list_commands(context) else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Pipelines"):
            formatter.write_dl([(n, pipeline.summary(n)) for n in self.list_commands(context)])

    def command_of(self, name: str) -> click.Command | None:
        raise NotImplementedError


class _Run(_Pipelines):
    def command_of(self, name: str) -> click.Command | None:
        loaded = pipeline.load(name)

        def command(**options: Any) -> None:
            from etl.command import logs
            from etl.command.run import run

            logs.set_up(options["log_format"], options["verbose"], options["quiet"])
            for warning in warnings_of(click.get_current_context()):
                logging.getLogger("etl").warning("%s", warning)
            run(loaded, options)

        with pipeline.mistakes_named(name):  # its own options are among them
            for option in reversed(run_options(loaded)):
                command = option(command)
        settings = {"auto_envvar_prefix": "ETL"}
        summary = f"{pipeline.describe(name).SUMMARY}."
        return click.command(name, help=summary, context_settings=settings)(command)


class _Sample(_Pipelines):
    def command_of(self, name: str) -> click.Command | None:
        reference = getattr(pipeline.describe(name), "SAMPLE", None)
        command: click.Command | None = reference and pipeline.resolve(reference)
        return command


def _unusable(name: str, error: ConfigurationError) -> click.Command:
    """Return a command that only says why there is none: the others are of use without it."""

    def command() -> None:
        raise error

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, settings, command, help=error.message)


class _Root(click.Group):
    """The commands here, and those that the pipelines add."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *pipeline.commands()])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if (command := super().get_command(context, name)) is not None:
            return command
        reference = pipeline.commands().get(name)
        try:
            return pipeline.resolve(reference) if reference is not None else None
        except ConfigurationError as error:
            return _unusable(name, error)


@click.command(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="sluice-etl")
def cli() -> None:
    """Your own records out of a giant JSON feed, into your database."""


@cli.command(cls=_Run)
def run() -> None:
    """Read a feed once, and merge the wanted records into the database."""


@cli.command(cls=_Sample)
def sample() -> None:
    """Write a synthetic feed of the real shape."""


@cli.command()
def pipelines() -> None:
    """List the pipelines that are installed."""
    for name in pipeline.names():
        line(f"{name}  {pipeline.summary(name)}")


@cli.command()
@click.argument("source")
@click.option("--pipeline", "name", default=pipeline.usual(), show_default=True, help="What to look for.")
def inspect(source: str, name: str) -> None:
    """Show what the first bytes of a feed tell: compression, shape, where the records are."""
    from etl.command.explain import opening_of, show
    from etl.declare.location import Source

    if name not in pipeline.names():
        raise click.BadParameter(f"one of {', '.join(pipeline.names())}", param_hint="--pipeline")
    show(opening_of(Source(source), pipeline.load(name)))


@cli.command()
@database_options(pipeline.usual())
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def history(database: Target, limit: int, as_json: bool) -> None:
    """Show the latest runs."""
    from etl.ledger import runs as ledger

    _print_rows(
        database,
        ledger.latest_runs(limit),
        as_json,
        ("run_id", "pipeline", "status", "started_at", "seconds", "records", "matched", "inserted",
         "updated", "rejected", "error"),
    )  # fmt: skip


@cli.command()
@database_options(pipeline.usual())
@click.option("--run", "run_id", type=int, help="Which run.  [default: the latest with rejects]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the raw bytes.")
def rejects(database: Target, run_id: int | None, as_json: bool) -> None:
    """Show the records that a run could not use."""
    from etl.ledger import runs as ledger

    shown = ("run_id", "sequence", "byte_offset", "key", "reason")
    _print_rows(database, ledger.rejects_of(run_id), as_json, shown)


def _print_rows(database: Target, query: Any, as_json: bool, shown: tuple[str, ...]) -> None:
    from etl.database.access import reading
    from etl.ledger import runs as ledger

    with reading(database, ledger.SCHEMA) as connection:
        rows = connection.execute(query).mappings().all() if connection is not None else []
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(row), default=_plain))
    elif rows:
        click.echo(table(shown, [[row[name] for name in shown] for row in rows]))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def main() -> None:
    """Run the command, and exit with the status that `etl.errors` gives."""
    streams.guard()
    signals.settle_inherited()
    try:
        status = cli.main(standalone_mode=False) or 0
        if (lost := streams.output_failure()) is not None:
            raise DatabaseError(f"standard output: {lost.strerror}")
    except click.ClickException as error:
        vars(error)["message"] = without_urls(error.message)  # it may repeat a secret
        said = io.StringIO()
        error.show(said)
        click.echo(visible(said.getvalue(), keep="\n"), err=True, nl=False)
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except Exception as error:
        failure = told("the parent process", error)
        if failure is not error:
            logging.getLogger("etl").debug("that came from:", extra={"stack": stack_of(error)})
        _say(failure.message)
        status = failure.exit_status
    signals.ignore_stopping()
    sys.exit(status)


def _say(message: str) -> None:
    """Say why the command failed, in the way in which it logs."""
    from etl.command import logs

    if logs.is_json():
        logging.getLogger("etl").error("%s", message)
    else:
        line(f"etl: {message}", err=True)
