"""One run, from the options to the exit: plan it, have it carried out, and report."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click

from etl import temporary
from etl.command import outputs
from etl.command.options import settings_file
from etl.command.progress import ProgressBar, ProgressLog
from etl.command.service import serve
from etl.command.show import line, table
from etl.command.streams import output_failure
from etl.declare.checks import selected
from etl.declare.location import Source
from etl.declare.pipeline import Pipeline
from etl.engine.figures import Figures
from etl.engine.plan import CHUNK_BYTES, MOST_THREADS, RECORD_BYTES, Plan, cores, slabs_for
from etl.engine.signals import Signals
from etl.errors import ConfigurationError, DatabaseError, EtlError, OutputClosed
from etl.ledger.report import RunReport, Written
from etl.sink.destinations import destination_of
from etl.sink.names import is_standard_output
from etl.text import rfc3339

logger = logging.getLogger(__name__)


def run(pipeline: Pipeline, options: Mapping[str, Any]) -> None:
    """Carry out a run as the options say, or one after the other; reports go to standard output.

    Where rows go there, reports go to standard error.

    Raises:
        EtlError: the run failed; its row in the ledger says so too.
    """
    with Signals() as signals, suppress(OutputClosed):
        if options["explain"]:
            from etl.command.explain import explain

            with signals.raising():
                explain(make_plan(pipeline, options))
        elif options["interval"] is not None:
            serve(lambda: _run(pipeline, options, signals), options["interval"], signals)
        else:
            _run(pipeline, options, signals)


def _run(pipeline: Pipeline, options: Mapping[str, Any], signals: Signals) -> None:
    sources = [_source(pipeline, uri, options) for uri in options["sources"]]
    shown = " ".join(source.shown for source in sources)
    report = RunReport.begun(pipeline, shown)
    figures = Figures()
    try:
        with signals.raising():
            plan = make_plan(pipeline, options)
        report.take_figures(plan.selection.figures)
        written = _carry_out(plan, report, figures, signals.noted, options)
        _tell(written, options)
    except EtlError as error:
        if _rows_are_printed(options) and figures.matched and not options["dry_run"]:
            error.message = f"{error.message}; what went to standard output is incomplete"
        if _record_failure(options, report, figures, error):
            error.after_commit()
        if options["as_json"] and not isinstance(error, outputs.StandardOutputTaken):
            _print_json(report, options)
        raise


def _rows_are_printed(options: Mapping[str, Any]) -> bool:
    """Say whether rows go to standard output: then nothing else may."""
    return options["output"] is not None and is_standard_output(options["output"])


def make_plan(pipeline: Pipeline, options: Mapping[str, Any]) -> Plan:
    """Settle everything before a process is started.

    Raises:
        ConfigurationError: settings that cannot be used.
        DatabaseError: the database is needed to settle them, and refuses.
        EtlError: whoever else is asked to settle them.
    """
    sources = tuple(_source(pipeline, uri, options) for uri in options["sources"])
    target = options["database"]
    destination = destination_of(pipeline, target.database, options["output"])
    outputs.check(outputs.places(sources, options, settings_file(), destination), options["overwrite"])
    keeps = not (options["dry_run"] or options["explain"])
    if destination.is_standard_output and keeps and sys.__stdout__ is None:
        raise DatabaseError("standard output is closed, and the rows go there")
    target.database.check(writes=keeps, lasting=keeps)
    if not options["explain"]:
        given = options.get("temp_dir")
        temporary.use(given and str(given), target.file)
    selection = selected(pipeline, options)
    record_bytes = options["record_bytes"] or RECORD_BYTES
    workers = cores() if options["workers"] is None else options["workers"]
    return Plan(
        pipeline=pipeline,
        selection=selection,
        sources=sources,
        target=target,
        destination=destination,
        workers=workers,
        slabs=slabs_for(workers),
        threads=options["threads"] or min(MOST_THREADS, max(1, cores() // 2)),
        chunk_bytes=options["chunk_bytes"] or min(CHUNK_BYTES, record_bytes),
        record_bytes=record_bytes,
        batch_rows=options["batch_size"],
        on_error=options["on_error"],
        max_rejects=options["max_rejects"],
        rejects_file=options["rejects_file"],
        dry_run=options["dry_run"],
        limit=options["limit"],
        allow_empty=options["allow_empty"],
        wait_lock=options["wait_lock"],
        force=options["force"],
        stale_after=options["stale_after"],
        retry_for=options["retry_for"],
    )


def _source(pipeline: Pipeline, uri: str, options: Mapping[str, Any]) -> Source:
    named = pipeline.named_sources.get(uri)
    return Source(uri) if named is None else named(options)


def _carry_out(
    plan: Plan, report: RunReport, figures: Figures, noted: list[int], options: Mapping[str, Any]
) -> Written:
    from etl.engine import supervisor

    wanted = options["progress"]
    bar = wanted if wanted is not None else sys.stderr.isatty() and not options["quiet"]
    progress = ProgressBar(figures) if bar else ProgressLog(figures)
    return supervisor.carry_out(plan, report, figures, progress, noted)


def _record_failure(
    options: Mapping[str, Any], report: RunReport, figures: Figures, error: EtlError
) -> bool:
    """Bring the run's row up to date, or add it; the children are gone by now.

    Says whether the run was committed, by a writer that could not tell of it any more: then the report is
    brought up to the row.
    """
    report.run_id = figures.run_id or None
    report.records, report.matched = figures.records, figures.matched
    report.rejected = figures.rejected
    report.bytes_read, report.bytes_decoded = figures.bytes_read, figures.bytes_decoded
    report.peak_memory_bytes = figures.peak_memory_bytes
    report.finish("failed", error.message)
    unreachable = isinstance(error, DatabaseError | ConfigurationError) and report.run_id is None
    if options["dry_run"] or unreachable:
        return False
    from etl.database.access import transaction
    from etl.ledger import runs as ledger

    try:
        with transaction(options["database"], ledger.schema_for(report)) as connection:
            if report.run_id is None:  # the writer was stopped before it came so far
                report.run_id = ledger.begin(connection, report)
            ledger.record(connection, report)
            if committed := ledger.was_committed(connection, report.run_id):
                ledger.recall(connection, report)
            return committed
    except EtlError as second:
        if not isinstance(error, DatabaseError):  # else it has been told
            logger.warning("%s", second.message)
        return False


# What is shown ---------------------------------------------------------------------------------------


def _tell(written: Written, options: Mapping[str, Any]) -> None:
    if options["as_json"]:
        _print_json(written.report, options)
    elif written.overview:
        click.echo(table(written.columns, written.overview), err=_rows_are_printed(options))
        _warn_if_lost()
    summary = _summary(written.report)
    if options["dry_run"]:
        summary = f"dry run: {summary}"
    if options["quiet"]:
        return
    if options["interval"] is not None or options["log_format"] == "json":
        logger.info("%s", summary)
    else:
        line(summary, err=True)


def _print_json(report: RunReport, options: Mapping[str, Any]) -> None:
    click.echo(json.dumps(report.members(), default=rfc3339), err=_rows_are_printed(options))
    _warn_if_lost()


def _warn_if_lost() -> None:
    """Say that the report was not printed; what the run did, and its status, are not changed by that."""
    if (failure := output_failure()) is not None:
        logger.warning(
            "the report could not be written to standard output: %s; “etl history” has it", failure.strerror
        )


def _summary(report: RunReport) -> str:
    if report.status == "not_modified":
        return "the feed has not changed since it was read last: nothing to do (--force reads it again)"
    rate = report.bytes_decoded / 1e6 / max(report.seconds or 0, 0.001)
    rejected = f", {report.rejected:,} rejected (see “etl rejects”)" if report.rejected else ""
    counted = "".join(f" {rows:,} {name};" for name, rows in report.counts.items())
    return (
        f"{report.matched:,} of {report.records:,} records matched:"
        f" {report.inserted:,} inserted, {report.updated:,} updated, {report.unchanged:,} unchanged,"
        f" {report.duplicates:,} duplicates{rejected};{counted}"
        f" {report.seconds:.1f} s, {rate:,.0f} MB/s, {report.peak_memory_bytes / 1e6:,.0f} MB of memory"
    )
