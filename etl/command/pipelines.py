"""The groups of commands with one command a pipeline, and the commands that other packages add."""

from __future__ import annotations

import logging
from typing import Any

import click

from etl.declare import registry
from etl.errors import ConfigurationError, one_line


def summary(name: str) -> str:
    """Return the line for the list of pipelines; of one that cannot be used, why."""
    from etl.command.options import run_options

    try:
        pipeline = registry.find(name)
        run_options(pipeline)  # which refuses names that are taken
    except ConfigurationError as error:
        return error.message.removeprefix(f"the pipeline {name} ")
    return one_line(pipeline.summary)


class RunGroup(click.Group):
    """`etl run`: a command for each pipeline, installed or named as a file or a module."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the names of the pipelines that are installed."""
        return registry.names()

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Return the command that runs a pipeline, which is imported now."""
        return _run_command(name) if registry.is_one(name) else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of pipelines."""
        with formatter.section("Pipelines"):
            formatter.write_dl([(name, summary(name)) for name in self.list_commands(context)])
        with formatter.section("Others"):
            formatter.write_dl([("./FILE.py, PACKAGE.MODULE", "A pipeline that is not installed.")])


def _run_command(name: str) -> click.Command:
    from etl.command.options import run_options, warnings_of

    loaded = registry.load(name)

    def command(**options: Any) -> None:
        from etl.command import logs
        from etl.command.run import run

        logs.set_up(options["log_format"], options["verbose"], options["quiet"])
        for warning in warnings_of(click.get_current_context()):
            logging.getLogger("etl").warning("%s", warning)
        run(loaded, options)

    with registry.mistakes_named(f"the pipeline {name}"):  # its own options are among them
        for option in reversed(run_options(loaded)):
            command = option(command)
    settings = {"auto_envvar_prefix": "ETL"}
    said = one_line(loaded.summary).rstrip(".")
    return click.command(name, help=said and f"{said}.", context_settings=settings)(command)


class PluginGroup(click.Group):
    """The commands that are defined here, and those that packages add by the entry points of a group."""

    entry_points = registry.COMMANDS

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(context), *registry.names(self.entry_points)})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command; what a package adds is imported now."""
        if (command := super().get_command(context, name)) is not None:
            return command
        if name not in registry.names(self.entry_points):
            return None
        try:
            found = registry.resolve_entry(self.entry_points, name)
            if isinstance(found, click.Command):
                return found
            what = f"it is of the type {type(found).__name__}, and no click.Command"
            raise ConfigurationError(f"the command {one_line(name)} cannot be used: {what}")
        except ConfigurationError as error:
            return _unusable(name, error)


class SampleGroup(PluginGroup):
    """`etl sample`: a command for each data set that has synthetic feeds."""

    entry_points = registry.SAMPLES


def _unusable(name: str, error: ConfigurationError) -> click.Command:
    """Return a command that only says why there is none: the others are of use without it."""

    def command() -> None:
        raise error

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, settings, command, help=error.message)
