"""Venues with their outside at the test's command: the market, what may be traded, and the venue's own books."""

import datetime as dt
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, Protocol, Self, cast

from tests.contracts.trade import OPENING, intent
from tests.doubles.stores import MemoryKeyState
from tests.streaming.sandbox.running import Sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, CROSS, INSTRUMENTS, XRP
from trading.errors import NotStored, VenueRefused
from trading.market import Instrument, Pair, PairStatus
from trading.orders import FINAL, Fill, Order, OrderIntent, OrderStatus, Side, WorkingOrder
from trading.portfolio import cash_flows
from trading.ports import Venue, VenueOrder
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.order_calls import OrderCalls, OrdersWithFallback
from trading.venues.kraken.venue import KrakenVenue
from trading.venues.kraken.websocket_orders import WebSocketOrders, private_url

MANY = RateLimit(10_000, 1000)
KEYS = MemoryKeyState()  # of all clients in this process
LISTED = {**INSTRUMENTS, BTC: replace(INSTRUMENTS[BTC], minimum_cost=Decimal(5))}
PRICES = {BTC: 31921.8, XRP: 0.52555, CROSS: 0.00001646}
CONCESSION = Decimal("0.0003")  # half a spread and slippage, as a share of the price
NOTHING = Decimal(0)
RICH = {"USDT": Decimal(10**8), "BTC": Decimal(10**4), "XRP": Decimal(10**8)}


