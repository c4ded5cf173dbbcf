"""The parent: starts the processes, watches them, and stops them. It touches no data.

Processes are forked, so that the slabs and figures are simply there, and before any thread is started. The
parent waits on the children's sentinels and outcomes together: whichever dies without an outcome ends the
run at once. Nothing is ever waited for in a queue that a dead process should have filled.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, Protocol

from etl.engine.channels import SPARES, Channel, WorkerQueues, Workers
from etl.engine.child import Failed, Finished, run_child
from etl.engine.figures import Figures
from etl.engine.memory import proportional_bytes
from etl.engine.messages import ToReader
from etl.engine.plan import Plan
from etl.engine.signals import STOPPING
from etl.errors import EtlError, ProcessDied, Stopped, refusal
from etl.faults import reached
from etl.ledger.report import RunReport, Written
from etl.slabs import Slabs

TICK_SECONDS = 0.1
"""How often signals are checked and progress is shown."""

MEMORY_SECONDS = 5.0
"""How often memory is measured, at the least."""

GRACE_SECONDS = 3.0
"""How long a child may take to roll back before it is killed."""

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Something that shows how far a run has come."""

    def update(self) -> None:
        """Show the figures as they are now."""

    def close(self) -> None:
        """The run is over."""


def carry_out(
    plan: Plan, report: RunReport, figures: Figures, progress: Progress, noted: list[int]
) -> Written:
    """Carry out a plan and return what was written; a signal is `noted` by whoever handles it.

    Raises:
        EtlError: the run failed; nothing of it was committed.
        Stopped: SIGINT or SIGTERM ended it.
    """
    children = _Children()
    try:
        spares = _start(plan, report, figures, children)
        reached("started")
        written = _watch(children, spares, figures, progress, noted)
        reached("told")
        return written
    except EtlError:
        children.stop(noted)
        if (written := children.late_result("writer")) is None:
            raise
        assert isinstance(written, Written)
        return written  # what ended the run came after the commit
    finally:
        children.stop(noted)
        children.close()
        progress.close()


def _start(plan: Plan, report: RunReport, figures: Figures, children: _Children) -> Iterator[None]:
    """Start the processes; every step of what is returned starts one more worker, as long as it can."""
    if plan.workers == 0:
        children.start("writer", partial(_do_all, plan, report, figures))
        return iter(())
    with _refusals_named():
        slabs = Slabs(plan.slabs, plan.record_bytes)
        queues = [WorkerQueues(children.context) for _ in range(plan.workers + SPARES)]
        messages: Channel[ToReader] = Channel(children.context)
        children.resources += [*queues, messages]
    children.start("writer", partial(_write, plan, report, figures, queues, messages))
    children.start("reader", partial(_read, plan, figures, slabs, queues, messages))
    workers = _workers(plan, slabs, queues, children)
    for _ in range(plan.workers):
        next(workers)
    return workers


@contextlib.contextmanager
def _refusals_named() -> Iterator[None]:
    """Say why the system does not give what a run needs.

    Raises:
        ProcessDied: it does not.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        why = refusal(error) or str(error)
        raise ProcessDied(f"the system gives no memory or process for a run: {why}") from None


def _workers(plan: Plan, slabs: Slabs, queues: list[WorkerQueues], children: _Children) -> Iterator[None]:
    for number, own in enumerate(queues):
        children.start(f"worker {number}", partial(_work, plan, slabs, queues[number:], own))
        own.results.leave_sending()
        yield


# Each process imports what only it needs, and after it was forked.


def _do_all(plan: Plan, report: RunReport, figures: Figures) -> Written:
    from etl.engine import single

    return single.run_in_this_process(plan, report, figures)


def _read(
    plan: Plan, figures: Figures, slabs: Slabs, queues: list[WorkerQueues], messages: Channel[ToReader]
) -> None:
    from etl.engine.feeds import opened, warnings_of
    from etl.engine.reader import Reader
    from etl.records.wanted import Wanted
    from etl.source.feed import is_plain_file

    _leave(queues)
    if not all(map(is_plain_file, plan.sources)):
        import pyarrow  # noqa: F401 - while the writer imports the database's modules
    workers = Workers(queues, plan.workers)
    reader = Reader(slabs, workers, messages, figures, plan.chunk_bytes, plan.on_error == "salvage")
    wanted = Wanted(plan.pipeline, plan.selection)
    known = reader.wait_until_ready()
    version = None
    for number, source in enumerate(plan.sources):
        with opened(plan, source, known) as feed:
            if feed is None:
                reader.finish(known, modified=False)
                return
            version = feed.version
            reader.read(number, feed, wanted, plan.allow_empty)
    reader.finish(version)
    if figures.matched == 0:  # the writer has counted them all
        for warning in warnings_of(plan, reader.openings):
            logger.warning("%s", warning)


def _work(plan: Plan, slabs: Slabs, queues: list[WorkerQueues], own: WorkerQueues) -> None:
    from etl.engine.worker import work

    _leave([other for other in queues if other is not own])
    work(plan, slabs, own)


def _write(
    plan: Plan, report: RunReport, figures: Figures, queues: list[WorkerQueues], messages: Channel[ToReader]
) -> Written:
    from etl.engine.answers import write
    from etl.engine.writer import Writer

    _leave(queues)
    with Writer(plan, report, figures) as writer:
        return write(writer, Workers(queues, plan.workers), messages)


def _leave(queues: list[WorkerQueues]) -> None:
    """Let a worker's results end with the worker: nobody else holds their sending end open."""
    for each in queues:
        each.results.leave_sending()


