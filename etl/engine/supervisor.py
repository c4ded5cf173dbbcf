"""The parent: starts the processes, watches them, and stops them. It touches no data.

Processes are forked, so that the slabs and figures are simply there, and before any thread is started. The
parent waits on the children's sentinels and last words together: whichever dies without one ends the
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
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, Protocol

from etl.declare.location import PATIENT
from etl.engine.channels import SPARES, Channel, Line, Lines
from etl.engine.child import Failed, Finished, run_child
from etl.engine.figures import Figures
from etl.engine.memory import proportional_bytes
from etl.engine.messages import Word
from etl.engine.plan import Plan
from etl.engine.signals import STOPPING
from etl.errors import EtlError, ProcessDied, Stopped, refusal
from etl.faults import reached
from etl.ledger.report import RunReport, Written
from etl.slabs import Slabs

TICK_SECONDS = 0.1
"""How often signals are looked at and progress is shown."""

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


def run(plan: Plan, report: RunReport, figures: Figures, progress: Progress, noted: list[int]) -> Written:
    """Carry out a plan and return what was written; a signal is `noted` by whoever handles it.

    Raises:
        EtlError: the run failed; nothing of it was committed.
        Stopped: SIGINT or SIGTERM ended it.
    """
    family = _Family()
    try:
        workers = _start(plan, report, figures, family)
        reached("started")
        written = _watch(family, workers, figures, progress, noted)
        reached("told")
        return written
    except EtlError:
        family.stop(noted)
        if (written := family.late_word("writer")) is None:
            raise
        assert isinstance(written, Written)
        return written  # what ended the run came after the commit
    finally:
        family.stop(noted)
        family.close()
        progress.close()


def _start(plan: Plan, report: RunReport, figures: Figures, family: _Family) -> Iterator[None]:
    """Start the processes; every step of what is returned starts one more worker, as long as it can."""
    with _refusals_named():
        slabs = Slabs(plan.slabs, plan.record_bytes)
        lines = [Line(family.context) for _ in range(plan.workers + SPARES)]
        words: Channel[Word] = Channel(family.context)
        family.belongings += [*lines, words]
    family.start("writer", partial(_write, plan, report, figures, lines, words))
    family.start("reader", partial(_read, plan, figures, slabs, lines, words))
    workers = _workers(plan, slabs, lines, family)
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


def _workers(plan: Plan, slabs: Slabs, lines: list[Line], family: _Family) -> Iterator[None]:
    for number, line in enumerate(lines):
        family.start(f"worker {number}", partial(_work, plan, slabs, lines[number:], line))
        line.results.leave_sending()
        yield


# Each process imports what only it needs, and after it was forked.


def _read(plan: Plan, figures: Figures, slabs: Slabs, lines: list[Line], words: Channel[Word]) -> None:
    from etl.engine.reader import Reader
    from etl.source.feed import errors_named, is_plain_file, open_feed, warn_if_stale

    _leave(lines)
    if not all(map(is_plain_file, plan.sources)):
        import pyarrow  # noqa: F401 - while the writer imports the database's modules
    salvage = plan.on_error == "salvage"
    reader = Reader(slabs, Lines(lines, plan.workers), words, figures, plan.chunk_bytes, salvage)
    known = reader.wait_until_ready()
    version = None
    patience = replace(PATIENT, busy_seconds=plan.retry_for.total_seconds())
    for number, source in enumerate(plan.sources):
        with errors_named(source), open_feed(source, known, patience, plan.threads) as feed:
            version = known if feed is None else feed.version
            if version is not None:
                warn_if_stale(version, plan.stale_after)
            if feed is None:
                reader.finish(version, modified=False)
                return
            reader.read(number, feed, plan.pipeline, plan.allow_empty)
    reader.finish(version)
    if figures.matched == 0 and plan.pipeline.unmatched is not None:  # the writer has counted them all
        warnings = {plan.pipeline.unmatched(opening, plan.selection) for opening in reader.openings}
        for warning in filter(None, warnings):
            logger.warning("%s", warning)


def _work(plan: Plan, slabs: Slabs, lines: list[Line], line: Line) -> None:
    from etl.engine.worker import work

    _leave([other for other in lines if other is not line])
    work(plan, slabs, line)


def _write(
    plan: Plan, report: RunReport, figures: Figures, lines: list[Line], words: Channel[Word]
) -> Written:
    from etl.engine.writer import Writer

    _leave(lines)
    return Writer(plan, report, figures).run(Lines(lines, plan.workers), words)


def _leave(lines: list[Line]) -> None:
    """Let a worker's results end with the worker: nobody else holds their sending end open."""
    for line in lines:
        line.results.leave_sending()


