"""The feeds of a plan, opened one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from etl.declare.location import PATIENT, Source, Version
from etl.engine.plan import Plan
from etl.source.feed import Feed, errors_named, open_feed, warn_if_stale


@contextmanager
def opened(plan: Plan, source: Source, known: Version | None) -> Iterator[Feed | None]:
    """Open a source as the plan says; None if it still is in the version `known`.

    Raises:
        DataError, SourceUnavailable: here and within, with the source's name before what went wrong.
    """
    patience = replace(PATIENT, busy_seconds=plan.retry_for.total_seconds())
    with errors_named(source), open_feed(source, known, patience, plan.threads) as feed:
        version = known if feed is None else feed.version
        if version is not None:
            warn_if_stale(version, plan.stale_after)
        yield feed


def warnings_of(plan: Plan, openings: list[bytes]) -> list[str]:
    """Return what to warn of where no record matched, from the first bytes of the records of each feed."""
    if plan.pipeline.unmatched is None:
        return []
    warnings = dict.fromkeys(plan.pipeline.unmatched(opening, plan.selection) for opening in openings)
    return [warning for warning in warnings if warning]
