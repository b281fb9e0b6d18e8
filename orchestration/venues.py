"""Venues that orders go to, built from [venue] mode."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.settings_schema import Settings
from orchestration.sources import sandbox_time
from trading.api_keys import KeyState
from trading.errors import NotAuthorised
from trading.fills import Costs
from trading.market import Instrument, Pair
from trading.ports import CandleSource, Journal, Venue
from trading.venues.paper import PaperVenue

STATUS_SECONDS = 5.0  # how old the status of a pair may be that somebody decides or sends by

if TYPE_CHECKING:
    from trading.venues.kraken import KrakenClient


def paper_venue(
    settings: Settings, journal: Journal, source: CandleSource, instruments: Mapping[Pair, Instrument]
) -> Venue:
    costs: dict[Pair, Costs] = {pair: settings.costs(pair) for pair in settings.market.pairs}
    return PaperVenue(journal, source, instruments, costs)


def sandbox_venue(settings: Settings, home: Path, journal: Journal, keys: KeyState) -> Venue:
    """Build the client that trades on Kraken, with the sandbox's address and key."""
    from trading.venues.kraken.venue import KrakenVenue

    return KrakenVenue(
        sandbox_client(settings, home, keys),
        journal,
        settings.account,
        entry_age=settings.risk.candle_age * settings.market.timeframe.duration,
        market_now=sandbox_time(settings.sandbox.url, None),
    )


class CurrentInstruments(Mapping[Pair, Instrument]):
    """Stored instruments with the rules and the status that the exchange has at this moment, at most seconds old.

    Their fees are those that were stored: of the account. A pair that was not stored raises KeyError, one that the
    exchange does not trade any more NotStored; VenueUnreachable where it cannot be asked.
    """

    def __init__(
        self,
        stored: Mapping[Pair, Instrument],
        client: "KrakenClient",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stored = stored
        self._client = client
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._current: Mapping[Pair, Instrument] = {}

    def __getitem__(self, pair: Pair) -> Instrument:
        stored = self._stored[pair]
        with self._lock:
            if self._monotonic() - self._read_at > STATUS_SECONDS:
                self._current = self._client.current_instruments(list(self._stored))
                self._read_at = self._monotonic()
            return replace(self._current[pair], taker_fee=stored.taker_fee, maker_fee=stored.maker_fee)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def sandbox_balances(settings: Settings, home: Path, keys: KeyState) -> Mapping[str, Decimal]:
    """Read the present balances of the sandbox's account."""
    with sandbox_client(settings, home, keys) as client:
        return client.balance()


def sandbox_client(settings: Settings, home: Path, keys: KeyState) -> "KrakenClient":
    """Build a client of the sandbox. NotAuthorised when no sandbox has run with this home: there is no key."""
    from streaming.sandbox.keys import Keys
    from streaming.sandbox.server import ACCOUNT, KEYS_FILE
    from trading.venues.kraken import Credentials, KrakenClient, RateLimit, Tier

    store = home / "sandbox" / KEYS_FILE
    issued = Keys(store).keys(ACCOUNT) if store.exists() else ()
    if not issued:
        raise NotAuthorised(f"{store} has no key: start `marketloom sandbox` with this home first")
    return KrakenClient(
        home / "sandbox" / "client",
        Credentials(issued[0].key, issued[0].secret),
        settings.sandbox.url,
        Tier(settings.sandbox.tier).allowance,
        RateLimit(60, 30.0),
        keys=keys,
    )