def _watch(
    children: _Children, spares: Iterator[None], figures: Figures, progress: Progress, noted: list[int]
) -> Written:
    """Wait until the writer is done, a child has failed, or a signal came; replace dead workers."""
    started = due = time.monotonic()
    while True:
        if noted:
            raise Stopped(noted[0])
        if time.monotonic() >= due:
            memory = proportional_bytes(children.pids())
            figures.peak_memory_bytes = max(figures.peak_memory_bytes, memory)
            # It costs some milliseconds: often in a short run, seldom in a long one.
            now = time.monotonic()
            due = now + min(TICK_SECONDS + (now - started) / 4, MEMORY_SECONDS)
        progress.update()
        for name, outcome in children.outcomes(TICK_SECONDS):
            if name == "writer" and isinstance(outcome, Finished):
                written: Written = outcome.value
                return written  # whatever others met with, it was committed
            if noted:  # the signal may have gone to all processes of the group, and this one ended by it
                raise Stopped(noted[0])
            if isinstance(outcome, str):
                if not name.startswith("worker") or next(spares, spares) is spares:
                    raise ProcessDied(outcome)
                logger.warning("%s; another one takes over", outcome)
            elif isinstance(outcome, Failed):
                if outcome.details:
                    logger.debug("that came from:", extra={"stack": outcome.details})
                try:
                    raise outcome.error
                finally:
                    del outcome  # the error's traceback leads here: they would keep each other, and slabs


class _Children:
    """The child processes of one run."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("fork")
        self._all: dict[str, tuple[ForkProcess, Connection]] = {}
        self._pending: dict[str, tuple[ForkProcess, Connection]] = {}
        """Those whose outcome is not known yet."""
        # Ends with this process, whatever becomes of the children: what `multiprocessing` has for that is
        # kept open by every child that was forked later.
        self._parent, self._held = self.context.Pipe(duplex=False)
        self.resources: list[WorkerQueues | Channel[ToReader]] = []
        """What connects them, to be closed in the end."""

    def start(self, name: str, function: Callable[[], Any]) -> None:
        """Fork a child that runs `function`."""
        with _refusals_named():
            receiving, sending = self.context.Pipe(duplex=False)
            child = self.context.Process(target=self._run, args=(sending, function), name=name)
            # A signal must not meet the parent's handler in the child, which would only note it.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
            try:
                child.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        sending.close()
        self._all[name] = self._pending[name] = child, receiving

    def _run(self, outcome: Connection, function: Callable[[], Any]) -> None:
        self._held.close()
        run_child(self._parent, outcome, function)

    def pids(self) -> list[int]:
        """Return the ids of this process and its living children."""
        return [os.getpid(), *(p.pid for p, _ in self._all.values() if p.pid is not None)]

    def outcomes(self, seconds: float) -> Iterator[tuple[str, Finished | Failed | str]]:
        """Yield the outcomes that come within a time; of a child that died without one, how it died."""
        waited = [item for child, pipe in self._pending.values() for item in (child.sentinel, pipe)]
        ready = wait(waited, seconds)
        for name, (child, receiving) in list(self._pending.items()):
            if child.sentinel not in ready and receiving not in ready:
                continue
            del self._pending[name]
            try:
                outcome = receiving.recv()
            except (EOFError, OSError):
                child.join()
                outcome = _death(name, child.exitcode)
            yield name, outcome

    def late_result(self, name: str) -> Any:
        """Return what a child that has ended finished with, if that was not received yet."""
        _, receiving = self._pending.get(name, (None, None))
        with contextlib.suppress(EOFError, OSError):
            if receiving is not None and receiving.poll():
                outcome = receiving.recv()
                return outcome.value if isinstance(outcome, Finished) else None
        return None

    def stop(self, noted: list[int]) -> None:
        """Stop what still runs: terminate, wait, kill. A second signal kills at once."""
        running = [child for child, _ in self._all.values()]
        if self._pending:
            for child in running:
                child.terminate()
        limit = time.monotonic() + GRACE_SECONDS
        while (alive := [child for child in running if child.is_alive()]) and time.monotonic() < limit:
            if len(noted) > 1:
                break
            wait([child.sentinel for child in alive], 0.1)
        for child in running:
            if child.is_alive():
                child.kill()
            child.join()

    def close(self) -> None:
        """Close what the children used, who have ended: an error's traceback may keep it for long."""
        for child, receiving in self._all.values():
            receiving.close()
            child.close()
        for resource in self.resources:
            resource.close()
        self._parent.close()
        self._held.close()


def _death(name: str, exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        number = -exit_code
        with contextlib.suppress(ValueError):
            text = f"the {name} process was killed by {signal.Signals(number).name}"
            return text + (" (probably out of memory)" if number == signal.SIGKILL else "")
    return f"the {name} process ended with status {exit_code}"
