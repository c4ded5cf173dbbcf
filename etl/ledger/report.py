"""What a run did, as it is reported and kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from etl.errors import FiguresDisagree

_OUTCOMES = ("inserted", "updated", "unchanged", "duplicates")
"""What becomes of a record that matched, each of which is one of these."""


def disagreement(what: str) -> FiguresDisagree:
    """Return the error of figures that contradict each other."""
    return FiguresDisagree(f"internal error: the figures do not agree, so nothing was committed: {what}")


@dataclass
class RunReport:
    """What a run did; the names are columns of `etl_runs` and members of `--json`.

    records = not matched + rejected + matched, and
    matched = inserted + updated + unchanged + duplicates.
    """

    run_id: int | None
    pipeline: str
    source: str
    status: str
    error: str | None
    started_at: datetime
    finished_at: datetime | None = None
    seconds: float | None = None
    head_epoch: int | None = None
    records: int = 0
    matched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    expired: int = 0
    """Rows that the sweep changed."""
    rejected: int = 0
    bytes_read: int = 0
    """Compressed."""
    bytes_decoded: int = 0
    peak_memory_bytes: int = 0
    """Of all processes together, by proportional set size."""

    def check(self) -> None:
        """See that the figures agree.

        Raises:
            FiguresDisagree: they do not.
        """
        outcomes = {name: getattr(self, name) for name in _OUTCOMES}
        told = ", ".join(f"{count:,} {name}" for name, count in outcomes.items())
        if min(outcomes.values()) < 0 or self.expired < 0 or self.matched != sum(outcomes.values()):
            raise disagreement(f"{self.matched:,} matched, and {told}, {self.expired:,} expired")
        if self.records < self.matched + self.rejected:
            counts = f"{self.records:,} records, {self.matched:,} matched, {self.rejected:,} rejected"
            raise disagreement(counts)

    def finish(self, status: str, error: str | None = None) -> None:
        """Set the outcome and the time."""
        self.status, self.error = status, error
        self.finished_at = datetime.now(UTC)
        self.seconds = round((self.finished_at - self.started_at).total_seconds(), 3)


@dataclass(frozen=True)
class Written:
    """The outcome of a run that was committed (or would have been, in a dry run)."""

    report: RunReport
    columns: tuple[str, ...]
    overview: list[tuple[Any, ...]]
    """The pipeline's small table of what the database holds now."""
