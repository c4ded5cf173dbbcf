"""A worker process: chunks in, rows and rejects out; it only reads the slabs, never writes to them."""

from __future__ import annotations

import gc

from etl.engine.channels import WorkerQueues
from etl.engine.messages import Answer, Attempt, Chunk, End, Opening, ToWorker
from etl.engine.plan import Plan
from etl.faults import reached
from etl.records.chunks import ChunkParser, Handling
from etl.records.wanted import Wanted
from etl.slabs import Slabs

PAUSE_SECONDS = 0.001
"""How long chunks are let come together: a worker that is faster than the reader is woken for every other
one then, and hardly later."""


def wanted_by(plan: Plan) -> Wanted:
    """Return what a plan asks of a feed."""
    return Wanted(plan.pipeline, plan.selection, plan.destination.wants_raw)


def handling_of(plan: Plan) -> Handling:
    """Return what a plan says of records that cannot be used, and of rows."""
    destination = plan.destination
    pack = destination.pack if plan.limit is None else None  # with a limit, the writer counts them
    return Handling(plan.on_error == "salvage", not destination.holds_nul, pack)


def work(plan: Plan, slabs: Slabs, queues: WorkerQueues) -> None:
    """Answer every chunk, until None comes."""
    gc.disable()  # rows and records refer to nothing that refers to them
    opening: Opening | None = None
    parser: ChunkParser | None = None
    task: ToWorker = None
    while (task := queues.tasks.get(PAUSE_SECONDS if isinstance(task, Chunk) else 0.0)) is not None:
        if isinstance(task, Opening):
            opening = task
            if parser is not None:
                parser.open(task.layout, task.base)
        elif isinstance(task, End):
            queues.results.put(task)
        elif opening is not None:
            if parser is None:  # many a worker has no chunk to look at
                parser = ChunkParser(wanted_by(plan), opening.layout, opening.base, handling_of(plan))
            reached("received")
            answer = _answer(task, slabs, opening.source, parser, queues)
            reached("found")
            queues.results.put(answer)
            reached("sent")


def _answer(task: Chunk, slabs: Slabs, source: int, parser: ChunkParser, queues: WorkerQueues) -> Answer:
    poison = task.poison

    def attempt(number: int) -> bool:
        assert poison is not None
        queues.results.put(Attempt(number))
        return number not in poison

    found = parser.parse_cut(slabs[task.slab], task.cut, None if poison is None else attempt)
    return Answer(source, task.slab, task.cut.exact, task.next_worker, found.batch())
