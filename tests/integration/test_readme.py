"""The README's examples do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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


def test_the_readme_names_every_exit_status_that_there_is() -> None:
    from etl import errors

    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    statuses = {c.exit_status for c in classes if issubclass(c, errors.EtlError)} - {1}
    text = README.read_text(encoding="utf-8")
    table = text[text.index("| exit status |") :].partition("\n\n")[0]
    assert statuses <= set(map(int, re.findall(r"\d+", table)))
