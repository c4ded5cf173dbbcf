"""What one run of the pipeline `deals` goes by: the tracked wallets, and the chain's head."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from etl.database.target import Target
from etl.declare.fingerprint import digest
from etl.declare.location import Source
from etl.declare.pipeline import Selection
from etl.errors import ConfigurationError
from etl.text import rfc3339
from pipelines.deals.address import Address, parse
from pipelines.deals.chain import MAINNET_GENESIS, epoch_at, time_of

if TYPE_CHECKING:
    from pipelines.deals.lotus import Lotus

_ADDRESS = re.compile(rb'"(?:Client|Provider)"\s*:\s*"([ft])0[0-9]+"')
_NETWORK_NAMES = {"f": "the main network", "t": "a test network"}

LOOKUPS = 8
"""How many addresses to ask a node for at a time."""


@dataclass(frozen=True)
class Tracked(Selection):
    """The wallets' ID addresses and the head, on the chain that began at `genesis`."""

    head_epoch: int
    """The epoch at which states are derived."""
    genesis: datetime = MAINNET_GENESIS
    named: bool = False
    """The head was named: another one asks for something else, where time alone does not."""
    resolved: tuple[tuple[str, str], ...] = ()
    """Robust addresses that were looked up for this run, with their ID addresses."""

    @property
    def figures(self) -> Mapping[str, int | None]:
        """The head, for the run's report."""
        return {"head_epoch": self.head_epoch}

    @property
    def head_time(self) -> datetime:
        """When the head's epoch began."""
        return time_of(self.head_epoch, self.genesis)

    @property
    def fingerprint(self) -> str:
        """The wallets, the chain, and the head if that was named."""
        head = self.head_epoch if self.named else None
        return digest(super().fingerprint, head, self.genesis.isoformat())


def select(options: Mapping[str, Any]) -> Tracked:
    """Return the wallets that were named, or else those of the table, and the head.

    Raises:
        ConfigurationError: no wallet at all, or one that is no address.
        DatabaseError: the table cannot be read.
        EtlError: the Lotus node does not answer what it is asked.
    """
    named = [*options["client"], *_from_file(options["clients_file"])]
    if not named:
        named = _from_table(options["database"])
    if not named:
        raise ConfigurationError(
            "no wallets to track: name them with --client or --clients-file,"
            " or add them with “etl wallets add”"
        )
    addresses = parsed(named)
    node = node_of(options)
    known, resolved = ids_of(addresses, options["database"], node)
    head, genesis = options["head_epoch"], MAINNET_GENESIS
    if node is not None:
        genesis = node.genesis()
        head = node.head() if head is None else head
    elif head is None:
        head = head_by_clock(datetime.now(UTC))
    selection = Tracked(
        frozenset(known.values()), head, genesis, options["head_epoch"] is not None, tuple(resolved.items())
    )
    try:
        _ = selection.head_time
    except OverflowError:
        raise ConfigurationError(f"epoch {head} is beyond the calendar") from None
    return selection


def head_by_clock(now: datetime) -> int:
    """Return the epoch at a time that a clock shows.

    Raises:
        ConfigurationError: the chain had not begun then, so the clock is wrong.
    """
    if now < MAINNET_GENESIS:
        raise ConfigurationError(
            f"by this machine's clock it is {rfc3339(now, 'seconds')}, before the chain began:"
            " set the clock, or name the head (--head-epoch) or a node to ask for it (--lotus-api)"
        )
    return epoch_at(now)


def of_other_network(opening: bytes, selection: Selection) -> str | None:
    """Say that a feed in which no wallet was found is of another network than they, if it is.

    `opening` is how the feed begins: its first addresses show the network.
    """
    feeds = {match[1].decode() for match in _ADDRESS.finditer(opening)}
    wallets = {address[:1] for address in selection.wanted or ()}
    if len(feeds) != 1 or len(wallets) != 1 or feeds == wallets:
        return None
    (feed,), (wallet,) = feeds, wallets
    return (
        f"no wallet was found, for the feed is of {_NETWORK_NAMES[feed]} ({feed}0...)"
        f" and the wallets are of {_NETWORK_NAMES[wallet]} ({wallet}0...)"
    )


def parsed(texts: Iterable[str]) -> list[Address]:
    """Return the addresses of wallets, all on one network.

    Raises:
        ConfigurationError: one is no address, with the reason; or they are of two networks.
    """
    try:
        addresses = [parse(text) for text in dict.fromkeys(texts)]
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    by_network = {address.network: address.text for address in addresses}
    if len(by_network) > 1:
        raise ConfigurationError(
            f"{by_network['f']} is an address of the main network and {by_network['t']} of a test network:"
            " a feed has only one"
        )
    return addresses


def ids_of(
    addresses: Sequence[Address], database: Target, node: Lotus | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return every address's ID address, and which of them were looked up for that at a `Lotus` node.

    Raises:
        ConfigurationError: there is a robust address that is not known, and no node to ask.
        EtlError: the node does not answer.
    """
    known = {address.text: address.text for address in addresses if address.is_id}
    robust = [address for address in addresses if not address.is_id]
    if not robust:
        return known, {}
    from pipelines.deals.known import known_addresses

    remembered = known_addresses(database)
    known |= {a.text: remembered[a.text] for a in robust if a.text in remembered}
    unknown = [address for address in robust if address.text not in remembered]
    if not unknown:
        return known, {}
    if node is None:
        raise ConfigurationError(
            f"{unknown[0].text} is a robust address: name a Lotus node to look it up with (--lotus-api),"
            " or give the wallet's ID address"
        )
    found = _looked_up(unknown, node)
    return known | found, found


def _looked_up(addresses: Sequence[Address], node: Lotus) -> dict[str, str]:
    """Return what a node knows addresses as; the first error ends it.

    The threads are gone before a process is forked; whoever is stopped does not wait for a stalled node.
    """
    waiting = deque(addresses)
    found: dict[str, str] = {}
    failures: list[Exception] = []

    def look_up() -> None:
        with suppress(IndexError):
            while True:
                address = waiting.popleft()
                try:
                    found[address.text] = node.id_of(address)
                except Exception as error:
                    failures.append(error)
                    waiting.clear()

    threads = [Thread(target=look_up, daemon=True) for _ in addresses[:LOOKUPS]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return found


def node_of(options: Mapping[str, Any]) -> Lotus | None:
    """Return the `Lotus` node that was named, if any; it is imported only then."""
    if not options["lotus_api"]:
        return None
    from pipelines.deals.lotus import Lotus

    return Lotus(options["lotus_api"], options["lotus_token"])


def deals_of_node(options: Mapping[str, Any]) -> Source:
    """Return the node that was named as the source of all deals.

    Raises:
        ConfigurationError: none was named.
    """
    if not options["lotus_api"]:
        raise ConfigurationError("the source lotus needs --lotus-api")
    from pipelines.deals.lotus import deals_request

    return Source(*deals_request(options["lotus_api"], options["lotus_token"]))


def _from_file(path: Path | None) -> list[str]:
    """Return the addresses in a file: one a line; blank lines and what follows `#` do not count."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{path}: {reason}") from None
    return [text for line in lines if (text := line.partition("#")[0].strip())]


def _from_table(database: Target) -> list[str]:
    from pipelines.deals.known import tracked_wallets

    return tracked_wallets(database)
