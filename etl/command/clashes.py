"""What a pipeline may not name as it likes: what the command and the ledger have themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from etl.declare.checks import own_options, spellings
from etl.declare.mistakes import wrong
from etl.declare.pipeline import Pipeline
from etl.ledger.report import COMMON


def refuse_clashes(pipeline: Pipeline, decorators: Sequence[Callable[[Any], Any]]) -> None:
    """See that a pipeline's options and figures have names of their own.

    `decorators` make the options that `etl run` has for every pipeline.

    Raises:
        ConfigurationError: they do not, in a sentence.
    """
    for figure in (*pipeline.figures, *pipeline.counts):
        if figure in COMMON:
            said = f"every report has {figure}, and {', '.join(COMMON)}"
            raise wrong(pipeline.name, f"figures and counts: {said}")
    taken = {text: option for option in _made(decorators) for text in (*spellings(option), option.name)}
    for option in own_options(pipeline):
        for text in (*spellings(option), option.name):
            if text in taken:
                clash = "/".join(taken[text].opts)
                raise wrong(pipeline.name, f"options: {text} is taken: etl run has {clash} itself")


def _made(decorators: Sequence[Callable[[Any], Any]]) -> list[click.Parameter]:
    def command() -> None: ...

    for decorate in decorators:
        decorate(command)
    return list(getattr(command, "__click_params__", []))
