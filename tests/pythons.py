"""Run the tests on every Python from 3.11 on that is here, each in an environment of its own.

By `make test-pythons`, with any Python, before anything is installed. They are sought on PATH, in /usr/bin
and among pyenv's; of two of the same version the first is taken. `--ends` takes the oldest and the newest
alone. What else is said is for pytest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = ("3.11", "3.12", "3.13", "3.14", "3.15")
JOBS = os.environ.get("JOBS", "2")
SAY = "import platform, sys; print(sys.implementation.name, platform.python_version())"

Version = tuple[int, ...]


def version_of(text: str) -> Version:
    """Return a version's numbers, a pre-release's as that of the release."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", text)[:3])


def candidates() -> list[Path]:
    """Return every program that may be one."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders.append(Path("/usr/bin"))
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run(
            [pyenv, "root"], stdout=subprocess.PIPE, text=True, check=False
        ).stdout.strip()
        folders = [folder for folder in folders if folder != Path(root, "shims")]
        folders += sorted(Path(root, "versions").glob("*/bin"))
    names = ["python3", *(f"python{version}" for version in NAMED)]
    return [folder / name for folder in folders for name in names if os.access(folder / name, os.X_OK)]


def interpreters(programs: list[Path]) -> dict[str, Path]:
    """Return those of CPython from 3.11 on, by version, the oldest first."""
    found: dict[str, Path] = {}
    for program in programs:
        try:
            said = subprocess.run(
                [program, "-c", SAY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                check=False, timeout=30,
            ).stdout.split()  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            continue
        if len(said) == 2 and said[0] == "cpython" and version_of(said[1]) >= (3, 11):
            found.setdefault(said[1], program)
    return dict(sorted(found.items(), key=lambda item: version_of(item[0])))


def environment(version: str, program: Path) -> Path:
    """Make an environment with the tests' requirements; return its interpreter."""
    folder = ROOT / ".venv-pythons" / version
    python = folder / "bin" / "python"
    ready = folder / "ready"
    sources = max((ROOT / name).stat().st_mtime for name in ("setup.cfg", "pyproject.toml"))
    if ready.exists() and ready.stat().st_mtime >= sources:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    install = [str(python), "-m", "pip", "install"]
    if subprocess.run(
        [program, "-c", "import ensurepip"], stderr=subprocess.DEVNULL, check=False
    ).returncode:
        # Debian's python3 without python3-venv: then the pip of this one installs into it.
        subprocess.run([program, "-m", "venv", "--without-pip", folder], check=True)
        install = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    else:
        subprocess.run([program, "-m", "venv", folder], check=True)
    subprocess.run([*install, "--quiet", "--editable", f"{ROOT}[test]"], check=True)
    ready.touch()
    return python


def main(arguments: list[str]) -> int:
    """Run the tests; the status is 1 if any failed, or there is nothing to run them on."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as in the Makefile
    found = interpreters(candidates())
    missing = [name for name in NAMED if not any(version.startswith(name + ".") for version in found)]
    ends = arguments[:1] == ["--ends"]
    chosen = list(found)
    if ends:
        chosen, arguments = list(dict.fromkeys([*chosen[:1], *chosen[-1:]])), arguments[1:]
    failed: list[str] = []
    for version in chosen:
        print(f"\n=== Python {version} ({found[version]})", flush=True)
        try:
            python = environment(version, found[version])
        except subprocess.CalledProcessError as error:
            print(f"not installed: {error}", flush=True)
            failed.append(version)
            continue
        command = [str(python), "-m", "pytest", "-q", "-n", JOBS, "-p", "no:cacheprovider", *arguments]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(version)
    print(f"\nPythons tested: {', '.join(chosen) or 'none'}; failed: {', '.join(failed) or 'none'}")
    print(f"not found here: {', '.join(missing) or 'none'}")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