def _watch(
    family: _Family, workers: Iterator[None], figures: Figures, progress: Progress, noted: list[int]
) -> Written:
    """Wait until the writer is done, a child has failed, or a signal came; replace dead workers."""
    started = due = time.monotonic()
    while True:
        if noted:
            raise Stopped(noted[0])
        if time.monotonic() >= due:
            memory = proportional_bytes(family.pids())
            figures.peak_memory_bytes = max(figures.peak_memory_bytes, memory)
            # It costs some milliseconds: often in a short run, seldom in a long one.
            now = time.monotonic()
            due = now + min(TICK_SECONDS + (now - started) / 4, MEMORY_SECONDS)
        progress.update()
        for name, word in family.last_words(TICK_SECONDS):
            if name == "writer" and isinstance(word, Finished):
                written: Written = word.value
                return written  # whatever others met with, it was committed
            if noted:  # the signal may have gone to all processes of the group, and this one ended by it
                raise Stopped(noted[0])
            if isinstance(word, str):
                if not name.startswith("worker") or next(workers, workers) is workers:
                    raise ProcessDied(word)
                logger.warning("%s; another one takes over", word)
            elif isinstance(word, Failed):
                if word.details:
                    logger.debug("that came from:", extra={"stack": word.details})
                try:
                    raise word.error
                finally:
                    del word  # the error's traceback leads here: they would keep each other, and slabs


class _Family:
    """The children of one run."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("fork")
        self._children: dict[str, tuple[ForkProcess, Connection]] = {}
        self._silent: dict[str, tuple[ForkProcess, Connection]] = {}
        # Ends with this process, whatever becomes of the children: what `multiprocessing` has for that is
        # kept open by every child that was forked later.
        self._parent, self._held = self.context.Pipe(duplex=False)
        self.belongings: list[Line | Channel[Word]] = []
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
        self._children[name] = self._silent[name] = child, receiving

    def _run(self, outcome: Connection, function: Callable[[], Any]) -> None:
        self._held.close()
        run_child(self._parent, outcome, function)

    def pids(self) -> list[int]:
        """Return the ids of this process and its living children."""
        return [os.getpid(), *(p.pid for p, _ in self._children.values() if p.pid is not None)]

    def last_words(self, seconds: float) -> Iterator[tuple[str, Finished | Failed | str]]:
        """Yield the last words that come within a time; of a child that died without one, how it died."""
        waited = [item for child, pipe in self._silent.values() for item in (child.sentinel, pipe)]
        ready = wait(waited, seconds)
        for name, (child, receiving) in list(self._silent.items()):
            if child.sentinel not in ready and receiving not in ready:
                continue
            del self._silent[name]
            try:
                word = receiving.recv()
            except (EOFError, OSError):
                child.join()
                word = _death(name, child.exitcode)
            yield name, word

    def late_word(self, name: str) -> Any:
        """Return what a child that has ended finished with, if that was not heard yet."""
        _, receiving = self._silent.get(name, (None, None))
        with contextlib.suppress(EOFError, OSError):
            if receiving is not None and receiving.poll():
                word = receiving.recv()
                return word.value if isinstance(word, Finished) else None
        return None

    def stop(self, noted: list[int]) -> None:
        """Stop what still runs: ask, wait, kill. A second signal kills at once."""
        running = [child for child, _ in self._children.values()]
        if self._silent:
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
        """Close what belongs to the children, who have ended: an error's traceback may keep it for long."""
        for child, receiving in self._children.values():
            receiving.close()
            child.close()
        for belonging in self.belongings:
            belonging.close()
        self._parent.close()
        self._held.close()


def _death(name: str, exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        number = -exit_code
        with contextlib.suppress(ValueError):
            text = f"the {name} process was killed by {signal.Signals(number).name}"
            return text + (" (probably out of memory)" if number == signal.SIGKILL else "")
    return f"the {name} process ended with status {exit_code}"
