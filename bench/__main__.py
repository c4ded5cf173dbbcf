"""`python -m bench`: measure, print a table, and write the same as JSON where that is wanted."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import click

from bench.frames import frames
from bench.load import load
from bench.measure import CommandFailed
from bench.memory import memory
from bench.micro import micro
from bench.report import Part, as_json, heading, machine, table
from bench.speed import neighbour, speed
from bench.startup import startup
from bench.web import web
from bench.workbench import Workbench

PARTS = {
    "speed": speed, "neighbour": neighbour, "memory": memory, "startup": startup, "micro": micro,
    "load": load, "web": web, "frames": frames,
}  # fmt: skip


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option(
    "--records", type=click.IntRange(1), default=8_000_000, help="Of the feed; 200000 to try it out."
)
@click.option("--runs", type=click.IntRange(1), default=5, help="How often each pair is run.")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data/bench"),
    help="Where feeds are kept.",
)  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE",
    help="Also write the figures to a file.",
)  # fmt: skip
def main(parts: tuple[str, ...], records: int, runs: int, data: Path, json_file: Path | None) -> None:
    """Measure whole runs against `zstd -dc`, and the parts of a run; all PARTS unless some are named."""
    if shutil.which("zstd") is None:
        click.echo("bench: the command zstd is needed, and is not on the PATH", err=True)
        sys.exit(2)
    about = machine()
    click.echo(heading(about))
    measured: list[Part] = []
    failed = False
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=data) as scratch:
        try:
            bench = Workbench(data, Path(scratch), records, runs)
        except CommandFailed as error:
            click.echo(f"bench: {error}", err=True)
            sys.exit(2)
        for name in parts or PARTS:
            click.echo(f"measuring: {name}", err=True)
            try:
                measured.append(PARTS[name](bench))
            except (CommandFailed, OSError) as error:
                failed = True
                click.echo(f"bench: {name}: {error}", err=True)
            else:
                click.echo(table(measured[-1]))
    if json_file is not None:
        settings = {"records": records, "runs": runs, "parts": list(parts or PARTS)}
        text = json.dumps(as_json(about, settings, measured), indent=2)
        json_file.write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(prog_name="python -m bench")
