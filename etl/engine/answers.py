"""The writer process: the workers' answers are applied in source order, and credited to the reader."""

from __future__ import annotations

from collections import Counter

from etl.engine.channels import Channel, Gone, Workers
from etl.engine.messages import Attempt, Credit, Done, End, Lost, Ready, ToReader
from etl.engine.writer import Writer
from etl.errors import ProcessDied
from etl.ledger.report import Written

PAUSE_SECONDS = 0.008
"""How long answers are let come together: the reader is not woken for every slab that is free again. Less
than the slabs hold bytes for (`etl.engine.plan`)."""

FEW_ROWS = 100
"""Of chunks with more rows, few answers are enough to fill a worker's pipe: they are not let wait."""


class _Losses:
    """Which chunks have killed their workers, and what is found out about the one at hand."""

    def __init__(self) -> None:
        self._times: Counter[int] = Counter()
        self._poison: list[int] = []
        self.attempted: int | None = None
        """The record that a worker turned to last, where the chunk is being taken apart."""

    def note(self, worker: int, sequence: int) -> Lost:
        """Return what the reader has to do about a chunk whose worker has died.

        Once may be an accident, and it is tried again. The second time it is taken apart, and from then on
        the record that was turned to last is the one that kills.
        """
        self._times[sequence] += 1
        if self._times[sequence] == 1:
            self._poison = []
            self.attempted = None
            return Lost(worker, sequence, None)
        if self.attempted is not None:
            self._poison.append(self.attempted)
            self.attempted = None
        return Lost(worker, sequence, tuple(self._poison))


def write(writer: Writer, workers: Workers, messages: Channel[ToReader]) -> Written:
    """Apply what the workers send until the feeds are complete, then merge and commit.

    Raises:
        DatabaseError: the database or the disk refuses.
        DataError: a feed is malformed, or too much of it was rejected.
        LockHeld: another run is at work.
        ProcessDied: too many workers died.
    """
    messages.put(Ready(writer.begin()))
    writer.open_rejects()
    return writer.finish(_receive(writer, workers, messages))


def _receive(writer: Writer, workers: Workers, messages: Channel[ToReader]) -> End:
    """Take the answers in source order; send a credit for each."""
    worker = sequence = 0
    pause = 0.0
    refusing = False
    losses = _Losses()
    while True:
        results = workers[worker].results
        writer.open_when_idle(results.empty)
        try:
            answer = results.get(pause)
        except Gone:
            if not workers.replace(worker):
                raise ProcessDied("too many worker processes died") from None
            messages.put(losses.note(worker, sequence))
            continue
        if isinstance(answer, Attempt):
            losses.attempted = answer.number
            continue
        if isinstance(answer, End):
            messages.put(Done())
            return answer
        worker, sequence = answer.next_worker, sequence + 1
        batch = answer.batch
        pause = PAUSE_SECONDS if batch.matched <= FEW_ROWS else 0.0
        # After a chunk that was cut wrong, nothing counts until the reader has cut it exactly.
        refusing = not answer.exact and (refusing or batch.malformed is not None)
        if not refusing:
            writer.apply(batch, answer.source)
        messages.put(Credit(applied=not refusing, stop=writer.is_full))
