"""Where the measured commands run, and the feeds that they read."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from bench.measure import CommandFailed, Sample, measured
from pipelines.deals.sample import HEAD_EPOCH, SampleSettings, documents

ROOT = Path(__file__).resolve().parent.parent
"""Where this package can be imported from."""

RARE = ("f02991009", "f02992006", "f02993003")
"""The three clients with the fewest deals in a sample: about one deal in 16,000 each."""

DENSE = ("f01000000", "f01001994", "f01028913")
"""Clients that together own one deal in six of a sample."""

REGION_RECORDS = 2_000_000
"""What is repeated to make inputs larger than the feed: about 1 GB."""

_SOME_MATCH = 100_000
"""Of so many records some belong to the rare wallets."""


class Workbench:
    """A directory of feeds that are kept, and one for what is not."""

    def __init__(self, data: Path, scratch: Path, records: int, runs: int) -> None:
        """Keep feeds in `data`; `scratch` is for databases, and where the commands run.

        Raises:
            CommandFailed: the command `etl` is not installed.
        """
        self.data = data.resolve()
        self.scratch = scratch.resolve()
        self.records = records
        self.runs = runs
        self.etl = str(Path(sysconfig.get_path("scripts")) / "etl")
        if not Path(self.etl).is_file():
            raise CommandFailed(f"{self.etl}: not there; install the project into this Python first")
        self._numbers = itertools.count()
        # Nothing of the user's own settings shall count.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("ETL_")}
        self.env["XDG_CONFIG_HOME"] = str(self.scratch)

    # Commands --------------------------------------------------------------------------------------

    def run_etl(
        self,
        source: str,
        feeder: Sequence[str] | None = None,
        wallets: Sequence[str] | Path = RARE,
        more: Sequence[str] = (),
    ) -> Sample:
        """Load some wallets' deals from a source into a fresh SQLite database; many are in a file.

        Raises:
            CommandFailed: the run failed.
        """
        database = self.scratch / f"{next(self._numbers)}.db"
        command = [self.etl, *self.arguments(source, database, wallets), *more]
        try:
            return measured(command, self.scratch, self.env, feeder=feeder)
        finally:
            database.unlink(missing_ok=True)

    def run_staged(self, source: str, wallets: Sequence[str]) -> Sample:
        """Do the same up to the end of staging.

        Raises:
            CommandFailed: the run failed.
        """
        database = self.scratch / f"{next(self._numbers)}.db"
        options = self.arguments(source, database, wallets)[2:]
        command = [sys.executable, "-m", "bench.staged", *options]
        try:
            return measured(command, self.scratch, {**self.env, "PYTHONPATH": str(ROOT)})
        finally:
            database.unlink(missing_ok=True)

    def run_market(self, source: str) -> Sample:
        """Write every deal of a source into a Parquet file.

        Raises:
            CommandFailed: the run failed.
        """
        output = self.scratch / f"{next(self._numbers)}.parquet"
        database = output.with_suffix(".db")
        try:
            command = [self.etl, *self._market_arguments(source, output, database)]
            return measured(command, self.scratch, self.env)
        finally:
            output.unlink(missing_ok=True)
            database.unlink(missing_ok=True)

    @staticmethod
    def _market_arguments(source: str, output: str | Path, database: str | Path) -> list[str]:
        where = ["--output", str(output), "--database", f"sqlite:///{database}"]
        return ["run", "market_deals", "--source", source, *where, "--quiet", "--json"]

    def arguments(
        self, source: str, database: str | Path, wallets: Sequence[str] | Path = RARE
    ) -> list[str]:
        """Return the arguments of `etl` for such a run."""
        if isinstance(wallets, Path):
            clients = ["--clients-file", str(wallets)]
        else:
            clients = [text for wallet in wallets for text in ("--client", wallet)]
        database = f"sqlite:///{database}"
        fixed = ["--head-epoch", str(HEAD_EPOCH), "--quiet", "--json"]
        return ["run", "deals", "--source", source, "--database", database, *clients, *fixed]

    def shown(self, source: str, wallets: Sequence[str] = RARE) -> str:
        """Return such a run as it is shown in the report."""
        return " ".join(["etl", *self.arguments(source, "FRESH.db", wallets)])

    def shown_market(self, source: str) -> str:
        """Return one that writes every deal."""
        return " ".join(["etl", *self._market_arguments(source, "NEW.parquet", "FRESH.db")])

    def run_help(self) -> Sample:
        """Run `etl --help`."""
        return measured([self.etl, "--help"], self.scratch, self.env)

    def run_zstd(self, feed: Path) -> Sample:
        """Decompress a feed to nowhere."""
        return measured(["zstd", "-dc", str(feed)], self.scratch, self.env, discard=True)

    def checked(self, sample: Sample, records: int) -> dict[str, Any]:
        """Return the report of a run that has read `records` records and found some of them.

        Raises:
            CommandFailed: it did not, so its figures are worth nothing.
        """
        report: dict[str, Any] = json.loads(sample.output)
        read, matched = report["records"], report["matched"]
        if read != records or (records >= _SOME_MATCH and not matched):
            raise CommandFailed(f"a run read {read:,} records of {records:,}, and {matched:,} matched")
        return report

    # Feeds -----------------------------------------------------------------------------------------

    def feed(self, records: int | None = None, lines: bool = False) -> Path:
        """Return a plain sample feed; with `.zst` at its end, the same as `zstd -3` compresses it.

        With `lines` the same records are JSON lines, and not one object.
        """
        records = self.records if records is None else records
        plain = self.data / f"deals-{records}.json{'l' if lines else ''}"
        if not plain.exists():
            _say(f"writing {plain}")
            shape = ["--shape", "lines" if lines else "object", "--output", str(plain)]
            self._do([self.etl, "sample", "deals", "--records", str(records), *shape])
        self._compress(plain)
        return plain

    def region(self) -> tuple[Path, int]:
        """Return the records of a sample without the brackets around them, and their number."""
        records = min(self.records, REGION_RECORDS)
        region = self.data / f"region-{records}.json"
        if not region.exists():
            _say(f"writing {region}")
            part = region.with_suffix(".part")
            with part.open("wb") as file:
                blocks = documents(SampleSettings(records=records))
                file.write(next(blocks)[1:])
                for block, following in itertools.pairwise(itertools.chain(blocks, [None])):
                    assert block is not None
                    file.write(block if following is not None else block[:-1])
            part.replace(region)
        self._compress(region)
        return region, records

    def mark(self, name: str, data: bytes) -> Path:
        """Return a file of a few bytes, and beside it the same compressed, as a frame of its own."""
        path = self.data / f"{name}.json"
        if not path.exists():
            path.write_bytes(data)
        self._compress(path)
        return path

    def _compress(self, plain: Path) -> None:
        whole = compressed(plain)
        if not whole.exists():
            _say(f"compressing {plain}")
            part = whole.with_suffix(".part")
            self._do(["zstd", "-q", "-f", "-3", "-k", str(plain), "-o", str(part)])
            part.replace(whole)

    def recompressed(self, plain: Path, suffix: str) -> Path:
        """Return a plain feed as the commands gzip and lz4 compress it, whether they are there or not."""
        whole = plain.with_name(f"{plain.name}.{suffix}")
        if not whole.exists():
            _say(f"compressing {plain} to .{suffix}")
            part = whole.with_suffix(".part")
            with plain.open("rb") as file, _compressing(part, suffix) as sink:
                shutil.copyfileobj(file, sink, 1 << 22)
            part.replace(whole)
        return whole

    def _do(self, command: Sequence[str]) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip()}")


def compressed(plain: Path) -> Path:
    """Return where a plain feed's compressed form is."""
    return plain.with_name(f"{plain.name}.zst")


def others(count: int) -> list[str]:
    """Return wallets that are spelled like a sample's clients, and own none of its deals."""
    return [f"f0{1_000_000 + 997 * (n // 5) + 100 * (n % 5 + 1)}" for n in range(count)]


def _compressing(path: Path, suffix: str) -> BinaryIO:
    sink: Any
    if suffix == "gz":
        sink = gzip.open(path, "wb", compresslevel=6)  # noqa: SIM115 - the caller closes it
    else:
        import lz4.frame

        sink = lz4.frame.open(
            path, "wb", block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_linked=False, content_checksum=True
        )
    return cast(BinaryIO, sink)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
