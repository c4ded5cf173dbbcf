"""Log lines, on standard error. A record's `stack` is shown below its message, on lines of its own."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from etl.text import rfc3339, visible


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": _time(record, "auto"),
                "level": record.levelname.lower(),
                "message": "\n".join([record.getMessage(), *_stack(record)]),
            }
        )


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        first = f"{_time(record, 'seconds')} {record.levelname} {visible(record.getMessage())}"
        return "\n".join([first, *map(visible, _stack(record))])


def _time(record: logging.LogRecord, timespec: str) -> str:
    return rfc3339(datetime.fromtimestamp(record.created, UTC), timespec)


def _stack(record: logging.LogRecord) -> list[str]:
    stack: str = getattr(record, "stack", "")
    return stack.splitlines()


def set_up(log_format: str, verbose: bool, quiet: bool) -> None:
    """Send this program's log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logger = logging.getLogger("etl")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO)


def is_json() -> bool:
    """Return whether log lines are JSON objects."""
    return any(isinstance(h.formatter, _JsonFormatter) for h in logging.getLogger("etl").handlers)
