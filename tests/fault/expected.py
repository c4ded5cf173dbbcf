"""What clean runs come to, by the command and by the slow twin of its merge."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.acceptance.feeds import HEAD, OURS, Pairs, as_object
from tests.support.twin.merge import Tracker

from .command import Command
from .workload import EARLIER, Ground, contents, earlier_feed, feed, proposals

GENESIS = datetime.fromtimestamp(1598306400, UTC)


def prepare(ground: Ground, kind: str) -> None:
    """Make the database that cases begin with, and see what clean runs make of it, and of a new one."""
    base = ground.template(kind)
    url = base.url if kind == "SQLite" else ground.server.remote(ground.base)
    earlier = ground.folder / "earlier.json"
    earlier.write_bytes(as_object(earlier_feed()))
    _run(ground.folder, url, earlier, EARLIER)
    base.insert("deals", *proposals())
    ground.before[kind] = contents(base)
    later = ground.folder / "later.json"
    later.write_bytes(ground.document)
    for new, expected in ((False, ground.after), (True, ground.fresh)):
        folder = ground.folder / f"{kind} {new}"
        with ground.database(kind, folder, new) as (tables, url):
            ground.matched = _run(folder, url, later, HEAD)["matched"]
            expected[kind] = contents(tables)


def _run(folder: Path, url: str, source: Path, head: int) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    args = ["run", "deals", "--json", "--head-epoch", str(head), "--workers", "1"]
    args += [part for client in OURS for part in ("--client", client)]
    env = {"HOME": str(folder), "ETL_SOURCE": str(source), "ETL_DATABASE": url}
    command = Command(args, env, folder, None)
    try:
        assert command.wait() == 0, command.lines
        return command.report
    finally:
        command.close()


def compare(ground: Ground) -> None:
    """Hold what clean runs came to against dicts and loops."""
    later = _spelled(feed())
    known, new = Tracker(frozenset(OURS)), Tracker(frozenset(OURS))
    known.round(1, EARLIER, _spelled(earlier_feed()), None, True)
    columns = dict.fromkeys(name for name in ground.after["SQLite"]["deals"][0])
    known.deals += [{**columns, **row} for row in proposals()]
    for twin, expected in ((known, ground.after), (new, ground.fresh)):
        twin.round(2, HEAD, later, None, True)
        deals = sorted((_told(deal) for deal in twin.deals), key=lambda deal: deal["deal_id"])
        assert deals == expected["SQLite"]["deals"]
        assert len(twin.history) == len(expected["SQLite"]["history"])


def _spelled(pairs: Pairs) -> list[tuple[int, Any]]:
    """The records as the twin takes them, without those that are refused."""
    records = [(int(key), json.loads(json.dumps(record))) for key, record in pairs]
    return [(key, record) for key, record in records if isinstance(record["Proposal"]["PieceSize"], int)]


def _told(deal: dict[str, Any]) -> dict[str, Any]:
    """A deal of the twin as the database tells it."""
    verified = deal["last_verified_at"]
    told = {"proposal_id": None} | deal
    del told["run_id"]
    return told | {"last_verified_at": verified and GENESIS + timedelta(seconds=30) * verified}
