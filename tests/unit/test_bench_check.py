"""The comparison with recorded ratios fails and passes where it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.check import BANDS, RECORDED, Recorded, compared, medians, read, write
from bench.measure import Sample

RATIOS = {"a / b": Recorded(1.5, at_least=0.8, at_most=1.2)}


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ({"a / b": 1.5}, ""),
        ({"a / b": 1.79}, ""),
        ({"a / b": 1.81}, "SLOWER"),
        ({"a / b": 1.21}, ""),
        ({"a / b": 1.19}, "FASTER: record it anew"),
        ({}, "NOT MEASURED"),
    ],
)
def test_within_the_band_or_not(found: dict[str, float], fault: str) -> None:
    (verdict,) = compared(found, RATIOS)
    assert verdict.fault == fault
    assert str(verdict).endswith(fault or "ok")


def test_a_ratio_that_is_not_recorded_fails() -> None:
    known, unknown = compared({"a / b": 1.5, "c / d": 1}, RATIOS)
    assert (known.fault, unknown.fault) == ("", "NOT RECORDED")


def test_ratios_are_of_pairs_in_turn() -> None:
    def took(*walls: float, cpu: float = 1) -> list[Sample]:
        return [Sample(wall, cpu, 0, 0, b"") for wall in walls]

    # The machine is at half its speed in the second round: no ratio minds.
    found = medians(
        {
            "zstd": took(1, 2, 1),
            "etl": took(1.5, 3, 9, cpu=2),
            "plain": took(1, 2, 1),
            "many": took(3, 6, 18),
            "dense": took(2, 5, 2),
        },
        dense_share=0.25,
    )
    assert list(found.values()) == [1.5, 1, 2, 2, 8]


def test_recording_keeps_the_bands_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    assert read(file) == {}
    name, *_ = BANDS
    write(file, {name: 1.5}, {})
    assert read(file) == {name: Recorded(1.5, *BANDS[name])}
    file.write_text(file.read_text().replace(str(BANDS[name][1]), "1.9"))
    write(file, {name: 1.6}, {})
    assert read(file) == {name: Recorded(1.6, BANDS[name][0], 1.9)}


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize(("change", "passes"), [(0.93, True), (1.07, True), (1.2, False), (0.8, False)])
def test_a_fifth_more_fails_and_noise_does_not(name: str, change: float, passes: bool) -> None:
    recorded = read(RECORDED)[name]
    (verdict,) = compared({name: change * recorded.median}, {name: recorded})
    assert (not verdict.fault) is passes


def test_there_is_a_record_of_every_ratio() -> None:
    assert set(read(RECORDED)) == set(BANDS)
