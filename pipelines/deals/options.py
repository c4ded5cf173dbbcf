"""The options that only the pipelines of Filecoin's deals have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

LOTUS_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--lotus-api",
        metavar="URL",
        envvar=["ETL_LOTUS_API", "LOTUS_API"],
        help="A Lotus node: the head and robust addresses are asked of it.",
    ),
    click.option(
        "--lotus-token",
        metavar="TOKEN",
        envvar=["ETL_LOTUS_TOKEN", "LOTUS_TOKEN"],
        help="Its token; better in the environment, which others do not see.",
    ),
)

OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--client",
        multiple=True,
        metavar="ADDRESS",
        help="A wallet to track; repeatable.  [default: the table wallets]",
    ),
    click.option(
        "--clients-file",
        type=click.Path(path_type=Path),
        help="A file of wallets, one a line.",
    ),
    *LOTUS_OPTIONS,
    click.option(
        "--head-epoch",
        type=click.IntRange(min=0),
        help="The epoch at which states are derived.  [default: the Lotus node's, or by the clock]",
    ),
)
