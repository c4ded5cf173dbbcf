"""What a run did, as it is reported and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from etl.declare.pipeline import Pipeline
from etl.errors import FiguresDisagree, PipelineFailed

_OUTCOMES = ("inserted", "updated", "unchanged", "duplicates")
"""What becomes of a record that matched, each of which is one of these."""


def disagreement(what: str) -> FiguresDisagree:
    """Return the error of figures that contradict each other."""
    return FiguresDisagree(f"internal error: the figures do not agree, so nothing was committed: {what}")


FIGURES_BEFORE = "records"
"""The figures that a pipeline's selection gives stand before this column, and this member of `--json`."""

COUNTS_BEFORE = "rejected"
"""The numbers of rows that only its destination counts stand before this one."""


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
    records: int = 0
    matched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    bytes_read: int = 0
    """Compressed."""
    bytes_decoded: int = 0
    peak_memory_bytes: int = 0
    """Of all processes together, by proportional set size."""
    figures: dict[str, int | None] = field(default_factory=dict)
    """The pipeline's own figures, as its selection gives them; None where it gives none."""
    counts: dict[str, int] = field(default_factory=dict)
    """The pipeline's own numbers of rows, as its destination counts them."""

    @classmethod
    def begun(cls, pipeline: Pipeline, source: str) -> RunReport:
        """Return the report of a run that begins now, as failed, with the pipeline's figures unset."""
        return cls(
            None, pipeline.name, source, "failed", None, datetime.now(UTC),
            figures=dict.fromkeys(pipeline.figures), counts=dict.fromkeys(pipeline.counts, 0),
        )  # fmt: skip

    def members(self) -> dict[str, Any]:
        """Return names and values, the pipeline's own among them, in the order of the columns."""
        own: dict[str, Mapping[str, int | None]] = {
            FIGURES_BEFORE: self.figures,
            COUNTS_BEFORE: self.counts,
        }
        found: dict[str, Any] = {}
        for name in COMMON:
            found |= own.get(name, {})
            found[name] = getattr(self, name)
        return found

    def take_figures(self, figures: Mapping[str, int | None]) -> None:
        """Note the figures that a selection gives, as far as the pipeline has declared them."""
        self.figures = {name: figures.get(name) for name in self.figures}

    def count(self, name: str, rows: int) -> None:
        """Note how many rows a destination has counted under one of the report's or pipeline's names.

        Raises:
            PipelineFailed: the pipeline declares no such count.
        """
        if name in self.counts:
            self.counts[name] = rows
        elif name in COMMON:
            setattr(self, name, rows)
        else:
            raise PipelineFailed(
                f"the pipeline {self.pipeline}: its destination counts {name}, which counts does not name"
            )

    def restore(self, members: Mapping[str, Any]) -> None:
        """Take names and values as `members` returns them."""
        for name, value in members.items():
            if name in self.figures:
                self.figures[name] = value
            else:
                self.count(name, value)

    def check(self) -> None:
        """See that the figures agree.

        Raises:
            FiguresDisagree: they do not.
        """
        outcomes = {name: getattr(self, name) for name in _OUTCOMES}
        counts = outcomes | self.counts
        shown = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        if min(counts.values()) < 0 or self.matched != sum(outcomes.values()):
            raise disagreement(f"{self.matched:,} matched, and {shown}")
        if self.records < self.matched + self.rejected:
            raise disagreement(
                f"{self.records:,} records, {self.matched:,} matched, {self.rejected:,} rejected"
            )

    def finish(self, status: str, error: str | None = None) -> None:
        """Set the outcome and the time."""
        self.status, self.error = status, error
        self.finished_at = datetime.now(UTC)
        self.seconds = round((self.finished_at - self.started_at).total_seconds(), 3)


COMMON = tuple(
    each.name for each in dataclasses.fields(RunReport) if each.name not in ("figures", "counts")
)
"""The names that the report of every pipeline has."""


@dataclass(frozen=True)
class Written:
    """The outcome of a run that was committed (or would have been, in a dry run)."""

    report: RunReport
    columns: tuple[str, ...]
    overview: list[tuple[Any, ...]]
    """The pipeline's small table of what the database holds now."""
