"""The writer's connection to the database, and the run's lock, which may be kept with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from etl.database.database import Lock
from etl.engine.plan import Plan
from etl.errors import DatabaseError
from etl.ledger import runs as ledger
from etl.ledger.lock import take_lock


class LockedConnection:
    """One connection, held by the run that has the lock; it can be closed and opened again.

    `lock` is the run's, if it was taken already.
    """

    def __init__(self, plan: Plan, lock: Lock | None) -> None:
        database = plan.target.database
        self._database = database.rehearsed() if plan.dry_run else database
        self._pipeline = plan.pipeline.name
        self._lock = lock
        self._stack = ExitStack()

    def open(self, wait: bool, run_id: int | None = None) -> None:
        """Connect, and take the lock, or `wait` for it; `run_id` is this run's, if it has one.

        Raises:
            LockHeld: another run has it.
            SQLAlchemyError: the database refuses.
        """
        engine = self._database.engine()
        self._stack.callback(engine.dispose)
        self.connection = self._stack.enter_context(engine.connect())
        self.lock(wait, run_id)

    def lock(self, wait: bool, run_id: int | None = None) -> None:
        """Take the lock; again, where it has ended with a transaction.

        Raises:
            As `open`.
        """
        self._lock = take_lock(self._database, self.connection, self._pipeline, wait, self._lock, run_id)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Go on in the transaction that holds the lock; or in one of its own, where another thing does."""
        if self.connection.in_transaction():
            yield
        else:
            with self.connection.begin():
                yield

    def refuse_if_overtaken(self, run_id: int | None) -> None:
        """See that no other run had the lock while it was lost, and merged a newer feed than this one's.

        Raises:
            DatabaseError: one had.
        """
        # A dry run has no id, and merges nothing.
        if run_id is not None and ledger.overtaken(self.connection, self._pipeline, run_id):
            raise DatabaseError("database: another run was committed while the connection was lost")

    def close_broken(self) -> None:
        """Close what is left of a connection that broke."""
        with suppress(SQLAlchemyError):
            self._stack.close()

    def close(self) -> None:
        """Roll back what is not committed, and let go of the lock."""
        self._stack.close()
