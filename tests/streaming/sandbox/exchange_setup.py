"""A small exchange to test with: two pairs, a clock that is moved by hand, and the list of all its events."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from streaming.sandbox.exchange.exchange import Exchange, ExchangeStore
from streaming.sandbox.market import MarketClock, Tick
from streaming.sandbox.model import ExchangeEvent, ExchangeOrder, Listing, NewOrder, OrderType, PriceTerm
from trading.fills import Costs
from trading.margin.terms import MarginTerms
from trading.market import Instrument, Pair
from trading.orders import Side

START = datetime(2024, 1, 1, tzinfo=UTC)
BTC, XRP = Pair("BTC", "USD"), Pair("XRP", "USD")
BUY, SELL = Side.BUY, Side.SELL
TERMS = MarginTerms(
    opening_fee=Decimal("0.0002"),
    rollover_fee=Decimal("0.0002"),
    rollover_every=timedelta(hours=4),
    call_level=Decimal("0.8"),
    liquidation_level=Decimal("0.4"),
    leverage=Decimal(3),
)


def d(text: str | int) -> Decimal:
    return Decimal(text)


def listing(pair: Pair, levels: int = 5, **changes: Any) -> Listing:
    """Best bid and ask lie 0.1 % from the last price; a level offers 1000 USD."""
    instrument = Instrument(
        pair=pair,
        price_increment=d("0.1") if pair == BTC else d("0.0001"),
        quantity_increment=d("0.0001"),
        minimum_quantity=d("0.001"),
        minimum_cost=d("0.5"),
        taker_fee=d("0.004"),
        maker_fee=d("0.0025"),
        maximum_leverage=d(3),
    )
    return Listing(replace(instrument, **changes), Costs(0.004, 0.0005, 0.0005), d(1000), levels)


class Bench:
    """The exchange, its events, and both clocks."""

    def __init__(self, path: Path, listings: Mapping[Pair, Listing] | None = None) -> None:
        self.path = path
        self.listings = listings or {BTC: listing(BTC), XRP: listing(XRP)}
        self.server = 1_700_000_000.0
        self.events: list[ExchangeEvent] = []
        self.start()

    def start(self) -> None:
        self.store = ExchangeStore(self.path)
        self.clock = MarketClock(self.store.position() or START, 0, lambda: self.server)
        self.exchange = Exchange(self.listings, TERMS, "USD", self.store, self.clock, lambda: self.server)
        self.exchange.listen(self.events.append)

    def close(self) -> None:
        self.store.close()

    def restart(self) -> None:
        """Restart as after a kill: the old one is not asked to stop, only its file is closed."""
        self.store.close()
        self.start()

    def tick(
        self, price: str, quantity: str = "1", side: Side = SELL, pair: Pair = BTC, seconds: float = 1
    ) -> None:
        at = self.exchange.market_now() + timedelta(seconds=seconds)
        self.clock.advance_to(at)
        self.exchange.apply(Tick(pair, at, d(price), d(quantity), side, "market"))

    def open(self, account: str = "alice", **balances: str) -> None:
        self.exchange.open_account(account, {asset: d(amount) for asset, amount in balances.items()})

    def add(
        self, side: Side, quantity: str, limit: str | None = None, account: str = "alice", **more: Any
    ) -> ExchangeOrder:
        return self.exchange.add(account, new(side, quantity, limit, **more))

    def events_of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def balance(self, asset: str, account: str = "alice") -> Decimal:
        return self.exchange.balances(account).get(asset, d(0))


def new(side: Side, quantity: str, limit: str | None = None, **more: Any) -> NewOrder:
    trigger = more.pop("trigger", None)
    kind = more.pop("order_type", OrderType.LIMIT if limit else OrderType.MARKET)
    return NewOrder(
        pair=more.pop("pair", BTC),
        side=side,
        order_type=kind,
        quantity=d(quantity),
        limit=PriceTerm(d(limit)) if limit else None,
        trigger=PriceTerm(d(trigger)) if isinstance(trigger, str) else trigger,
        **more,
    )
