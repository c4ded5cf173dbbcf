"""The slow, obvious twin: `json.loads` of the whole document, and a loop.

It shares nothing with the package but the record's rules, which it states anew.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

BIG = 2**63


class NotWellFormed(Exception):
    """The document is not JSON (RFC 8259), or not one of the shapes that are read."""


@dataclass
class Expected:
    """What a run over a document should find."""

    records: int = 0
    matched: int = 0
    rejected: int = 0
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By deal id; of several records with one id, the last."""


class _Pairs(list[tuple[str, Any]]):
    """An object's members, the repeated ones too."""


def _refuse(constant: str) -> NoReturn:
    raise NotWellFormed(constant)


def loads(document: bytes) -> Any:
    """Parse strictly; objects come as pairs."""
    try:
        return json.loads(
            document.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_Pairs, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        raise NotWellFormed(str(error)) from None


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 4000 else 10**4000


def records(document: bytes, shape: str) -> list[tuple[str | None, Any]]:
    """Return every record with its key, in order; `shape` says where they are."""
    if shape == "lines":
        return [(None, _plain(loads(line))) for line in document.split(b"\n") if line.strip(b" \t\r\n")]
    root = loads(document.removeprefix(b"\xef\xbb\xbf"))
    if shape == "rpc":
        members = dict(root) if isinstance(root, _Pairs) else {}
        if members.get("error") is not None:
            raise NotWellFormed("an error reply")
        root = members.get("result")
    if shape == "array":
        if not isinstance(root, list) or isinstance(root, _Pairs):
            raise NotWellFormed("no array")
        return [(None, _plain(value)) for value in root]
    if not isinstance(root, _Pairs):
        raise NotWellFormed("no object")
    return [(key, _plain(value)) for key, value in root]


def _plain(value: Any) -> Any:
    """Return a value as `json.loads` would: of repeated members, the last."""
    if isinstance(value, _Pairs):
        return {key: _plain(item) for key, item in value}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def expected(document: bytes, shape: str, wanted: set[str], head_epoch: int) -> Expected:
    """Return what a tracker of `wanted` should find."""
    found = Expected()
    for key, record in records(document, shape):
        found.records += 1
        if not _matches(record, wanted):
            continue
        row = _row(key, record, head_epoch)
        if row is None:
            found.rejected += 1
        else:
            found.matched += 1
            found.rows[row["deal_id"]] = row
    return found


def expected_of_all(document: bytes, shape: str) -> Expected:
    """Return what the pipeline that takes every deal should find, and does not judge amounts."""
    found = Expected()
    for key, record in records(document, shape):
        found.records += 1
        proposal = record.get("Proposal") if isinstance(record, dict) else None
        known = isinstance(proposal, dict) and isinstance(proposal.get("Client"), str)
        row = _row(key, record, 0, amounts="(?s).*") if known else None
        if row is None:
            found.rejected += 1
        else:
            found.matched += 1
            del row["state"]
            found.rows[row["deal_id"]] = row
    return found


def _matches(record: Any, wanted: set[str]) -> bool:
    proposal = record.get("Proposal") if isinstance(record, dict) else None
    client = proposal.get("Client") if isinstance(proposal, dict) else None
    return isinstance(client, str) and client in wanted


def _row(
    key: str | None, record: Any, head: int, amounts: str = "-?[0-9]{1,309}|[0-9]{310}"
) -> dict[str, Any] | None:
    """Return the row of a matching record, or None for a reject."""
    if _has_lone_surrogate(record) or (key is not None and _has_lone_surrogate(key)):
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


def _has_lone_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(_has_lone_surrogate(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(_has_lone_surrogate, value))
