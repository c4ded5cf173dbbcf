"""A deal as the feed spells it, and as a row.

The shape is Lotus's `StateMarketDeals` (MarketDeal, with DealProposal and DealState of the market actor).
Members that may be missing are null then; a deal that lacks any other, or has it of another type, is
rejected.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Protocol

import msgspec

_LARGEST = 2**63 - 1
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=_LARGEST)]

_AMOUNT = re.compile(r"-?[0-9]+\Z")
_AMOUNT_CHARACTERS = 310
"""How long an amount may be: 1,024 bits in decimal, and a sign (go-state-types, BigIntMaxSerializedLen)."""


class AtEpoch(Protocol):
    """A selection that judges states by the chain's head."""

    @property
    def head_epoch(self) -> int:
        """The head's epoch."""


class Cid(msgspec.Struct, gc=False):
    """A CID in DAG-JSON: `{"/": "baga..."}`."""

    cid: str | None = msgspec.field(name="/", default=None)


class Proposal(msgspec.Struct, gc=False):
    """What client and provider agreed on."""

    piece_size: Int64 = msgspec.field(name="PieceSize")
    verified: bool = msgspec.field(name="VerifiedDeal")
    client: str = msgspec.field(name="Client")
    provider: str = msgspec.field(name="Provider")
    start_epoch: Int64 = msgspec.field(name="StartEpoch")
    end_epoch: Int64 = msgspec.field(name="EndEpoch")
    price: str = msgspec.field(name="StoragePricePerEpoch")
    provider_collateral: str = msgspec.field(name="ProviderCollateral")
    client_collateral: str = msgspec.field(name="ClientCollateral")
    piece_cid: Cid | None = msgspec.field(name="PieceCID", default=None)
    label: str | None = msgspec.field(name="Label", default=None)


class State(msgspec.Struct, gc=False):
    """What became of it; epochs are -1 while unset."""

    sector_start_epoch: Int64 = msgspec.field(name="SectorStartEpoch")
    last_updated_epoch: Int64 = msgspec.field(name="LastUpdatedEpoch")
    slash_epoch: Int64 = msgspec.field(name="SlashEpoch")
    sector_number: Int64 | None = msgspec.field(name="SectorNumber", default=None)


class Deal(msgspec.Struct, gc=False):
    """One record of the feed."""

    proposal: Proposal = msgspec.field(name="Proposal")
    state: State = msgspec.field(name="State")
    deal_id: Any = msgspec.field(name="DealID", default=None)
    """Only where the feed is an array or JSON lines; in an object the key is the id."""


def derive_state(deal: Deal, head_epoch: int) -> str:
    """Return a deal's state at an epoch, as Singularity's deal tracker derives it."""
    if deal.state.slash_epoch > 0:
        return "slashed"
    if deal.state.sector_start_epoch < 0:
        return "proposal_expired" if deal.proposal.start_epoch < head_epoch else "published"
    return "expired" if deal.proposal.end_epoch < head_epoch else "active"


def to_row(key: str | None, deal: Deal, selection: AtEpoch) -> tuple[Any, ...]:
    """Return the columns of `pipelines.deals.tables.staging` after the first.

    Raises:
        ValueError: the deal id is no number of 64 bits, or an amount is no number.
    """
    proposal, state = deal.proposal, deal.state
    return (
        number_of(key, deal),
        derive_state(deal, selection.head_epoch),
        proposal.client,
        proposal.provider,
        proposal.label,
        proposal.piece_cid.cid if proposal.piece_cid is not None else None,
        proposal.piece_size,
        +proposal.verified,  # 0 or 1: the driver of SQLite takes as long over a bool as over the rest
        *_amounts(proposal.price, proposal.provider_collateral, proposal.client_collateral),
        proposal.start_epoch,
        proposal.end_epoch,
        state.sector_number,
        state.sector_start_epoch,
        state.last_updated_epoch,
        state.slash_epoch,
    )


def number_of(key: str | None, deal: Deal) -> int:
    """Return a deal's id: its key, or the member that it has outside objects.

    Raises:
        ValueError: it is not spelled as a number of 64 bits, or as the digits of one.
    """
    if key is not None and len(key) < 19 and key.isascii() and key.isdigit() and key[0] != "0":
        return int(key)  # nearly every one
    spelled = deal.deal_id if key is None else key
    if spelled is None:
        raise ValueError("no deal id")
    if isinstance(spelled, str) and spelled.isdecimal() and len(spelled) < 20:
        number = int(spelled)
        spelled = number if str(number) == spelled else None  # no zeros before it, no foreign digits
    if type(spelled) is not int or not 0 <= spelled <= _LARGEST:
        raise ValueError("the deal id is not a number of 64 bits")
    return spelled


def _amounts(*texts: str) -> tuple[str, ...]:
    """Return amounts as they are.

    Raises:
        ValueError: one is no number.
    """
    together = "".join(texts)  # nearly always nothing but digits, which one look at all of them shows
    if together.isascii() and together.isdigit() and all(texts) and len(together) <= _AMOUNT_CHARACTERS:
        return texts
    return tuple(map(_amount, texts))


def _amount(text: str) -> str:
    """Return attoFIL: a decimal string (go-state-types, abi.TokenAmount)."""
    if len(text) > _AMOUNT_CHARACTERS:
        raise ValueError("an amount is longer than the chain can hold")
    if (text.isdigit() and text.isascii()) or _AMOUNT.match(text):
        return text
    raise ValueError("an amount is not a whole number")
