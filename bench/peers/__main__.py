"""`python -m bench.peers`: measure the systems, print tables, write the results and a chart of them."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from bench.measure import CommandFailed
from bench.peers.chart import chart
from bench.peers.rounds import Rounds, say
from bench.peers.shown import tables
from bench.peers.table import GROUPS
from bench.report import heading, machine
from bench.workbench import Workbench
from pipelines.deals.sample import TRACKED

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.argument("groups", nargs=-1, type=click.Choice([group.name for group in GROUPS]))
@click.option(
    "--records", type=click.IntRange(100), default=2_000_000, help="Of the feed; 200000 to try it out."
)
@click.option("--rounds", type=click.IntRange(1), default=3, help="How often each system is timed.")
@click.option("--wallet", "wallets", multiple=True, default=TRACKED, help="Whose deals are wanted.")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data/bench"),
    help="Where feeds are kept.",
)  # fmt: skip
@click.option(
    "--python", type=_FILE, default=Path(".venv-peers/bin/python"), help="That of the other systems."
)
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Also write the figures to a file.")
@click.option(
    "--from", "from_file", type=_FILE, metavar="FILE", help="Show what --json wrote, run nothing."
)
@click.option("--markdown", is_flag=True, help="Print tables of Markdown.")
@click.option("--chart", "chart_file", type=_FILE, metavar="FILE", help="Write a chart to a file, as SVG.")
def main(
    groups: tuple[str, ...], records: int, rounds: int, wallets: tuple[str, ...], data: Path, python: Path,
    json_file: Path | None, from_file: Path | None, markdown: bool, chart_file: Path | None,
) -> None:  # fmt: skip
    """Measure etl and other systems at the same work, in turn; all GROUPS unless some are named."""
    if from_file is not None:
        results = json.loads(from_file.read_text(encoding="utf-8"))
    else:
        try:
            results = _measured(groups, records, rounds, wallets, data, python)
        except CommandFailed as error:
            say(f"bench: {error}")
            sys.exit(2)
    if json_file is not None:
        json_file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if chart_file is not None:
        chart_file.parent.mkdir(parents=True, exist_ok=True)
        chart_file.write_text(chart(results), encoding="utf-8")
    if not markdown:
        click.echo(heading(results["machine"]) + "\n")
    click.echo(tables(results, markdown))
    for group in results["groups"]:
        for entry in group["systems"]:
            if entry["fault"]:
                say(f"{group['name']}: {entry['name']}, {entry['reads']}: {entry['fault']}")


def _measured(
    groups: tuple[str, ...], records: int, rounds: int, wallets: tuple[str, ...], data: Path, python: Path
) -> dict[str, Any]:
    if shutil.which("zstd") is None:
        raise CommandFailed("the command zstd is needed, and is not on the PATH")
    if not python.is_file():
        say(f"{python}: not there, so that only this system is measured (`make bench-peers` sets it up)")
    about = machine()
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=data) as scratch:
        everything = Rounds(Workbench(data, Path(scratch), records, rounds), python, wallets)
        found = [everything.group(group) for group in GROUPS if group.name in groups or not groups]
    settings = {"records": records, "rounds": rounds, "wallets": list(wallets)}
    return {"machine": about, "settings": settings, "zstd": vars(everything.zstd), "groups": found}


if __name__ == "__main__":
    main(prog_name="python -m bench.peers")
