"""The built wheel, by itself, in an environment of its own, does the main job.

Run by `make wheel`: a package left out of the wheel, or a dependency left out of its metadata, would
not show in an editable installation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Build, install, run; exits with the first failure."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(ROOT)], ROOT)
        (wheel,) = work.glob("*.whl")
        venv.create(work / "venv", with_pip=True)
        run([str(work / "venv/bin/pip"), "install", "--quiet", str(wheel)], work)
        etl = str(work / "venv/bin/etl")
        run(
            [
                etl,
                "sample",
                "deals",
                "--records",
                "1000",
                "--match-share",
                "0.1",
                "--output",
                "feed.json.zst",
            ],
            work,
        )
        command = [
            etl,
            "run",
            "deals",
            "--source",
            "feed.json.zst",
            "--database",
            "sqlite:///x.db",
            "--json",
        ]
        report = json.loads(run([*command, "--client", "f01000", "--client", "f01001"], work))
        assert report["status"] == "succeeded", report
        assert report["records"] == 1000, report
        assert report["inserted"] == report["matched"] > 20, report
    print("the wheel works by itself")


def run(command: list[str], folder: Path) -> str:
    """Run a command in a folder, and return what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("ETL_", "PYTHON"))
    }
    return subprocess.run(
        command, cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


if __name__ == "__main__":
    main()
