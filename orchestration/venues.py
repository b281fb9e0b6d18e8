"""Venues that orders go to, built from [venue] mode."""

import math
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.settings_schema import Settings
from trading.api_keys import KeyState
from trading.errors import NotAuthorised
from trading.fills import Costs, Liquidity
from trading.market import Instrument, Pair
from trading.ports import CandleSource, Journal, Venue
from trading.venues.paper import PaperVenue
from trading.venues.paper_market import PaperMarket

STATUS_SECONDS = 5.0  # how old the status of a pair may be that somebody decides or sends by

if TYPE_CHECKING:
    from trading.venues.kraken import Credentials, KrakenClient

CONNECT_PATIENCE = 0.5  # seconds that an order waits for the WebSocket before it goes over REST
FINGERPRINT = 8  # digits of the key's fingerprint that an account is named with


def paper_venue(
    settings: Settings,
    journal: Journal,
    account: str,
    source: CandleSource,
    instruments: Mapping[Pair, Instrument],
    clock: Callable[[], datetime],
) -> Venue:
    """Build the paper venue; `clock` is the account's: on history the newest candle's close, else the machine's."""
    costs: dict[Pair, Costs] = {pair: settings.costs(pair) for pair in settings.instruments}
    market = PaperMarket(source, settings.market.timeframe, Liquidity(settings.venue.participation))
    return PaperVenue(journal, account, market, instruments, costs, clock)


def sandbox_venue(settings: Settings, home: Path, keys: KeyState) -> Venue:
    """Build the venue that trades on Kraken, with the sandbox's address and key.

    Orders go over the WebSocket, which the first of them opens, and over REST while it is not there.
    """
    from trading.venues.kraken.order_calls import OrdersWithFallback
    from trading.venues.kraken.venue import KrakenVenue
    from trading.venues.kraken.websocket_orders import WebSocketOrders, private_url

    client = sandbox_client(settings, home, keys)
    websocket = WebSocketOrders(client, private_url(settings.sandbox.url), patience=CONNECT_PATIENCE)
    venue = KrakenVenue(client, venue="sandbox", orders=OrdersWithFallback(websocket, client))
    weakref.finalize(venue, websocket.close)
    return venue


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
        alone: Collection[Pair] = (),
    ) -> None:
        """`alone`: pairs that are asked for one by one, so that one which is not traded any more stops no other."""
        self._stored = stored
        self._alone = frozenset(alone)
        self._client = client
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._current: dict[Pair, Instrument] = {}

    def __getitem__(self, pair: Pair) -> Instrument:
        stored = self._stored[pair]
        with self._lock:
            if self._monotonic() - self._read_at > STATUS_SECONDS:
                self._current, self._read_at = {}, self._monotonic()
            if pair not in self._current:
                asked = [pair] if pair in self._alone else [each for each in self if each not in self._alone]
                self._current |= self._client.current_instruments(asked)
            return replace(self._current[pair], taker_fee=stored.taker_fee, maker_fee=stored.maker_fee)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def sandbox_balances(settings: Settings, home: Path, keys: KeyState) -> Mapping[str, Decimal]:
    """Read the present balances of the sandbox's account."""
    with sandbox_client(settings, home, keys) as client:
        return client.balance()


def account_name(settings: Settings, home: Path) -> str:
    """Return whose money it is: on paper the name and the origin of its prices, else the venue and its key.

    Never the timeframe: other candles do not make other money. A sandbox that has no key yet has no account either, and
    its name says so.
    """
    if settings.venue.mode == "paper":
        return settings.paper_account
    try:
        return account_of_key(settings.venue.mode, sandbox_credentials(home).fingerprint)
    except NotAuthorised:
        return f"{settings.venue.mode}-without-key"


def account_of_key(venue: str, fingerprint: str) -> str:
    """Return the name of the account that this key of the venue trades."""
    return f"{venue}-{fingerprint[:FINGERPRINT]}"


def sandbox_credentials(home: Path) -> "Credentials":
    """Read the key of the sandbox's account. NotAuthorised when no sandbox has run with this home: there is none."""
    from streaming.sandbox.keys import Keys
    from streaming.sandbox.server import ACCOUNT, KEYS_FILE
    from trading.venues.kraken import Credentials

    store = home / "sandbox" / KEYS_FILE
    issued = Keys(store).keys(ACCOUNT) if store.exists() else ()
    if not issued:
        raise NotAuthorised(f"{store} has no key: start `marketloom sandbox` with this home first")
    return Credentials(issued[0].key, issued[0].secret)


def sandbox_client(settings: Settings, home: Path, keys: KeyState) -> "KrakenClient":
    """Build a client of the sandbox. NotAuthorised when no sandbox has run with this home: there is no key."""
    from trading.venues.kraken import KrakenClient, RateLimit, Tier

    return KrakenClient(
        home / "sandbox" / "client",
        sandbox_credentials(home),
        settings.sandbox.url,
        Tier(settings.sandbox.tier).allowance,
        RateLimit(60, 30.0),
        keys=keys,
    )
