"""A deal as a row of SQLite, for those that parse in Python."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

deals = sa.Table(
    "deals",
    sa.MetaData(),
    sa.Column("deal_id", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.Text) for name in ("client", "provider", "label", "piece_cid")),
    sa.Column("piece_size", sa.BigInteger),
    sa.Column("verified", sa.Boolean),
    *(sa.Column(name, sa.Text) for name in ("price", "provider_collateral", "client_collateral")),
    sa.Column("start_epoch", sa.BigInteger),
    sa.Column("end_epoch", sa.BigInteger),
    sa.Column("sector_number", sa.BigInteger),
    sa.Column("sector_start_epoch", sa.BigInteger),
    sa.Column("last_updated_epoch", sa.BigInteger),
    sa.Column("slash_epoch", sa.BigInteger),
)


def row(key: str, deal: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a deal."""
    proposal, state = deal["Proposal"], deal["State"]
    return {
        "deal_id": int(key),
        "client": proposal["Client"],
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
