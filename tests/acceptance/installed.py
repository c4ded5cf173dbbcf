"""Packages that a command finds installed: folders on its path with what a package manager writes."""

from __future__ import annotations

from pathlib import Path


def offer(folder: Path, distribution: str, **groups: str) -> None:
    """Say that a package is installed in a folder, and which entry point it has of each group."""
    about = folder / f"{distribution}-1.0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [line for group, entry in groups.items() for line in (f"[{group}]", entry, "")]
    (about / "entry_points.txt").write_text("\n".join(lines))
