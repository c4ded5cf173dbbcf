"""The built wheel, by itself, in an environment of its own, does the main job.

Run by `make wheel`: a package left out of the wheel, or a dependency left out of its metadata, would not
show in an editable installation. uv builds and installs, from where pip would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.wheels import ROOT, settings

UV = Path(sysconfig.get_path("scripts"), "uv")


def main() -> None:
    """Build, install, run; exits with the first failure."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        index = settings()
        run([UV, "build", "--quiet", "--wheel", "--out-dir", work, ROOT], work, index)
        (wheel,) = work.glob("*.whl")
        run([UV, "venv", "--quiet", "--python", sys.executable, work / "venv"], work, index)
        run([UV, "pip", "install", "--quiet", "--python", work / "venv", wheel], work, index)
        etl, feed, clients = (
            work / "venv/bin/etl",
            "feed.json.zst",
            ["--client", "f01000", "--client", "f01001"],
        )
        size = ["--records", "1000", "--match-share", "0.1"]
        run([etl, "sample", "deals", *size, "--output", feed], work)
        command: list[str | Path] = [
            etl,
            "run",
            "deals",
            "--source",
            feed,
            "--database",
            "sqlite:///x.db",
            "--json",
            *clients,
        ]
        report = json.loads(run(command, work))
        assert report["status"] == "succeeded", report
        assert report["records"] == 1000, report
        assert report["inserted"] == report["matched"] > 20, report
        version = run([etl, "--version"], work).split()[-1]
        assert wheel.name.startswith(f"sluice_etl-{version}-"), (wheel.name, version)
    print("the wheel works by itself")


def run(command: Sequence[str | Path], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command in a folder, and return what it printed."""
    inherited = os.environ if environment is None else environment
    clean = {name: value for name, value in inherited.items() if not name.startswith(("ETL_", "PYTHON"))}
    return subprocess.run(
        command, cwd=folder, env=clean, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


if __name__ == "__main__":
    main()
