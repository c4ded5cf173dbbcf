"""`etl run deals` up to the end of staging: `python -m bench.staged OPTIONS`, the options being its own.

It is the same run in everything but that its merge has no steps, so its end is that of staging and the
ledger's row.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from etl.command.options import run_options
from etl.command.run import run
from etl.sink.destinations import tables
from pipelines.deals.pipeline import PIPELINE as DEALS

PIPELINE = replace(DEALS, destination=tables("bench.staged_store:STORE"))


def main() -> None:
    """Run as the command line says."""

    def command(**options: Any) -> None:
        run(PIPELINE, options)

    for option in reversed(run_options(PIPELINE)):
        command = option(command)
    click.command("bench.staged")(command)()


if __name__ == "__main__":
    main()
