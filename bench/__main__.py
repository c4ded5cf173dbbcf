"""`python -m bench`: measure, print a table, and write the same as JSON where that is wanted."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from bench.decoders import decoders
from bench.dense import dense
from bench.frames import frames
from bench.load import load
from bench.measure import CommandFailed
from bench.memory import memory
from bench.micro import micro
from bench.neighbour import neighbour
from bench.report import Part, as_json, from_json, heading, machine, markdown, table
from bench.speed import speed
from bench.startup import startup
from bench.wallets import wallets
from bench.web import web
from bench.workbench import Workbench
from bench.workers import workers

PARTS = {
    "speed": speed,
    "neighbour": neighbour,
    "decoders": decoders,
    "wallets": wallets,
    "workers": workers,
    "dense": dense,
    "memory": memory,
    "startup": startup,
    "micro": micro,
    "load": load,
    "web": web,
    "frames": frames,
}

_FILE = click.Path(dir_okay=False, path_type=Path)


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
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Also write the figures to a file.")
@click.option(
    "--from", "from_file", type=_FILE, metavar="FILE", help="Show what --json wrote, run nothing."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print tables of Markdown.")
def main(
    parts: tuple[str, ...], records: int, runs: int, data: Path, json_file: Path | None,
    from_file: Path | None, as_markdown: bool,
) -> None:  # fmt: skip
    """Measure whole runs against `zstd -dc`, and the parts of a run; all PARTS unless some are named.

    What they take is for 5 runs on 2 cores: 8 minutes in all. Feeds are made first, once, which takes some
    minutes more, and 10 GB.

    \b
    speed      few records wanted, compressed and plain      60 s
    neighbour  beside a zstd -dc beside a scan of memory     40 s
    decoders   gzip and LZ4                                  45 s
    wallets    1 to 10,000 wallets                           75 s
    workers    1, 2 and 4 workers on a plain file            40 s
    dense      every record to Parquet, many to SQLite       80 s
    memory     memory and time for 1, 4 and 16 GB            30 s
    startup    ten records                                    5 s
    micro      the parts of a run in one process             10 s
    load       rows into PostgreSQL, beside psql; SQLite     35 s
    web        over HTTP beside from the disk                30 s
    """
    shown = markdown if as_markdown else table
    if from_file is not None:
        written = json.loads(from_file.read_text(encoding="utf-8"))
        click.echo(heading(written["machine"]))
        for part in from_json(written["parts"]):
            click.echo(shown(part))
        return
    if shutil.which("zstd") is None:
        click.echo("bench: the command zstd is needed, and is not on the PATH", err=True)
        sys.exit(2)
    about = machine()
    click.echo(heading(about))
    measured, failed = _measured(parts or tuple(PARTS), records, runs, data, shown)
    if json_file is not None:
        settings = {"records": records, "runs": runs, "parts": list(parts or PARTS)}
        text = json.dumps(as_json(about, settings, measured), indent=2)
        json_file.write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


def _measured(
    parts: tuple[str, ...], records: int, runs: int, data: Path, shown: Callable[[Part], str]
) -> tuple[list[Part], bool]:
    """Return the parts, which were also printed, each at its end; and whether one failed."""
    measured: list[Part] = []
    failed = False
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=data) as scratch:
        try:
            bench = Workbench(data, Path(scratch), records, runs)
        except CommandFailed as error:
            click.echo(f"bench: {error}", err=True)
            sys.exit(2)
        for name in parts:
            click.echo(f"measuring: {name}", err=True)
            started = time.monotonic()
            try:
                measured.append(PARTS[name](bench))
            except (CommandFailed, OSError) as error:
                failed = True
                click.echo(f"bench: {name}: {error}", err=True)
            else:
                click.echo(shown(measured[-1]))
            click.echo(f"{name}: {time.monotonic() - started:.0f} s", err=True)
    return measured, failed


if __name__ == "__main__":
    main(prog_name="python -m bench")
