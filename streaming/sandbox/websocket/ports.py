"""What the WebSocket API asks of the exchange, of the keys and of the rate counters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from streaming.sandbox.model import (
    Bar,
    BookView,
    DaySummary,
    ExchangeEvent,
    ExchangeFill,
    ExchangeOrder,
    Listing,
    Print,
)
from trading.market import Pair, PairStatus


class Tape(Protocol):
    """The public tape of one pair."""

    def newest(self, count: int) -> Sequence[Print]:
        """Return the last prints, oldest first."""

    def bars(self, interval: int, since: datetime | None = None) -> Sequence[Bar]:
        """Return candles of `interval` minutes, oldest first; with `since`, those that open after it."""


class MarketFeed(Protocol):
    """What subscribers can see of the exchange; orders go through the gateway."""

    @property
    def listings(self) -> Mapping[Pair, Listing]: ...

    @property
    def system_status(self) -> PairStatus: ...

    def status(self, pair: Pair) -> PairStatus: ...

    def market_now(self) -> datetime: ...

    def listen(self, listener: Callable[[ExchangeEvent], None]) -> Callable[[], None]: ...

    def book(self, pair: Pair, depth: int) -> BookView: ...

    def tape(self, pair: Pair) -> Tape: ...

    def summary(self, pair: Pair) -> DaySummary: ...

    def open_orders(self, account: str) -> list[ExchangeOrder]: ...

    def orders(self, account: str, ids: Sequence[str]) -> list[ExchangeOrder]: ...

    def fills(
        self,
        account: str,
        start: datetime | None = None,
        end: datetime | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[ExchangeFill], int]: ...

    def balances(self, account: str) -> dict[str, Decimal]: ...


class Tokens(Protocol):
    """Tokens of the WebSocket. Refused for one that is not valid."""

    def account_of(self, token: str) -> str: ...

    def hold(self, token: str) -> None: ...

    def release(self, token: str) -> None: ...


class OrderRates(Protocol):
    @property
    def maximum(self) -> int: ...

    def counter(self, account: str, pair: Pair) -> float: ...
