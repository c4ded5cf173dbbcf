"""The command `etl`: arguments to options, options to a run, outcomes to exit statuses."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from etl import __version__
from etl.command import streams
from etl.command.options import LazyOption, database_options
from etl.command.pipelines import PluginGroup, RunGroup, SampleGroup, summary
from etl.command.show import line, table
from etl.database.target import Target
from etl.declare import registry
from etl.engine import signals
from etl.errors import DatabaseError, ProcessDied, reported, stack_of
from etl.redaction import without_urls
from etl.text import rfc3339, visible


@click.command(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="sluice-etl")
def cli() -> None:
    """Your own records out of a giant JSON feed, into your database."""


@cli.command(cls=RunGroup)
def run() -> None:
    """Read a feed once, and merge the wanted records into the database."""


@cli.command(cls=SampleGroup)
def sample() -> None:
    """Write a synthetic feed of the real shape."""


@cli.command()
def pipelines() -> None:
    """List the pipelines that are installed."""
    for name in registry.names():
        line(f"{name}  {summary(name)}")


@cli.command()
@click.argument("source")
@click.option(
    "--pipeline", "name", cls=LazyOption, later=registry.default_name, show_default=True,
    help="What to look for.",
)  # fmt: skip
def inspect(source: str, name: str | None) -> None:
    """Show what the first bytes of a feed tell: compression, shape, where the records are."""
    from etl.command.explain import opening_of, show
    from etl.declare.location import Source

    if name is None or not registry.is_one(name):
        raise click.BadParameter(f"one of {', '.join(registry.names())}", param_hint="--pipeline")
    show(opening_of(Source(source), registry.load(name)))


@cli.command()
@database_options()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def history(database: Target, limit: int, as_json: bool) -> None:
    """Show the latest runs."""
    from etl.ledger import runs as ledger

    _print_rows(
        database,
        lambda connection: ledger.latest_runs(connection, limit),
        as_json,
        ("run_id", "pipeline", "status", "started_at", "seconds", "records", "matched", "inserted",
         "updated", "rejected", "error"),
    )  # fmt: skip


@cli.command()
@database_options()
@click.option("--run", "run_id", type=int, help="Which run.  [default: the latest with rejects]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the raw bytes.")
def rejects(database: Target, run_id: int | None, as_json: bool) -> None:
    """Show the records that a run could not use."""
    from etl.ledger import runs as ledger

    shown = ("run_id", "sequence", "byte_offset", "key", "reason")
    _print_rows(database, lambda connection: ledger.rejects_of(connection, run_id), as_json, shown)


def _print_rows(
    database: Target, query: Callable[[Any], Any], as_json: bool, shown: tuple[str, ...]
) -> None:
    from etl.database.access import reading
    from etl.ledger import runs as ledger

    with reading(database, ledger.SCHEMA) as connection:
        rows = connection.execute(query(connection)).mappings().all() if connection is not None else []
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
        status = _fail(error)
    signals.ignore_stopping()
    sys.exit(status)


def _fail(error: Exception) -> int:
    """Say why the command failed; return its exit status."""
    try:
        failure = reported("the parent process", error)
        if failure is not error:
            logging.getLogger("etl").debug("that came from:", extra={"stack": stack_of(error)})
        _say(failure.message)
        return failure.exit_status
    except MemoryError:  # not even for that
        with suppress(OSError):
            os.write(2, b"etl: the parent process cannot go on: Cannot allocate memory\n")
        return ProcessDied.exit_status


def _say(message: str) -> None:
    """Say why the command failed, in the way in which it logs."""
    from etl.command import logs

    if logs.is_json():
        logging.getLogger("etl").error("%s", message)
    else:
        line(f"etl: {message}", err=True)
