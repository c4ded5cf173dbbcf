"""Whether the main ratios are still what was recorded: `python -m bench.check`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.measure import CommandFailed, Sample, in_turn, spread
from bench.report import machine, number
from bench.workbench import RARE, Workbench, compressed, others
from etl.engine.plan import cores

RECORDED = Path(__file__).with_name("recorded.json")

WALLETS = 10_000
"""So many wallets are compared with three."""

BANDS = {
    "etl .zst / zstd -dc": (0.88, 1.12),
    "etl plain / zstd -dc": (0.88, 1.12),
    "etl .zst / zstd -dc: CPU": (0.9, 1.1),
    "10,000 wallets / 3": (0.88, 1.12),
    "to Parquet / zstd -dc": (0.88, 1.12),
}
"""The ratios, and how much less and more than recorded a median may be, unless the file says other.

Between the noise of medians, here and in the record, and a run that has become a fifth slower.
"""

DENSE_SHARE = 4
"""Every record into Parquet takes so long that a part of the feed has to do."""


@dataclass(frozen=True)
class Recorded:
    """What a ratio was, and how much less and more of that it may be."""

    median: float
    at_least: float
    at_most: float


@dataclass(frozen=True)
class Verdict:
    """One ratio beside what was recorded."""

    name: str
    found: float | None
    recorded: Recorded | None

    @property
    def fault(self) -> str:
        """What is wrong; nothing within the band."""
        if self.recorded is None:
            return "NOT RECORDED"
        if self.found is None:
            return "NOT MEASURED"
        share = self.found / self.recorded.median
        if share > self.recorded.at_most:
            return "SLOWER"
        return "FASTER: record it anew" if share < self.recorded.at_least else ""

    def __str__(self) -> str:
        found = "-" if self.found is None else number(self.found)
        if self.recorded is None:
            return f"{self.name:<28} {found:>6}  {self.fault}"
        median, low, high = self.recorded.median, self.recorded.at_least, self.recorded.at_most
        band = f"recorded {number(median)}, allowed {number(median * low)} to {number(median * high)}"
        return f"{self.name:<28} {found:>6}  {band}  {self.fault or 'ok'}"


def compared(found: Mapping[str, float], recorded: Mapping[str, Recorded]) -> list[Verdict]:
    """Return a verdict on each ratio that was measured or recorded."""
    names = [*recorded, *(name for name in found if name not in recorded)]
    return [Verdict(name, found.get(name), recorded.get(name)) for name in names]


def read(file: Path) -> dict[str, Recorded]:
    """Return the recorded ratios; none where there is no file."""
    if not file.exists():
        return {}
    ratios = json.loads(file.read_text(encoding="utf-8"))["ratios"]
    return {name: Recorded(**values) for name, values in ratios.items()}


def write(file: Path, found: Mapping[str, float], settings: Mapping[str, object]) -> None:
    """Record ratios; what was said of their bands stays."""
    before = read(file)
    ratios = {
        name: Recorded(
            round(median, 3),
            *((before[name].at_least, before[name].at_most) if name in before else BANDS[name]),
        )
        for name, median in found.items()
    }
    about = machine()
    kept = {name: about[name] for name in ("date", "CPU", "cores", "system", "Python", "zstd")}
    described = {name: asdict(ratio) for name, ratio in ratios.items()}
    text = json.dumps({"machine": kept, "settings": settings, "ratios": described}, indent=2)
    file.write_text(text + "\n", encoding="utf-8")


def medians(samples: Mapping[str, list[Sample]], dense_share: float) -> dict[str, float]:
    """Return the median of each ratio, taken pair by pair; a byte's for the dense runs, which read less."""

    def of(these: str, those: str, what: str = "wall") -> float:
        pairs = zip(samples[these], samples[those], strict=True)
        return spread(getattr(a, what) / getattr(b, what) for a, b in pairs).median

    values = (
        of("etl", "zstd"), of("plain", "zstd"), of("etl", "zstd", "cpu"), of("many", "etl"),
        of("dense", "zstd") / dense_share,
    )  # fmt: skip
    return dict(zip(BANDS, values, strict=True))


class Rounds:
    """The commands in turn, round after round; what was measured before still counts."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._plain = bench.feed()
        self._part_records = max(1, bench.records // DENSE_SHARE)
        self._part = bench.feed(self._part_records)
        self._many = bench.scratch / "wallets"
        self._many.write_text("\n".join([*RARE, *others(WALLETS - len(RARE))]) + "\n")
        self._samples: dict[str, list[Sample]] = {}

    def measure(self) -> dict[str, float]:
        """Run everything, and return the ratios of all that was ever run.

        Raises:
            CommandFailed: a run failed, or did not read all records.
        """
        bench, packed = self._bench, compressed(self._plain)
        found = in_turn(
            {
                "zstd": lambda: bench.run_zstd(packed),
                "etl": lambda: bench.run_etl(str(packed)),
                "plain": lambda: bench.run_etl(str(self._plain)),
                "many": lambda: bench.run_etl(str(packed), wallets=self._many),
                "dense": lambda: bench.run_market(str(compressed(self._part))),
            },
            bench.runs,
        )
        for sample in found["etl"] + found["plain"] + found["many"]:
            bench.checked(sample, bench.records)
        for sample in found["dense"]:
            bench.checked(sample, self._part_records)
        for name, more in found.items():
            self._samples.setdefault(name, []).extend(more)
        return medians(self._samples, self._part.stat().st_size / self._plain.stat().st_size)


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--records", type=click.IntRange(1), default=2_000_000, help="Of the feed.")
@click.option("--rounds", type=click.IntRange(1), default=9, help="How often each command is run.")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data/bench"),
    help="Where feeds are kept.",
)  # fmt: skip
@click.option(
    "--recorded", type=click.Path(dir_okay=False, path_type=Path), default=RECORDED, help="The record."
)
@click.option("--record", is_flag=True, help="Record what is measured, and compare nothing.")
def main(records: int, rounds: int, data: Path, recorded: Path, record: bool) -> None:
    """Measure the main ratios, and fail if one is not what was recorded, also on a second look."""
    if (load := os.getloadavg()[0]) > cores() / 2:
        click.echo(f"bench: the load is {load:.1f}: on a busy machine, ratios wander", err=True)
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=data) as scratch:
        try:
            everything = Rounds(Workbench(data, Path(scratch), records, rounds))
            found = everything.measure()
            if record:
                write(recorded, found, {"records": records, "rounds": rounds})
            verdicts = compared(found, read(recorded))
            if outside := [verdict.name for verdict in verdicts if verdict.fault]:
                click.echo(f"measuring again, for {', '.join(outside)}", err=True)
                verdicts = compared(everything.measure(), read(recorded))
        except CommandFailed as error:
            click.echo(f"bench: {error}", err=True)
            sys.exit(2)
    for verdict in verdicts:
        click.echo(str(verdict))
    sys.exit(1 if any(verdict.fault for verdict in verdicts) else 0)


if __name__ == "__main__":
    main(prog_name="python -m bench.check")
