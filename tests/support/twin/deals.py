"""Which rows the records of a document make, and which are rejects: the rules of the pipeline `deals`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.twin.reading import records, shape_of

BIG = 2**63


@dataclass
class Expected:
    """What a run over a document should find."""

    records: int = 0
    matched: int = 0
    rejected: int = 0
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By deal id; of several records with one id, the last."""

    @property
    def figures(self) -> dict[str, int]:
        """Return the report of a run into an empty database."""
        return {
            "records": self.records,
            "matched": self.matched,
            "inserted": len(self.rows),
            "updated": 0,
            "unchanged": 0,
            "duplicates": self.matched - len(self.rows),
            "expired": 0,
            "rejected": self.rejected,
        }


def expected(
    document: bytes, shape: str, wanted: set[str], head_epoch: int, refuse_nul: bool = False
) -> Expected:
    """Return what a tracker of `wanted` should find; with `refuse_nul`, a NUL in a row makes a reject."""
    found = Expected()
    for key, record in records(document, shape):
        found.records += 1
        client = _client(record)
        if client not in wanted if isinstance(client, str) else not _has_text(record, wanted):
            continue
        row = _row(key, record, head_epoch)
        if row is not None and refuse_nul and any("\0" in str(value) for value in row.values()):
            row = None
        if row is None:
            found.rejected += 1
        else:
            found.matched += 1
            found.rows[row["deal_id"]] = row
    return found


def expected_of_feeds(
    documents: Iterable[bytes], wanted: set[str], head_epoch: int, refuse_nul: bool = False
) -> Expected:
    """Return what a tracker should find in several documents, one after the other."""
    found = Expected()
    for document in documents:
        part = expected(document, shape_of(document), wanted, head_epoch, refuse_nul)
        found.records += part.records
        found.matched += part.matched
        found.rejected += part.rejected
        found.rows |= part.rows
    return found


def expected_of_all(document: bytes, shape: str) -> Expected:
    """Return what the pipeline that takes every deal should find, and does not judge amounts."""
    found = Expected()
    for key, record in records(document, shape):
        found.records += 1
        row = _row(key, record, 0, amounts="(?s).*")
        if row is None:
            found.rejected += 1
        else:
            found.matched += 1
            del row["state"]
            found.rows[row["deal_id"]] = row
    return found


def _client(record: Any) -> Any:
    proposal = record.get("Proposal") if isinstance(record, dict) else None
    return proposal.get("Client") if isinstance(proposal, dict) else None


def _has_text(value: Any, wanted: set[str]) -> bool:
    """Say whether one of these texts is anywhere: a record without a client may have been meant then."""
    if isinstance(value, dict):
        return any(_has_text(item, wanted) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(_has_text(item, wanted) for item in value)
    return isinstance(value, str) and value in wanted


def _row(
    key: str | None, record: Any, head: int, amounts: str = "-?[0-9]{1,309}|[0-9]{310}"
) -> dict[str, Any] | None:
    """Return the row of a matching record, or None for a reject; what has no column may be anything."""
    if not isinstance(_client(record), str):
        return None
    proposal, state = record["Proposal"], record.get("State")
    cid = proposal.get("PieceCID")
    spelled = record.get("DealID") if key is None else key
    if not (
        isinstance(state, dict)
        and all(_is_int64(proposal.get(name)) for name in ("PieceSize", "StartEpoch", "EndEpoch"))
        and all(
            _is_int64(state.get(name)) for name in ("SectorStartEpoch", "LastUpdatedEpoch", "SlashEpoch")
        )
        and (state.get("SectorNumber") is None or _is_int64(state["SectorNumber"]))
        and isinstance(proposal.get("VerifiedDeal"), bool)
        and isinstance(proposal.get("Provider"), str)
        and isinstance(proposal.get("Label"), str | None)
        and isinstance(cid, dict | None)
        and isinstance((cid or {}).get("/"), str | None)
        and all(
            isinstance(proposal.get(name), str) and re.fullmatch(amounts, proposal[name])
            for name in ("StoragePricePerEpoch", "ProviderCollateral", "ClientCollateral")
        )
        and (deal_id := _deal_id(spelled)) is not None
        and not _cannot_be_held(record.get("DealID"))
        and not any(map(_cannot_be_held, plain_row(record, head).values()))
    ):
        return None
    return {"deal_id": deal_id, **plain_row(record, head)}


def plain_state(record: Any, head: int) -> str:
    """Return the state of a valid record."""
    proposal, state = record["Proposal"], record["State"]
    if state["SlashEpoch"] > 0:
        return "slashed"
    if state["SectorStartEpoch"] < 0:
        return "proposal_expired" if proposal["StartEpoch"] < head else "published"
    return "expired" if proposal["EndEpoch"] < head else "active"


def plain_row(record: Any, head: int) -> dict[str, Any]:
    """Return the columns of `deals` that a valid record fills."""
    proposal, state = record["Proposal"], record["State"]
    return {
        "state": plain_state(record, head),
        "client_id": proposal["Client"],
        "provider": proposal["Provider"],
        "label": proposal.get("Label"),
        "piece_cid": (proposal.get("PieceCID") or {}).get("/"),
        "piece_size": proposal["PieceSize"],
        "verified": proposal["VerifiedDeal"],
        "price": proposal["StoragePricePerEpoch"],
        "provider_collateral": proposal["ProviderCollateral"],
        "client_collateral": proposal["ClientCollateral"],
        "start_epoch": proposal["StartEpoch"],
        "end_epoch": proposal["EndEpoch"],
        "sector_number": state.get("SectorNumber"),
        "sector_start_epoch": state["SectorStartEpoch"],
        "last_updated_epoch": state["LastUpdatedEpoch"],
        "slash_epoch": state["SlashEpoch"],
    }


def _is_int64(value: Any) -> bool:
    return type(value) is int and -BIG <= value < BIG


def _deal_id(spelled: Any) -> int | None:
    if isinstance(spelled, str) and re.fullmatch("0|[1-9][0-9]*", spelled):
        spelled = int(spelled)
    return spelled if type(spelled) is int and 0 <= spelled < BIG else None


def _cannot_be_held(value: Any) -> bool:
    """Say whether a value holds a text that is none, or a number beyond any type."""
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isinf(value)
    if isinstance(value, dict):
        return any(_cannot_be_held(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(_cannot_be_held, value))
