"""What the name of an output says, beside the format: standard output, and compression."""

from __future__ import annotations

from pathlib import Path

STANDARD_OUTPUT = "-"
"""What stands for standard output in place of a file's name."""

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
"""The kinds of compression of formats that are text, by what is added to a file's name."""


def is_standard_output(output: Path) -> bool:
    """Say whether a path stands for standard output: `-`, or with the suffix of a format (`-.csv`)."""
    return str(output) == STANDARD_OUTPUT or str(output).startswith(f"{STANDARD_OUTPUT}.")
