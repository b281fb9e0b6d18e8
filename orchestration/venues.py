"""Venues that orders go to: the paper one, and accounts at the sandbox and at Kraken."""

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit

CONNECT_PATIENCE = 0.5  # seconds that an order waits for the WebSocket before it goes over REST
ExchangeName = Literal["sandbox", "kraken"]
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


@dataclass(frozen=True, slots=True)
class ExchangeAccess:
    """How the account of a key is reached, at Kraken or at the sandbox, which speaks its protocol."""

    venue: ExchangeName
    folder: Path
    credentials: "Credentials"
    rest_url: str
    websocket_url: str
    allowance: "Allowance"
    public: "RateLimit"

    @property
    def account(self) -> str:
        """Return the name of the account that this key trades, in the journal."""
        return account_of_key(self.venue, self.credentials.fingerprint)

    def client(self, keys: KeyState) -> "KrakenClient":
        """Build a client; opens no connection."""
        from trading.venues.kraken import KrakenClient

        return KrakenClient(
            self.folder, self.credentials, self.rest_url, self.allowance, self.public, keys=keys
        )

    def orders(self, keys: KeyState, fell_back: Callable[[str], object]) -> Venue:
        """Build the venue that orders go to: over the WebSocket, which the first one opens, else over REST.

        `fell_back` hears why an order went over REST.
        """
        from trading.venues.kraken.order_calls import OrdersWithFallback
        from trading.venues.kraken.venue import KrakenVenue
        from trading.venues.kraken.websocket_orders import WebSocketOrders

        client = self.client(keys)
        websocket = WebSocketOrders(client, self.websocket_url, patience=CONNECT_PATIENCE)
        venue = KrakenVenue(client, venue=self.venue, orders=OrdersWithFallback(websocket, client, fell_back))
        weakref.finalize(venue, websocket.close)
        return venue


def exchange_access(
    venue: ExchangeName, settings: Settings, home: Path, environment: Mapping[str, str] = os.environ
) -> ExchangeAccess:
    """Return the access of the sandbox of this home, or of Kraken with the key in the environment.

    NotAuthorised where there is no key.
    """
    from trading.venues.kraken import Credentials, RateLimit, Tier
    from trading.venues.kraken.rate_limits import PUBLIC_LIMIT
    from trading.venues.kraken.websocket_orders import private_url

    if venue == "sandbox":
        return ExchangeAccess(
            venue="sandbox",
            folder=home / "sandbox" / "client",
            credentials=sandbox_credentials(home),
            rest_url=settings.sandbox.url,
            websocket_url=private_url(settings.sandbox.url),
            allowance=Tier(settings.sandbox.tier).allowance,
            public=RateLimit(60, 30.0),
        )
    return ExchangeAccess(
        venue="kraken",
        folder=home / "kraken",
        credentials=Credentials.from_environment(environment),
        rest_url=settings.kraken.rest_url,
        websocket_url=settings.kraken.private_websocket_url,
        allowance=Tier(settings.kraken.tier).allowance,
        public=PUBLIC_LIMIT,
    )


def account_of_key(venue: str, fingerprint: str) -> str:
    """Return the name of the account that this key of the venue trades.

    Never the timeframe: other candles do not make other money.
    """
    return f"{venue}-{fingerprint[:FINGERPRINT]}"


def sandbox_account(home: Path) -> str:
    """Return the sandbox's account; one that has no key yet has no account either, and its name says so."""
    try:
        return account_of_key("sandbox", sandbox_credentials(home).fingerprint)
    except NotAuthorised:
        return "sandbox-without-key"


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
