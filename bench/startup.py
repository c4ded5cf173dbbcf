"""What a run takes that has next to nothing to do."""

from __future__ import annotations

from bench.measure import in_turn, walls
from bench.report import Figure, Part
from bench.workbench import Workbench

RECORDS = 10
RUNS = 10
RUN_SECONDS = 0.8
HELP_SECONDS = 0.25


def startup(bench: Workbench) -> Part:
    """Measure a run over ten records, and `etl --help`."""
    feed = str(bench.feed(RECORDS))
    samples = in_turn({"run": lambda: bench.run_etl(feed), "help": bench.run_help}, RUNS)
    for sample in samples["run"]:
        bench.checked(sample, RECORDS)
    return Part(
        "Start-up",
        [
            Figure(f"etl, {RECORDS} records", walls(samples["run"]), "s", at_most=RUN_SECONDS),
            Figure("etl --help", walls(samples["help"]), "s", at_most=HELP_SECONDS),
        ],
        [bench.shown("TEN-RECORDS"), "etl --help"],
    )
