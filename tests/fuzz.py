"""Damaged and strangely spelled feeds, without end, through the real reader and parsers: `make fuzz`.

Every case is held to the reference (`tests.support.judgement`). One that crashes, hangs or differs is
shrunk and kept in data/fuzz, and `python -m tests.fuzz FILE` runs it again. FUZZ_SECONDS and FUZZ_SEED are
its settings.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType

from etl.errors import DataError
from tests.support.damage import COMPRESSORS, DAMAGES, RESPELLINGS, STREAM_DAMAGES, compress, splice, tokens
from tests.support.documents import SHAPES, WANTED, build
from tests.support.interleaved import HEAD, Settings, read
from tests.support.judgement import SHALLOW, Finding, judge, judge_refusal, plain
from tests.support.twin.reading import NotWellFormed
from tests.support.twin.streams import NotDecodable, decoded
from tests.support.whole_run import run

FOLDER = Path("data", "fuzz")
CASE_SECONDS = 5
"""How much of the processor's time a case may take."""
STUCK_SECONDS = 60
"""After how long the command ends by force; the file `running` then holds the case."""
WHOLE_EVERY = 200
SHRINK_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Case:
    """A stream, and how it is read."""

    kind: str
    stream: bytes
    settings: Settings
    whole: bool = False
    """Read by a run in its own processes, into SQLite."""


class _Hung(BaseException):
    """A case takes too long."""


# Cases -----------------------------------------------------------------------------------------------


def cases(chance: random.Random) -> Iterator[Case]:
    """Yield cases without end."""
    number = 0
    other = _document(chance)
    while True:
        document = _document(chance)
        if len(document) < 3000 and chance.random() < 0.02:
            for kind, stream in _every_edge(document):
                yield Case(kind, stream, settings_for(chance, stream))
        for _ in range(20):
            number += 1
            kind, stream = _mutated(chance, document, other)
            whole = number % WHOLE_EVERY == 0
            yield Case(kind, stream, settings_for(chance, stream), whole)
        other = document


def _document(chance: random.Random) -> bytes:
    return build(
        chance, chance.choice(SHAPES), chance.choice((1, 2, 3, 4, 6, 30)), chance.choice((0.0, 0.2, 0.9))
    )


def _every_edge(document: bytes) -> Iterator[tuple[str, bytes]]:
    length = 0
    for token in tokens(document)[:-1]:
        length += len(token)
        yield "every edge", document[:length]


def _mutated(chance: random.Random, document: bytes, other: bytes) -> tuple[str, bytes]:
    """Return a document, spelled in another way, damaged or compressed, and what was done."""
    done = []
    codec = chance.choice(list(COMPRESSORS)) if chance.random() < 0.2 else None
    if chance.random() < 0.4:
        respell = chance.choice(RESPELLINGS)
        document = respell(chance, document)
        done.append(respell.__name__)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3) if codec is None else (0, 0, 0, 0, 1))):
        if chance.random() < 0.05:
            document = splice(chance, document, other)
            done.append("splice")
        elif document:
            damage = chance.choice(DAMAGES)
            document = damage(chance, document)
            done.append(damage.__name__)
    if codec is not None:
        document = compress(chance, codec, document)
        done = [f"{codec} stream"]
        for _ in range(chance.choice((0, 1, 1, 2))):
            if document:
                document = chance.choice(STREAM_DAMAGES)(chance, document)
                done = [f"{codec} stream, damaged"]
    return done[-1] if done else "as it was", document


def settings_for(chance: random.Random, stream: bytes) -> Settings:
    """Return how to read a stream: in chunks of mostly far too few bytes."""
    length = max(2, min(len(stream), 1 << 16))
    small = chance.random() < 0.1
    return Settings(
        seed=chance.randrange(1 << 32),
        chunk_bytes=chance.choice((chance.randrange(1, chance.choice((40, 400, 4000, length))), 1 << 16)),
        slab_bytes=chance.choice((1100, 2000, 4096)) if small else 1 << 18,
        slabs=chance.choice((2, 3, 6, 10)),
        workers=chance.choice((1, 1, 2, 3)),
        salvage=chance.random() < 0.1,
        refuse_nul=chance.random() < 0.1,
    )


# One case --------------------------------------------------------------------------------------------


def check(case: Case) -> bool:
    """Run a case; say whether the feed was accepted.

    Raises:
        Finding: the package crashed, hung, or differs from the reference.
    """
    try:
        with _watched():
            return _check_whole(case) if case.whole else _check(case)
    except Finding:
        raise
    except _Hung:
        raise Finding("hung", f"more than {CASE_SECONDS} s") from None
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place is not None else ""
        raise Finding(f"{type(error).__name__} in {where}", str(error)[:300]) from error


def _check(case: Case) -> bool:
    settings = case.settings
    try:
        found = read(case.stream, settings)
    except DataError as error:
        judge_refusal(case.stream, error.message, settings.refuse_nul)
        return False
    judge(case.stream, found, settings.refuse_nul, settings.slab_bytes, settings.salvage)
    return True


