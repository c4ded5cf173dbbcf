"""What becomes of a database's deals, run after run: dicts and loops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.twin.deals import plain_row

BY_TIME = ("expired", "proposal_expired")
PROPOSAL = ("client_id", "provider", "piece_cid", "start_epoch", "end_epoch")
AGREED = ("client_id", "provider", "start_epoch", "end_epoch")
"""Of these, what is null is equal to nothing."""

Deal = dict[str, Any]
Feed = list[tuple[int, dict[str, Any]]]
"""Deal ids and records as the feed spells them."""


@dataclass
class Tracker:
    """Deals, and what became of them; every deal is a dict of its columns."""

    wanted: frozenset[str]
    deals: list[Deal] = field(default_factory=list)
    """Proposals in the order of their local ids."""
    history: list[tuple[Deal, Any, Any, int, int]] = field(default_factory=list)
    """(the deal, previous state, new state, epoch, run)."""

    def round(self, run_id: int, head: int, feed: Feed, limit: int | None, sweeps: bool) -> dict[str, int]:
        """Merge a feed at a head, and return the report's figures."""
        found = [
            (deal_id, record) for deal_id, record in feed if record["Proposal"]["Client"] in self.wanted
        ][:limit]
        last = {deal_id: plain_row(record, head) for deal_id, record in found}
        figures = {
            "matched": len(found), "inserted": 0, "updated": 0, "unchanged": 0,
            "duplicates": len(found) - len(last), "expired": 0, "rejected": 0,
        }  # fmt: skip
        known = {deal["deal_id"]: deal for deal in self.deals}
        waiting = [deal for deal in self.deals if deal["deal_id"] is None and deal["state"] not in BY_TIME]
        for deal_id in sorted(last):
            row = last[deal_id]
            if deal_id in known:
                taken = dict(row)
                if row["state"] in BY_TIME:
                    taken["state"] = known[deal_id]["state"]
                changed = self._take(known[deal_id], taken, run_id, head)
                figures["updated" if changed else "unchanged"] += 1
            elif proposal := next((deal for deal in waiting if _same(deal, row)), None):
                waiting.remove(proposal)
                self._take(proposal, {"deal_id": deal_id, **row}, run_id, head)
                figures["updated"] += 1
        for deal_id, row in last.items():
            if not any(deal["deal_id"] == deal_id for deal in self.deals):
                self.deals.append({"deal_id": deal_id, "state": None, "last_verified_at": None})
                self._take(self.deals[-1], row, run_id, head)
                figures["inserted"] += 1
        if sweeps:
            figures["expired"] = sum(self._expire(deal, run_id, head) for deal in self.deals)
        return figures

    def _take(self, deal: Deal, values: Deal, run_id: int, head: int) -> bool:
        """Change a deal; says whether anything is different."""
        if all(name in deal and deal[name] == value for name, value in values.items()):
            return False
        previous = deal["state"]
        deal.update(values, run_id=run_id)
        if deal["state"] != previous:
            self.history.append((deal, previous, deal["state"], head, run_id))
        if deal["state"] == "active" and (previous != "active" or "deal_id" in values):
            deal["last_verified_at"] = head
        return True

    def _expire(self, deal: Deal, run_id: int, head: int) -> bool:
        start, end = deal["start_epoch"], deal["end_epoch"]
        if deal["state"] == "active" and end is not None and end < head:
            return self._take(deal, {"state": "expired"}, run_id, head)
        if deal["state"] in ("proposed", "published") and start is not None and start < head:
            return self._take(deal, {"state": "proposal_expired"}, run_id, head)
        return False


def _same(proposal: Deal, row: Deal) -> bool:
    return all(proposal[name] == row[name] for name in PROPOSAL) and all(
        proposal[name] is not None for name in AGREED
    )
