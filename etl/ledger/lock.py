"""One run of a pipeline at a time in a database: whoever finds the lock taken gives up, or waits."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from etl.database.database import Database, Lock
from etl.errors import LockHeld

if TYPE_CHECKING:  # it takes long to import
    import sqlalchemy as sa

WAIT_SECONDS = 0.5
"""How often a run that waits for the lock tries again."""

logger = logging.getLogger(__name__)


def take_lock(
    database: Database,
    connection: sa.Connection,
    pipeline: str,
    wait: bool,
    held: Lock | None = None,
    run_id: int | None = None,
) -> Lock | None:
    """Take the lock of a pipeline in a database; if another run has it, `wait` for its end.

    Where the database keeps the lock with a transaction, one is open then, and the lock ends with it.
    `held` is returned if nothing else need be locked. `run_id` is this run's, if it has one.

    Raises:
        LockHeld: another run has it.
        DatabaseError: the database's file cannot be opened.
    """
    from etl.ledger import runs

    lock = database.lock(connection, pipeline, held)
    if lock is None:
        return held
    told = False
    while not lock.attempt():
        if not told:
            holder = runs.run_at_work(connection, pipeline, run_id)
            if not wait:
                raise LockHeld(f"another run is at work{holder}")
            logger.info("waiting for another run to end%s", holder)
            told = True
        time.sleep(WAIT_SECONDS)
    return lock
