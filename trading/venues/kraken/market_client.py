"""Kraken's public REST interface with our names for pairs; numbers are exact, times are UTC. It needs no key."""

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from trading.api_keys import KeyState
from trading.clock_skew import ClockSkew
from trading.errors import InvalidMessage
from trading.market import Instrument, Pair, PairStatus, Timeframe
from trading.orders import Purpose
from trading.venues.kraken.authentication import Credentials
from trading.venues.kraken.decoding import decode_result
from trading.venues.kraken.instruments import Listings
from trading.venues.kraken.market_responses import (
    AssetInfo,
    AssetPair,
    DepthResponse,
    OhlcRow,
    ServerTimeResponse,
    SystemStatusResponse,
    TickerResponse,
    TradeRow,
    TradesPage,
)
from trading.venues.kraken.order_request import given_fields
from trading.venues.kraken.rate_limits import PUBLIC_LIMIT, Allowance, RateLimit, Tier
from trading.venues.kraken.rest_calls import URL, RestCalls

MAX_TRADES = 1000  # of one public Trades response
LISTINGS_AGE = timedelta(minutes=10)  # after which they are asked for again
Response = TypeVar("Response")


class KrakenMarketClient:
    """Safe to use from several threads; close it, or use it in `with`.

    Reads are repeated a few times; they raise VenueUnreachable, RateLimited, VenueRefused or InvalidMessage.
    """

    def __init__(
        self,
        folder: Path,
        credentials: Credentials | None = None,
        base_url: str = URL,
        allowance: Allowance = Tier.STARTER.allowance,
        public: RateLimit = PUBLIC_LIMIT,
        total: float = 20.0,
        patience: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        keys: KeyState | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`keys` holds nonces and rate counters of the key: a client with credentials needs the one that all share.

        `folder` holds the rate counter of public calls: all processes of this address have to share it.

        `total` bounds one request, `patience` the wait for the rate budget, both in seconds.
        """
        self.folder = folder
        self.fingerprint = credentials.fingerprint if credentials else ""
        self._calls = RestCalls(
            folder=folder,
            base_url=base_url,
            credentials=credentials,
            keys=keys,
            allowance=allowance,
            public=public,
            total=total,
            patience=patience,
            sleep=sleep,
        )
        self._close = weakref.finalize(self, self._calls.close)  # also of one that is only dropped
        self._monotonic = monotonic
        self._now = now  # this machine's clock, seconds since 1970
        self._lock = threading.Lock()
        self._listings: Listings | None = None
        self._listed_at = 0.0
        self._assets: Mapping[str, AssetInfo] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._close()

    def server_time(self) -> int:
        """Read Kraken's time in seconds since 1970, cut to a whole number."""
        return self._calls.read_public("Time", ServerTimeResponse, purpose=Purpose.EXIT).unixtime

    def clock_skew(self) -> ClockSkew:
        """Measure how far Kraken's clock is ahead of this machine's, to about half a second."""
        sent, started = self._now(), self._monotonic()
        second = self.server_time()
        return ClockSkew.between(sent, sent + self._monotonic() - started, second)

    def system_status(self) -> SystemStatusResponse:
        return self._calls.read_public("SystemStatus", SystemStatusResponse, purpose=Purpose.EXIT)

    def current_instruments(self, pairs: Sequence[Pair]) -> dict[Pair, Instrument]:
        """Read how these pairs are traded at this moment, with the fees of the dearest tier; downloads cannot delay it.

        Where the exchange as a whole takes fewer orders, that is the status of every pair. NotStored for a pair that
        Kraken does not trade.
        """
        listings = self.listings()
        names = ",".join(listings.listing(pair).altname for pair in pairs)
        state = self.system_status().state
        found = Listings(
            self._calls.read_public("AssetPairs", dict[str, AssetPair], {"pair": names}, purpose=Purpose.EXIT)
        )
        return {pair: _restrict(found.instrument(pair), state) for pair in pairs}

    def assets(self) -> Mapping[str, AssetInfo]:
        """Read all assets, by Kraken's name; asked once."""
        if self._assets is None:
            self._assets = self._calls.read_public("Assets", dict[str, AssetInfo])
        return self._assets

    def listings(self) -> Listings:
        """Read what is traded; at most ten minutes old."""
        with self._lock:
            now = self._monotonic()
            if self._listings is None or now - self._listed_at > LISTINGS_AGE.total_seconds():
                self._listings = Listings(self._calls.read_public("AssetPairs", dict[str, AssetPair]))
                self._listed_at = now
            return self._listings

    def ticker(self, pair: Pair) -> TickerResponse:
        return self._read_pair("Ticker", pair, TickerResponse, {})

    def ohlc(self, pair: Pair, timeframe: Timeframe, since: int | None = None) -> list[OhlcRow]:
        """Read the newest 720 rows at most, whatever `since` (seconds); the last candle has not closed yet."""
        minutes = timeframe.duration // timedelta(minutes=1)
        return self._read_pair("OHLC", pair, list[OhlcRow], {"interval": minutes, "since": since})

    def trades(self, pair: Pair, since: int | None, count: int = MAX_TRADES) -> TradesPage:
        """Read trades later than `since` (nanoseconds since 1970), oldest first; None: the newest ones."""
        fields = {"since": since, "count": None if count == MAX_TRADES else count}
        rows, cursor = self._read_raw("Trades", pair, fields)
        trades = decode_result("Trades", rows, list[TradeRow])
        return TradesPage(trades, int(decode_result("Trades", cursor, Decimal)))

    def depth(self, pair: Pair, count: int = 100) -> DepthResponse:
        return self._read_pair("Depth", pair, DepthResponse, {"count": count})

    def _read_pair(
        self, method: str, pair: Pair, kind: type[Response], fields: Mapping[str, object]
    ) -> Response:
        return decode_result(method, self._read_raw(method, pair, fields)[0], kind)

    def _read_raw(
        self, method: str, pair: Pair, fields: Mapping[str, object]
    ) -> tuple[msgspec.Raw, msgspec.Raw]:
        """Return the undecoded rows of the pair, and the cursor."""
        listings = self.listings()
        query = {"pair": listings.listing(pair).altname} | given_fields(fields)
        found = self._calls.read_public(method, dict[str, msgspec.Raw], query)
        cursor = found.pop("last", msgspec.Raw(b"0"))
        if len(found) != 1 or not set(found) <= listings.names(pair):
            named = ", ".join(found)[:100] or "nothing"
            raise InvalidMessage(f"Kraken {method}", f"asked for {pair}, the answer is about {named}")
        return found.popitem()[1], cursor


def _restrict(instrument: Instrument, state: PairStatus) -> Instrument:
    closed = state in (PairStatus.MAINTENANCE, PairStatus.CANCEL_ONLY)
    return (
        replace(instrument, status=state) if closed or instrument.status is PairStatus.ONLINE else instrument
    )
