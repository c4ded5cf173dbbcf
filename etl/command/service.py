"""Rounds at an interval, until a signal ends them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from etl.engine.signals import Signals
from etl.errors import ConfigurationError, EtlError, Stopped, reported, stack_of

logger = logging.getLogger(__name__)


def serve(one_round: Callable[[], None], interval: timedelta, signals: Signals) -> None:
    """Do rounds, each begun `interval` after the last one's beginning; those that fail are logged.

    A round that takes longer than that leaves out those whose time has passed.

    Raises:
        Stopped: a signal came.
        ConfigurationError: in the first round, since no other would go better.
    """
    seconds = interval.total_seconds()
    due = time.monotonic()
    first = True
    while True:
        try:
            one_round()
        except Stopped:
            raise
        except EtlError as error:
            if first and isinstance(error, ConfigurationError):
                raise
            logger.error("%s", reported("the parent process", error).message)
        except Exception as error:
            logger.error("%s", reported("the parent process", error).message)
            logger.debug("that came from:", extra={"stack": stack_of(error)})
        first = False
        passed = max(0, int((time.monotonic() - due) // seconds))
        due += (1 + passed) * seconds
        wait = max(0.0, due - time.monotonic())
        logger.info("the next round begins in %s", timedelta(seconds=round(wait)))
        try:
            with signals.raising():
                time.sleep(wait)
        except Stopped as stopped:
            raise Stopped(stopped.number, "between two rounds") from None
