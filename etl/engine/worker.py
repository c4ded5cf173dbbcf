"""A worker process: chunks in, rows and rejects out; it only reads the slabs, never writes to them."""

from __future__ import annotations

import gc

from etl.engine.channels import Line
from etl.engine.messages import Attempt, Batch, Chunk, End, Opening, Oversize, Task
from etl.engine.plan import Plan
from etl.faults import reached
from etl.records.fast import ChunkParser
from etl.records.found import Parsed, Reject
from etl.records.raw import RawParser
from etl.slabs import Slabs

NAP_SECONDS = 0.001
"""How long chunks are let come together: a worker that is faster than the reader is woken for every other
one then, and hardly later."""


def work(plan: Plan, slabs: Slabs, line: Line) -> None:
    """Answer every chunk with a batch, until None comes."""
    gc.disable()  # rows and records refer to nothing that refers to them
    opening: Opening | None = None
    parser: ChunkParser | None = None
    task: Task = None
    while (task := line.tasks.get(NAP_SECONDS if isinstance(task, Chunk) else 0.0)) is not None:
        if isinstance(task, Opening):
            opening = task
            if parser is not None:
                parser.open(task.layout, task.base)
        elif isinstance(task, End):
            line.results.put(task)
        elif opening is not None:
            if parser is None:  # many a worker has no chunk to look at
                destination = plan.destination
                parser = (RawParser if destination.wants_raw else ChunkParser)(
                    plan.pipeline, plan.selection, opening.layout, opening.base,
                    salvage=plan.on_error == "salvage", refuse_nul=not destination.holds_nul,
                    pack=destination.pack if plan.limit is None else None,  # or else they are counted
                )  # fmt: skip
            reached("received")
            exact = isinstance(task, Oversize) or task.exact
            found = _look_at(task, slabs, parser, line)
            reached("found")
            line.results.put(
                Batch(
                    sequence=task.sequence,
                    source=opening.source,
                    slab=task.slab,
                    exact=exact,
                    following=task.following,
                    records=found.records,
                    matched=found.matched,
                    rows=found.packed_rows + len(found.rows),
                    parts=[*found.packed, found.rows] if found.rows else found.packed,
                    rejects=found.rejects,
                    malformed=found.malformed,
                )
            )
            reached("sent")


def _look_at(task: Chunk | Oversize, slabs: Slabs, parser: ChunkParser, line: Line) -> Parsed:
    data = slabs[task.slab][: task.length]
    if isinstance(task, Chunk) and task.deadly is not None:
        deadly = task.deadly

        def attempt(number: int) -> bool:
            line.results.put(Attempt(number))
            return number not in deadly

        return parser.parse_apart(data, task.offset, task.exact, attempt)
    if isinstance(task, Chunk):
        return parser.parse(data, task.offset, task.exact)
    reason = f"longer than a record may be: {task.size:,} bytes"
    return Parsed(records=1, rejects=[Reject(task.offset, None, reason, bytes(data))])
