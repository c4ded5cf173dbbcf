"""Lengths of time, as options take them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

_LONGEST = timedelta(days=36_500)
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class Duration(click.ParamType[timedelta]):
    """A length of time: `90s`, `1h30m`; a number alone is seconds."""

    name = "duration"
    takes_numbers = True
    """In a file of settings, beside texts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the time that a text spells."""
        if isinstance(value, timedelta):
            return value
        text = f"{value}s" if str(value).isdecimal() else str(value)
        parts = re.findall(r"(\d+)([dhms])", text)
        units = [unit for _, unit in parts]
        whole = "".join(number + unit for number, unit in parts) == text
        if not whole or len(set(units)) < len(units):
            self.fail(f"{value!r} is not a length of time such as 1h or 1h30m", param, ctx)
        try:
            length = timedelta(**{_UNITS[unit]: int(number) for number, unit in parts})
        except (OverflowError, ValueError):
            length = timedelta()
        if not timedelta() < length <= _LONGEST:
            self.fail(f"{value!r} is not a length of time to wait", param, ctx)
        return length
