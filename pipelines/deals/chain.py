"""The chain's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = timedelta(seconds=30)
"""An epoch's length (Filecoin specification, "Chain Epoch")."""

MAINNET_GENESIS = datetime.fromtimestamp(1598306400, UTC)
"""Epoch 0 of the main network, as `Filecoin.ChainGetGenesis` tells."""


def time_of(epoch: int, genesis: datetime = MAINNET_GENESIS) -> datetime:
    """Return the time at which an epoch begins.

    Raises:
        OverflowError: an epoch beyond the calendar.
    """
    return genesis + epoch * EPOCH


def epoch_at(time: datetime, genesis: datetime = MAINNET_GENESIS) -> int:
    """Return the epoch at a time."""
    return (time - genesis) // EPOCH
