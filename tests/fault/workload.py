"""What the faults fall on: a feed, and databases that know a part of it already.

A clean run of it updates, inserts, adopts, expires and rejects, so that any half of it would show.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.acceptance.feeds import HEAD, OTHER, OURS, Pairs, as_object, deal
from tests.support.databases import Database, Row, ServerDatabase, Tables, moment
from tests.support.postgresql import Server
from tests.support.web_server import Web, serving

from .cases import SHORT

RECORDS = 6_000 if SHORT else 30_000
EARLIER = HEAD - 1000
"""The head of the run before."""
UNSEALED = {"SectorStartEpoch": -1, "LastUpdatedEpoch": -1}
PATH = "/feed?token=canary-token"
CANARIES = ("canary", "sesame")
"""What must not be seen anywhere: of the sources' URLs, of the feed, and the database's password."""

KINDS = ("SQLite", "PostgreSQL")
Contents = dict[str, list[Row]]


def _label(number: int) -> str:
    return f"canary-label {number}"


def _record(number: int) -> Any:
    if number % 6:
        return deal(OTHER, Label=_label(number))
    slashed = {"SlashEpoch": EARLIER} if number % 22 == 0 else {}
    return deal(
        OURS[number // 6 % 2], Label=_label(number), Provider=f"f0{number % 50}",
        PieceCID={"/": f"baga{number}"}, StartEpoch=3_000_000 + number, state=slashed,
    )  # fmt: skip


def _earlier(number: int) -> Any:
    """What an earlier feed had of a deal: as later, or not sealed yet."""
    record = _record(number)
    if number % 5 == 0:
        record["Proposal"]["StartEpoch"] = HEAD + number
        record["State"] |= UNSEALED
    return record


def feed() -> Pairs:
    """The feed: with deals that come twice, and some that are refused."""
    pairs = [(str(number), _record(number)) for number in range(1, RECORDS)]
    for number in range(60, RECORDS, RECORDS // 10):
        pairs[number] = (str(number * 6 % RECORDS), _record(number * 6 % RECORDS))
        pairs[number + 1] = (str(number + 2), deal(PieceSize="canary-size"))
    return pairs


def earlier_feed() -> Pairs:
    """Some deals of the feed, and some that are gone from it and have ended."""
    known = [(str(number), _earlier(number)) for number in range(12, RECORDS, 24)]
    ended = [
        (str(RECORDS + number), deal(EndEpoch=HEAD - 500, Label=_label(number))) for number in range(20)
    ]
    return known + ended


def proposals() -> list[Row]:
    """Local proposals of deals that the feed has."""
    numbers = [number for number in range(6, RECORDS, 24) if number % 22][:20]
    return [
        {
            "state": "proposed", "client_id": OURS[number // 6 % 2], "provider": f"f0{number % 50}",
            "piece_cid": f"baga{number}", "start_epoch": 3_000_000 + number, "end_epoch": 5_000_000,
            "proposal_id": f"proposal {number}",
        }
        for number in numbers
    ]  # fmt: skip


# Databases ---------------------------------------------------------------------------------------------


def contents(tables: Tables) -> Contents:
    """What a run has to answer for: all columns but local ids and the run's, and no time of day."""
    deals = tables.rows("deals")
    for row in deals:
        for name in ("id", "run_id", "created_at", "updated_at"):
            del row[name]
        row["verified"] = row["verified"] and bool(row["verified"])
        row["last_verified_at"] = row["last_verified_at"] and moment(row["last_verified_at"])
    history = tables.query(
        "SELECT deals.deal_id, proposal_id, previous_state, new_state, epoch"
        " FROM deal_state_changes LEFT JOIN deals ON deals.id = deals_id ORDER BY deal_state_changes.id"
    )
    return {
        "deals": sorted(deals, key=lambda row: (row["deal_id"] or 0, row["proposal_id"] or "")),
        "history": sorted(history, key=lambda row: (row["deal_id"] or 0, row["proposal_id"] or "")),
        "wallets": tables.rows("wallets"),
        "addresses": tables.rows("wallet_addresses"),
    }


@dataclass
class Served:
    """The feed as it is served: all at once, or in so many seconds."""

    document: bytes
    seconds: float = 0.0

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        size = len(self.document)
        request.send_response(200)
        request.send_header("Content-Length", str(size))
        request.end_headers()
        parts = 50 if self.seconds else 1
        for number in range(parts):
            request.wfile.write(self.document[size * number // parts : size * (number + 1) // parts])
            time.sleep(self.seconds / parts)


@dataclass
class Ground:
    """All that cases start from."""

    web: Web
    server: Server
    base: str
    """The name of the database on the server that cases get a copy of."""
    folder: Path
    document: bytes
    served: Served
    before: dict[str, Contents] = field(default_factory=dict)
    after: dict[str, Contents] = field(default_factory=dict)
    """What a clean run comes to, of a database as it was before; by kind."""
    fresh: dict[str, Contents] = field(default_factory=dict)
    """The same, of a new database."""
    matched: int = 0

    @property
    def url(self) -> str:
        """The source, with secrets."""
        return self.web.url(PATH).replace("http://", "http://canary-user:canary-pass@")

    def template(self, kind: str) -> Tables:
        """The database that cases get a copy of."""
        if kind == "SQLite":
            return Database(self.folder / "base.db")
        return ServerDatabase(self.server.local(self.base))

    @contextmanager
    def database(self, kind: str, directory: Path, new: bool = False) -> Iterator[tuple[Tables, str]]:
        """A database for one case, and the URL for the command."""
        if kind == "SQLite":
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / "deals.db"
            if not new:
                shutil.copy(self.folder / "base.db", path)
            yield Database(path), f"sqlite:///{path}"
        else:
            with self.server.database("" if new else f"TEMPLATE {self.base}") as name:
                yield ServerDatabase(self.server.local(name)), self.server.remote(name)


@contextmanager
def laid(server: Server, folder: Path) -> Iterator[Ground]:
    """Make the feed and what databases know of it, without a run yet."""
    document = as_object(feed())
    with serving() as web, server.database() as base:
        served = Served(document)
        web.serve(served, PATH)
        yield Ground(web, server, base, folder, document, served)
