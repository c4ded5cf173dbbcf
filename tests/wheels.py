"""Whether all that we require is there as wheels, for every Python and system that we name.

By `make wheels`. Asks the package index that pip is set to, by uv, which installs nothing. Its status is 1
if something has no wheel, and 3 if that could not be found out: no network, no such index.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
NO_WHEEL, NO_ANSWER = 1, 3
RESOLUTION = "No solution found when resolving dependencies"
SECONDS = 300


def settings(*, pip: list[str] | None = None) -> dict[str, str]:
    """Return the environment by which uv asks where pip asks; what pip is not told, uv is not."""
    environment = dict(os.environ)
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # of all indexes, as pip does
    pairs = [("index-url", "UV_DEFAULT_INDEX"), ("extra-index-url", "UV_INDEX"), ("cert", "SSL_CERT_FILE"),
             ("find-links", "UV_FIND_LINKS")]  # fmt: skip
    for name, variable in pairs:
        given = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        if given is None:
            asked = subprocess.run(
                [*(pip or [sys.executable, "-m", "pip"]), "config", "get", f"global.{name}"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
            )  # fmt: skip
            given = asked.stdout.strip()
        # Folders that are not there are passed over by pip, and an error to uv.
        parts = [part for part in given.split() if not part.startswith("file:") or Path(part[7:]).is_dir()]
        if parts:
            environment.setdefault(variable, " ".join(parts))
    return environment


def lacking(requirements: Path, python: str, platform: str, environment: dict[str, str]) -> tuple[int, str]:
    """Return 0, or why not and what uv says."""
    uv = Path(sysconfig.get_path("scripts"), "uv")
    command = [
        str(uv), "pip", "compile", "--quiet", "--python-version", python, "--python-platform", platform,
        "--only-binary", ":all:", "--no-header", str(requirements),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return NO_ANSWER, f"no answer within {SECONDS} s"
    if done.returncode == 0:
        return 0, ""
    return (NO_WHEEL if RESOLUTION in done.stderr else NO_ANSWER), done.stderr.strip()


def ours() -> list[str]:
    """Return what setup.cfg requires, for the tests too."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lists = setup["options"]["install_requires"], setup["options.extras_require"]["test"]
    return [line for part in lists for line in part.splitlines() if line and not line.startswith("#")]


def main(requirements: list[str]) -> int:
    """Check every Python on every system, and say what is not there."""
    environment = settings()
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder, "requirements.txt")
        asked.write_text("\n".join(requirements or ours()) + "\n")
        for python in PYTHONS:
            for platform in PLATFORMS:
                status, said = lacking(asked, python, platform, environment)
                print(f"Python {python}, {platform}: {'from wheels' if not status else said}", flush=True)
                worst = NO_ANSWER if NO_ANSWER in (worst, status) else max(worst, status)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
