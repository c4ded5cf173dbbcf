"""Measurements of whole runs against `zstd -dc`, and of the parts: `python -m bench`."""