def _check_whole(case: Case) -> bool:
    """Do the same by a whole run; what may be too deep is left to the others."""
    if max(case.stream.count(b"{"), case.stream.count(b"[")) > SHALLOW:
        return False
    settings = case.settings
    try:
        outcome = run(
            case.stream, set(WANTED), HEAD, chunk_bytes=settings.chunk_bytes, workers=settings.workers,
            slabs=2 * settings.workers + 4, record_bytes=1 << 18,
        )  # fmt: skip
    except DataError as error:
        judge_refusal(case.stream, error.message)
        return False
    try:
        want = plain(decoded(case.stream))
    except (NotDecodable, NotWellFormed) as error:
        raise Finding("accepted in a whole run what is not sound", str(error)) from None
    report = outcome.report
    figures = report.records, report.matched, report.rejected
    if (figures, outcome.rows) != ((want.records, want.matched, want.rejected), want.rows):
        raise Finding("a whole run found something else", f"{figures} instead of {want}")
    return True


@contextmanager
def _watched() -> Iterator[None]:
    """Raise `_Hung` in what takes too much of the processor's time."""

    def hung(number: int, frame: FrameType | None) -> None:
        raise _Hung

    before = signal.signal(signal.SIGVTALRM, hung)
    signal.setitimer(signal.ITIMER_VIRTUAL, CASE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# Findings --------------------------------------------------------------------------------------------


def finding(case: Case) -> Finding | None:
    """Return what is wrong with a case, if anything is."""
    try:
        check(case)
    except Finding as found:
        return found
    return None


def shrunk(case: Case, kind: str, seconds: float = SHRINK_SECONDS) -> Case:
    """Return a smaller case with a finding of the same kind: ever shorter parts of it are left out."""
    limit = time.monotonic() + seconds

    def still(smaller: Case) -> bool:
        found = finding(smaller)
        return found is not None and found.kind == kind

    for change in ({"workers": 1}, {"salvage": False}, {"refuse_nul": False}, {"slab_bytes": 1 << 18}):
        simpler = dataclasses.replace(case, settings=dataclasses.replace(case.settings, **change))
        case = simpler if still(simpler) else case
    length = len(case.stream) // 2
    while length and time.monotonic() < limit:
        before, at = case, 0
        while at < len(case.stream) and time.monotonic() < limit:
            smaller = dataclasses.replace(case, stream=case.stream[:at] + case.stream[at + length :])
            if still(smaller):
                case = smaller
            else:
                at += length
        if length > 1 or case is before:
            length //= 2
    return case


def save(case: Case, path: Path) -> None:
    """Write a case: a line about it, then its stream."""
    about = {"kind": case.kind, "whole": case.whole, "settings": dataclasses.asdict(case.settings)}
    path.write_bytes(json.dumps(about).encode() + b"\n" + case.stream)


def load(path: Path) -> Case:
    """Read what `save` has written."""
    line, _, stream = path.read_bytes().partition(b"\n")
    about = json.loads(line)
    return Case(about["kind"], stream, Settings(**about["settings"]), about["whole"])


# The loop --------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Tally:
    """What was tried."""

    tried: Counter[str] = dataclasses.field(default_factory=Counter)
    accepted: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, case: Case, accepted: bool) -> None:
        kind = "whole runs" if case.whole else case.kind
        self.tried[kind] += 1
        self.accepted[kind] += accepted


def fuzz(
    seed: int, seconds: float, tally: Tally, running: Path | None = None
) -> tuple[Case, Finding] | None:
    """Try cases for a time; return the first with a finding. The file `running` holds the one at hand."""
    limit = time.monotonic() + seconds
    for case in cases(random.Random(seed)):
        if time.monotonic() >= limit:
            return None
        if running is not None:
            save(case, running)
            # Where not even a signal's handler gets a turn, or a process waits for another.
            faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
        try:
            tally.add(case, check(case))
        except Finding as found:
            return case, found
    raise AssertionError("unreachable")


def main() -> int:
    """Run the cases that are named, or new ones for a time; return the exit status."""
    if len(sys.argv) > 1:
        found = [finding(load(Path(name))) for name in sys.argv[1:]]
        for name, one in zip(sys.argv[1:], found, strict=True):
            print(f"{name}: {one or 'as it should be'}")
        return int(any(found))
    seconds = float(os.environ.get("FUZZ_SECONDS", "600"))
    seed = int(os.environ.get("FUZZ_SEED", str(int(time.time()))))
    FOLDER.mkdir(parents=True, exist_ok=True)
    running, tally = FOLDER / "running", Tally()
    print(f"fuzz: {seconds:g} s, FUZZ_SEED={seed}; the case at hand is {running}", flush=True)
    began = time.monotonic()
    outcome = fuzz(seed, seconds, tally, running)
    faulthandler.cancel_dump_traceback_later()
    running.unlink(missing_ok=True)
    took = time.monotonic() - began
    for kind, count in sorted(tally.tried.items()):
        print(f"{kind:24} {count:8,} cases, {tally.accepted[kind]:8,} accepted")
    print(f"{tally.tried.total():,} cases, {tally.tried.total() / took:,.0f} a second")
    if outcome is None:
        return 0
    case, found_one = outcome
    case = shrunk(case, found_one.kind)
    path = FOLDER / sha256(case.stream).hexdigest()[:12]
    save(case, path)
    print(f"{case.kind}: {finding(case) or found_one}\nagain: python -m tests.fuzz {path}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
