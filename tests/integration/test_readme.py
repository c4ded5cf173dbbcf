"""The README's examples do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.deals.sample import SampleSettings, write_sample

README = Path(__file__).parents[2] / "README.md"


def test_the_commands_in_the_readme_work(tmp_path: Path) -> None:
    write_sample(
        SampleSettings(records=2000, seed=1, match_share=0.1), tmp_path / "StateMarketDeals.json.zst"
    )
    block = re.search(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ etl ")]
    assert len(commands) >= 3
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path)}
    printed = [
        subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout
        for command in commands
    ]
    assert printed[1].split()[:3] == ["state", "deals", "wallets"]
    assert "succeeded" in printed[-1]


def test_the_pipeline_in_the_readme_runs(tmp_path: Path) -> None:
    pytest.importorskip("etl.sink.destinations")
    block = re.search(r"```python\n(# (\S+)\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    (tmp_path / block[2]).write_text(block[1])
    feed = tmp_path / "planets.json"
    feed.write_text('[{"name": "Mars", "moons": 2}, {"name": "Saturn", "moons": 146, "rings": true}]')
    command = [str(Path(sys.executable).with_name("etl")), "run", f"./{block[2]}", "--source", str(feed)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "2 of 2 records matched: 2 inserted" in done.stderr
    assert (tmp_path / "planets.db").exists()


def test_the_readme_names_every_exit_status_that_there_is() -> None:
    from etl import errors

    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    statuses = {c.exit_status for c in classes if issubclass(c, errors.EtlError)} - {1}
    text = README.read_text(encoding="utf-8")
    table = text[text.index("| exit status |") :].partition("\n\n")[0]
    assert statuses <= set(map(int, re.findall(r"\d+", table)))