class Clerk:
    """Sends orders, and books what the venue reports of them, as an executor does."""

    def __init__(
        self, venue: Callable[[], Venue], until: Callable[[], dt.datetime | None] = lambda: None
    ) -> None:
        """`until`: how far the market has come, for a venue without a clock of its own."""
        self._venue = venue
        self.until = until
        self.fills: dict[str, Fill] = {}

    def sent(self, wanted: OrderIntent) -> WorkingOrder:
        """Send it, once. Raises what the venue raises."""
        venue = self._venue()
        void_after = venue.void_after()
        working = committed(wanted, sent_at=venue.now(), void_after=void_after)
        order_id = venue.submit(wanted, void_after)
        order = replace(working.order, status=OrderStatus.ACKNOWLEDGED, venue_order_id=order_id)
        return replace(working, order=order)

    def placed(self, wanted: OrderIntent) -> WorkingOrder:
        """Send it, and ask what has become of it."""
        return self.asked(self.sent(wanted))

    def asked(self, working: WorkingOrder) -> WorkingOrder:
        """Ask again, and book; as it was where the venue does not show it."""
        report = self._venue().reports([working], self.until()).get(working.intent.intent_id)
        if report is None:
            return working
        self.fills |= {fill.fill_id: fill for fill in report.fills}
        own = (fill.quantity for fill in self.fills.values() if fill.intent_id == working.intent.intent_id)
        order = replace(
            working.order, status=report.status, reason=report.reason, updated_at=report.at,
            venue_order_id=report.venue_order_id, filled=sum(own, Decimal(0)),
            trigger=report.trigger or working.order.trigger,
        )  # fmt: skip
        return replace(working, order=order)

    def stops(self, entry: WorkingOrder) -> list[WorkingOrder]:
        """Adopt the stops that the venue placed with the entry's fills, as they are now."""
        return [self.asked(adopted(entry, each)) for each in self._venue().stops_of(entry)]

    def balances(self, opening: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """What the opening balances have become, by the fills that were reported."""
        balances = dict(opening)
        for fill in self.fills.values():
            for asset, change in cash_flows(fill).items():
                balances[asset] = balances.get(asset, Decimal(0)) + change
        return balances


class World(Protocol):
    """An account that nobody else uses; it begins with `opening` in the venue's own books."""

    opening: dict[str, Decimal]
    clerk: Clerk

    def venue(self) -> Venue:
        """Another one each time, as after a restart."""

    def last(self, pair: Pair) -> Decimal:
        """What a market order of now is reckoned from."""

    def reach(self, pair: Pair, price: Decimal) -> None:
        """The market trades at this price."""

    def restrict(self, pair: Pair, status: PairStatus) -> None: ...

    def orders(self, wanted: OrderIntent) -> int:
        """How many orders of this intent the venue itself has in its books."""


def wanted(**changes: Any) -> OrderIntent:
    """A decision to buy 0.01 BTC, with a stop far away."""
    identity = str(uuid.uuid4())
    return intent(f"decision-{identity}", **{"intent_id": identity, **changes})


def closing(**changes: Any) -> OrderIntent:
    """A decision to sell 0.01 BTC of a position; with a trigger it is a stop."""
    levels = {"stop_loss": None, "take_profit": None}
    return wanted(**{"side": Side.SELL, "reduces": True, **levels, **changes})


def committed(wanted: OrderIntent, **changes: Any) -> WorkingOrder:
    """As it stands in a ledger when it is about to be sent."""
    order = Order(
        wanted.intent_id, OrderStatus.SENT, "", wanted.created_at, attempt=1, trigger=wanted.trigger
    )
    return WorkingOrder(wanted, replace(order, **changes))


def adopted(entry: WorkingOrder, stop: VenueOrder) -> WorkingOrder:
    """The stop as an order of ours."""
    own = closing(
        pair=stop.pair,
        side=stop.side,
        quantity=stop.quantity,
        trigger=stop.trigger,
        account=entry.intent.account,
    )
    order = Order(
        own.intent_id,
        OrderStatus.ACKNOWLEDGED,
        "",
        stop.at,
        venue_order_id=stop.venue_order_id,
        trigger=stop.trigger,
    )
    return WorkingOrder(own, order)


def is_refused(world: World, wanted: OrderIntent) -> None:
    """The venue refuses it at once, or what becomes of it is that it was refused; it never has a fill."""
    with suppress(VenueRefused, NotStored):
        order = world.clerk.placed(wanted).order
        assert (order.status in FINAL, bool(order.reason), order.filled) == (True, True, NOTHING)
        assert order.status is not OrderStatus.FILLED
    assert world.clerk.fills == {}


def paid(last: Decimal, side: Side, instrument: Instrument) -> Decimal:
    """What the fill model makes of the last price, in exact numbers."""
    worse = last * (1 + side.sign * CONCESSION)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    step = instrument.price_increment
    return (worse / step).to_integral_value(rounding) * step


class SandboxWorld:
    """Kraken's client on the sandbox, with an account of its own; close it in the end."""

    def __init__(self, exchange: Sandbox, folder: Path, opening: Mapping[str, Decimal] = OPENING) -> None:
        self.opening = dict(opening)
        self.account = str(uuid.uuid4())
        exchange.advance(60)  # to trades of the market itself: the last price may be one that a test has set
        self.exchange = exchange.open_account(self.account, opening)
        self.client = kraken_client(self.exchange, folder)
        self.clerk = Clerk(self.venue)
        self._restricted: set[Pair] = set()

    def venue(self) -> KrakenVenue:
        return kraken_venue(self.client)

    def last(self, pair: Pair) -> Decimal:
        return self.exchange.last(pair)

    def reach(self, pair: Pair, price: Decimal) -> None:
        self.exchange.trade(pair, price)

    def restrict(self, pair: Pair, status: PairStatus) -> None:
        self.exchange.admin("status", {"pair": str(pair), "status": status.value})
        self._restricted.add(pair)

    def orders(self, wanted: OrderIntent) -> int:
        found = self.exchange.export()["orders"]
        return sum(
            (each["account"], each["client_order_id"]) == (self.account, wanted.client_order_id)
            for each in found
        )

    def close(self) -> None:
        for pair in self._restricted:
            self.restrict(pair, PairStatus.ONLINE)
        self.client.close()


class WebSocketWorld(SandboxWorld):
    """The same with one connection for orders; `rest_calls` are those that had to go over REST."""

    def __init__(self, exchange: Sandbox, folder: Path, opening: Mapping[str, Decimal] = OPENING) -> None:
        super().__init__(exchange, folder, opening)
        self.rest_calls: list[str] = []
        self._websocket = WebSocketOrders(self.client, private_url(exchange.url), patience=10.0)

    def venue(self) -> KrakenVenue:
        return kraken_venue(self.client, orders=OrdersWithFallback(self._websocket, cast(OrderCalls, self)))

    def __getattr__(self, name: str) -> Any:
        """Every method of the client that changes an order."""
        if not name.endswith("_order"):
            raise AttributeError(name)
        self.rest_calls.append(name)
        return getattr(self.client, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._websocket.close()
        self.close()


def kraken_venue(client: KrakenClient, **changes: Any) -> KrakenVenue:
    return KrakenVenue(client, **{"margin": dt.timedelta(seconds=5), **changes})


def kraken_client(exchange: Sandbox, folder: Path, total: float = 20.0) -> KrakenClient:
    """Its own budget never makes it wait, and between two tries of a read it waits a moment only."""
    credentials = Credentials(exchange.key, exchange.secret)
    return KrakenClient(
        folder, credentials, exchange.url, Allowance(MANY, MANY), MANY, total,
        sleep=lambda seconds: time.sleep(min(seconds, 0.02)), keys=KEYS,
    )  # fmt: skip


def books_agree(exchange: Sandbox, account: str, clerk: Clerk, opening: Mapping[str, Decimal]) -> None:
    """The clerk has the exchange's fills and balances of the account, to the last digit.

    For fees that have no more decimals than Kraken tells of them: what it books is not rounded.
    """
    truth = exchange.export()
    theirs = {
        each["execution_id"]: tuple(Decimal(each[name]) for name in ("price", "quantity", "fee"))
        for each in truth["fills"]
        if each["account"] == account
    }
    assert {each.fill_id: (each.price, each.quantity, each.fee) for each in clerk.fills.values()} == theirs
    own = [each for each in truth["balances"] if each["account"] == account]
    held = {each["asset"]: amount for each in own if (amount := Decimal(each["amount"]))}
    assert {asset: each for asset, each in clerk.balances(opening).items() if each} == held
