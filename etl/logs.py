"""Log lines, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
                "level": record.levelname.lower(),
                "message": record.getMessage(),
            }
        )


def set_up(log_format: str, verbose: bool, quiet: bool) -> None:
    """Send this program's log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    logger = logging.getLogger("etl")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO)


def is_json() -> bool:
    """Return whether log lines are JSON objects."""
    return any(isinstance(h.formatter, _JsonFormatter) for h in logging.getLogger("etl").handlers)
