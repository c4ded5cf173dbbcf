"""Two hundred rounds of the service against a feed that changes, with processes killed all the while.

`make soak`. Every snapshot of the feed has a number of records of its own, and the ledger tells it with the
head of each run that succeeded: so a plain reading of the same snapshots at the same heads, in dicts and
loops, says what must stand in the tables at the end.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.acceptance.feeds import OTHER, OURS, as_object, deal
from tests.support.databases import ServerDatabase, moment
from tests.support.lotus_node import Node
from tests.support.postgresql import installation, started
from tests.support.processes import children
from tests.support.twin.merge import Feed, Tracker
from tests.support.web_server import Web, answer_with, serving

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "200"))
SEED = int(os.environ.get("FAULT_SEED", str(int(time.time()))))
INTERVAL = 1.0
KILLED = ("reader", "writer", "worker", "parent")
COLUMNS = (
    "deal_id", "state", "client_id", "provider", "label", "piece_cid", "price", "start_epoch", "end_epoch",
    "sector_start_epoch", "slash_epoch",
)  # fmt: skip


class Feeds:
    """The snapshots, each made from the one before."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._deals: dict[int, dict[str, Any]] = {}
        self.by_records: dict[int, Feed] = {}

    def next(self) -> bytes:
        """Return the next snapshot as a document."""
        for _ in range(self._chance.randint(1, 40)):  # always more records, so that their number tells
            start = self._chance.randint(50, 400)
            self._deals[len(self._deals) + 1] = deal(
                self._chance.choice((*OURS, OTHER)), StartEpoch=start,
                EndEpoch=start + self._chance.randint(1, 300), state={"SectorStartEpoch": -1},
            )  # fmt: skip
        for deal_id in self._chance.sample(list(self._deals), k=len(self._deals) // 5):
            record = self._deals[deal_id]
            change = self._chance.choice(
                ({"SectorStartEpoch": 40}, {"SlashEpoch": 60}, {"SectorNumber": 7})
            )
            self._deals[deal_id] = record | {"State": record["State"] | change}
        feed = list(self._deals.items())
        self.by_records[len(feed)] = feed
        return as_object((str(deal_id), record) for deal_id, record in feed)


class Service:
    """The command, started again whenever its parent process was killed."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "etl", *arguments]
        self._folder = folder
        self.lives: list[list[tuple[int, int]]] = []
        """Descriptors and resident bytes of the parent over time, for each parent."""
        self.start()

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
        self.lives.append([])

    def look(self) -> None:
        """Start the command again if it is gone, else note what its parent process holds between rounds."""
        if self.process.poll() is not None:
            self.start()
        pid = self.process.pid
        with contextlib.suppress(OSError):
            if not children(pid):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                held = len(os.listdir(f"/proc/{pid}/fd")), pages * os.sysconf("SC_PAGE_SIZE")
                self.lives[-1].append(held)

    def kill(self, who: str) -> bool:
        """Kill one of the processes, if it is there: the writer is started first, then the reader."""
        pids = children(self.process.pid)
        index = {"writer": 0, "reader": 1, "worker": 2}.get(who)
        if who != "parent" and (index is None or index >= len(pids)):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid if index is None else pids[index], signal.SIGKILL)
            return True
        return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


def main() -> None:
    """Run, compare, print the figures; exits with an error if anything differs."""
    chance = random.Random(SEED)
    print(f"soak: {ROUNDS} rounds, FAULT_SEED={SEED}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        started(installation()) as server,
        server.database() as name,
        serving() as web,
        Node() as node,
    ):
        tables = ServerDatabase(server.local(name))
        feeds, kills = Feeds(chance), Counter[str]()
        _publish(web, node, feeds, chance, 0)
        clients = [part for client in OURS for part in ("--client", client)]
        service = Service(
            Path(folder),
            ["run", "deals", "--source", web.url("/feed"), "--database", tables.url, *clients,
             "--lotus-api", node.url, "--interval", f"{INTERVAL:g}s", "--workers", "2"],
        )  # fmt: skip
        try:
            rounds = 0
            while rounds < ROUNDS:
                time.sleep(chance.uniform(0.1, 0.9))
                who = chance.choice(KILLED)
                if chance.random() < (0.1 if who == "parent" else 0.4) and service.kill(who):
                    kills[who] += 1
                service.look()
                if chance.random() < 0.5:
                    _publish(web, node, feeds, chance, len(feeds.by_records))
                rounds = len(tables.rows("etl_runs"))
            _wait_for_success(tables, service)
        finally:
            status = service.stop()
        assert status == 143, status
        runs = tables.rows("etl_runs")
        _compare(tables, feeds, [run for run in runs if run["status"] == "succeeded"])
        _compare_growth(service)
        told = Counter(run["status"] for run in runs)
        print(f"rounds: {dict(told)}; killed: {dict(kills)}; the tables equal the plain reading")


def _publish(web: Web, node: Node, feeds: Feeds, chance: random.Random, number: int) -> None:
    """Put up the next snapshot, and move the head."""
    document = feeds.next()
    node.head = 50 + 2 * number

    def answer(request: BaseHTTPRequestHandler) -> None:
        etag = f'"{number}"'
        if request.headers.get("If-None-Match") == etag:
            answer_with(status=304, length=None, ETag=etag)(request)
        else:
            answer_with(document, ETag=etag)(request)

    web.serve(answer)


def _wait_for_success(tables: ServerDatabase, service: Service) -> None:
    known = len(tables.rows("etl_runs"))
    limit = time.monotonic() + 60
    while True:
        service.look()
        if any(run["status"] != "failed" for run in tables.rows("etl_runs")[known:]):
            return
        assert time.monotonic() < limit, "no round succeeds any more"
        time.sleep(0.2)


def _compare(tables: ServerDatabase, feeds: Feeds, succeeded: list[dict[str, Any]]) -> None:
    """Hold tables and history to dicts and loops."""
    twin = Tracker(frozenset(OURS))
    for run in succeeded:
        figures = twin.round(
            run["run_id"], run["head_epoch"], feeds.by_records[run["records"]], None, sweeps=True
        )
        assert {name: run[name] for name in figures} == figures, run
    stored = sorted(tables.rows("deals"), key=lambda row: int(row["deal_id"]))
    wanted = sorted(twin.deals, key=lambda row: int(row["deal_id"]))
    assert [[row[name] for name in COLUMNS] for row in stored] == [
        [row[name] for name in COLUMNS] for row in wanted
    ]
    history = tables.query(
        "SELECT deal_id, previous_state, new_state, epoch, deal_state_changes.run_id AS run_id"
        " FROM deal_state_changes JOIN deals ON deals.id = deals_id"
    )
    assert Counter(tuple(row.values()) for row in history) == Counter(
        (deal["deal_id"], previous, state, epoch, run_id)
        for deal, previous, state, epoch, run_id in twin.history
    )
    times = [moment(run["started_at"]) for run in succeeded]
    assert times == sorted(times)
    assert not tables.query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'sluice%'")


def _compare_growth(service: Service) -> None:
    """Hold the parents' descriptors and memory between rounds to those of their first rounds."""
    for life in service.lives:
        if len(life) < 60:
            continue
        early, late = life[25:31], life[-6:]  # the first round that fails imports the database's modules
        descriptors = [statistics.median(held[0] for held in part) for part in (early, late)]
        memory = [statistics.median(held[1] for held in part) for part in (early, late)]
        print(
            f"a parent, {len(life)} looks: descriptors {descriptors},"
            f" resident MB {[round(held / 1e6, 1) for held in memory]}"
        )
        assert descriptors[1] <= descriptors[0]
        assert memory[1] <= memory[0] + 4e6


if __name__ == "__main__":
    main()
