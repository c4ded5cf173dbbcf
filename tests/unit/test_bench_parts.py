"""What the parts of the measurements make of their samples, and what they give the runs."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import lz4.frame
import pytest

from bench.load import Merged
from bench.measure import Sample, cpu_a_gigabyte, cpu_ratio, megabytes_a_second, switches_a_second
from bench.memory import Run, figures
from bench.report import number
from bench.staged import PIPELINE
from bench.workbench import RARE, Workbench, others
from etl.declare.pipeline import Store
from etl.declare.registry import resolve
from pipelines.deals.sample import SampleSettings, documents
from pipelines.deals.selection import Tracked
from pipelines.deals.store import STORE
from pipelines.deals.tables import staging as STAGING


def sample(wall: float, cpu: float = 1, switches: int = 0) -> Sample:
    return Sample(wall, cpu, switches, 0, b"")


def test_rates_are_of_each_run() -> None:
    samples = [sample(1, cpu=2, switches=100), sample(2, cpu=3, switches=900)]
    assert megabytes_a_second(samples, 500_000_000).median == 375
    assert cpu_a_gigabyte(samples, 500_000_000).median == 5
    assert switches_a_second(samples).high == 450
    assert cpu_ratio(samples, [sample(1), sample(1, cpu=6)]).low == 0.5


@pytest.mark.parametrize(("last", "met"), [(32.0, True), (36.0, False)])
def test_time_must_not_grow_faster_than_the_input(last: float, met: bool) -> None:
    runs = [Run("plain", 1, 2, 1, 100), Run("plain", 4, 8, 4, 105), Run("plain", 16, last, 16, 108)]
    found = {figure.name: figure for figure in figures(runs)}
    assert found["plain, 16.0 GB / 1.0 GB: time a GB"].met is met
    assert found["plain, 16.0 GB / 1.0 GB: memory"].met
    assert found["plain, 16.0 GB: time a GB"].spread.median == last / 16


def test_other_wallets_are_spelled_like_the_clients_and_own_nothing() -> None:
    document = b"".join(documents(SampleSettings(records=5_000)))
    clients = {name.decode() for name in re.findall(rb'"Client":"(\w+)"', document)}
    wallets = others(10_000)
    assert len(set(wallets)) == 10_000
    assert {len(wallet) for wallet in wallets} == {len(wallet) for wallet in RARE}
    assert not clients & set(wallets)


def test_a_run_up_to_the_end_of_staging_has_no_merge() -> None:
    store: Store = resolve(PIPELINE.store)
    selection = Tracked(frozenset(), 1)
    assert store.staging is STORE.staging
    assert store.schema is STORE.schema
    assert [*store.merge(1, selection, STAGING), *store.sweep(1, selection)] == []
    assert store.overview(selection) is None


def test_other_compressions_are_of_the_same_bytes(tmp_path: Path) -> None:
    plain = tmp_path / "feed.json"
    plain.write_bytes(b"".join(documents(SampleSettings(records=500))))
    bench = Workbench(tmp_path, tmp_path, 500, 1)
    assert gzip.decompress(bench.recompressed(plain, "gz").read_bytes()) == plain.read_bytes()
    assert lz4.frame.decompress(bench.recompressed(plain, "lz4").read_bytes()) == plain.read_bytes()
    assert not [*tmp_path.glob("*.part")]


def test_a_merge_is_its_reading_and_its_writing() -> None:
    assert number(Merged(reading=0.5, writing=1.5).seconds) == "2"
