"""What one run of the pipeline `deals` goes by: the tracked wallets, and the chain's head."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from etl.pipeline import Selection
from pipelines.deals.chain import MAINNET_GENESIS, time_of


@dataclass(frozen=True)
class Tracked(Selection):
    """The wallets' ID addresses and the head, on the chain that began at `genesis`."""

    head_epoch: int
    genesis: datetime = MAINNET_GENESIS
    resolved: tuple[tuple[str, str], ...] = ()
    """Robust addresses that were looked up for this run, with their ID addresses."""

    @property
    def head_time(self) -> datetime:
        """When the head's epoch began."""
        return time_of(self.head_epoch, self.genesis)
