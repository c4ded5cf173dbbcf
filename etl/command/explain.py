"""`--explain` and `etl inspect`: what a feed looks like, and what a run would do about it."""

from __future__ import annotations

from etl.command.show import line
from etl.declare.pipeline import Pipeline
from etl.engine.plan import Plan
from etl.errors import EmptyFeed
from etl.records.prefilter import literals
from etl.shape.layout import Layout
from etl.source.feed import Source, errors_named, open_feed


def opening_of(source: Source, pipeline: Pipeline) -> list[tuple[str, str]]:
    """Return what the first bytes of a feed show.

    Raises:
        DataError: they show no records.
        SourceUnavailable: the source cannot be opened.
    """
    from etl.records.wanted import signs_of
    from etl.shape.head import read_head

    with errors_named(source), open_feed(source) as feed:
        assert feed is not None  # nothing was known of it
        lines = [
            ("source", source.shown),
            ("compression", feed.codec or "none"),
            ("size", f"{feed.size:,} bytes" if feed.size is not None else "unknown"),
        ]
        try:
            _, layout = read_head(feed, signs_of(pipeline))
        except EmptyFeed:
            return [*lines, ("records", "none")]
    return [*lines, *_describe_layout(layout)]


def _describe_layout(layout: Layout) -> list[tuple[str, str]]:
    place = "the root" if not layout.path else "the member " + ".".join(layout.path)
    return [
        ("records", f"{layout.container.value} at {place}, from byte {layout.start:,}"),
        ("cut signature", layout.boundary().pattern.decode()),
    ]


def explain(plan: Plan) -> None:
    """Print how a run would go.

    Raises:
        EtlError: as `opening_of`.
    """
    for source in plan.sources:
        show(opening_of(source, plan.pipeline))
    wanted = plan.selection.wanted
    sought = [literal.decode() for literal in literals(wanted)] if wanted is not None else ["none: all"]
    shown = sought if len(sought) < 8 else [*sought[:6], f"(and {len(sought) - 7:,} more)", sought[-1]]
    tested = f"{'.'.join(plan.pipeline.match)} in {len(wanted):,} values" if wanted is not None else "-"
    slabs = f"{plan.slabs} of {plan.record_bytes:,} bytes, cut at {plan.chunk_bytes:,}"
    show(
        [
            ("prefilter", " ".join(shown)),
            ("then", tested),
            *_figures(plan),
            ("processes", f"1 reader, {plan.workers} workers, 1 writer" if plan.workers else "1 for all"),
            ("threads", f"{plan.threads} to decompress zstd of several frames"),
            ("slabs", slabs),
            ("staging", plan.destination.shown),
        ]
    )


def _figures(plan: Plan) -> list[tuple[str, str]]:
    """Return the figures that the pipeline goes by."""
    given = {name: plan.selection.figures.get(name) for name in plan.pipeline.figures}
    return [(name.replace("_", " "), f"{value:,}" if value else "-") for name, value in given.items()]


def show(lines: list[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    for name, value in lines:
        line(f"{name + ':':<15}{value}")
