"""The chain's clock and names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EPOCH = timedelta(seconds=30)
"""An epoch's length (Filecoin specification, "Chain Epoch")."""

MAINNET_GENESIS = datetime.fromtimestamp(1598306400, UTC)
"""Epoch 0 of the main network, as `Filecoin.ChainGetGenesis` tells."""

_ID_ADDRESS = re.compile(r"[ft]0(?:0|[1-9][0-9]{0,19})\Z")


def time_of(epoch: int, genesis: datetime = MAINNET_GENESIS) -> datetime:
    """Return the time at which an epoch begins.

    Raises:
        OverflowError: an epoch beyond the calendar.
    """
    return genesis + epoch * EPOCH


def epoch_at(time: datetime, genesis: datetime = MAINNET_GENESIS) -> int:
    """Return the epoch at a time."""
    return (time - genesis) // EPOCH


def id_address(text: str) -> str:
    """Return an ID address (`f0...`, or `t0...` on test networks) if `text` is one.

    Raises:
        ValueError: it is none, with the reason.
    """
    if _ID_ADDRESS.match(text) and int(text[2:]) < 2**64:
        return text
    if re.match(r"[ft][1-4]", text):
        raise ValueError(f"{text} is a robust address; give the wallet's ID address (f0...)")
    raise ValueError(f"{text!r} is not an ID address such as f01234")
