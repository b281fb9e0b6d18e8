"""Kraken's client trades on an exchange that misbehaves: in the end each intent is one order, booked as it happened."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from trading.venues.kraken.order_records import NEVER_TAKEN

from tests.contracts.trade import NOON, OPENING
from tests.contracts.venues import asked, books_agree, kraken_client, kraken_venue, memory_journal
from tests.doubles.clock import Clock
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED, XRP
from trading.errors import MarketloomError
from trading.orders import Order, OrderIntent, OrderStatus, Side
from trading.ports import Journal
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.account_responses import AddOrderResponse
from trading.venues.kraken.order_request import OrderRequest
from trading.venues.kraken.venue import MIN_DEADLINE, KrakenVenue

QUANTITY = Decimal(500)  # XRP: then a fee has no more decimals than Kraken tells
TOTAL = 0.4  # seconds that the client waits for an answer
SETTLES = 40  # at most, until nothing is undecided
AFTER_IT_WAS_TAKEN: dict[str, dict[str, Any]] = {
    "slow_ack": {"seconds": 0.8},
    "lost_ack": {},
    "accepted_then_5xx": {},
    "slow_loris": {"seconds": 0.05},
}
BEFORE_IT_IS_TAKEN: dict[str, dict[str, Any]] = {"disconnect": {}, "rate_limit": {}, "nonce_error": {}}
OF_REQUESTS = AFTER_IT_WAS_TAKEN | BEFORE_IT_IS_TAKEN
IN_FORCE: list[tuple[str, float]] = [
    ("cancel_only", 0),
    ("post_only", 0),
    ("maintenance", 0),
    ("clock_skew", 3),
    ("clock_skew", 30),
    ("clock_skew", 3600),
    ("clock_skew", -3),
    ("clock_skew", -30),
    ("clock_skew", -3600),
]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), tier=UNHURRIED.name) as running:
        yield running


@dataclass
class Trader:
    """An account, its journal, and as many clients one after the other as the story needs."""

    exchange: Sandbox
    folder: Path
    account: str = field(default_factory=lambda: str(uuid4()))
    journal: Journal = field(default_factory=memory_journal)
    clients: list[KrakenClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = self.exchange.open_account(self.account, OPENING)

    def venue(self, waits: bool = False) -> KrakenVenue:
        """A new process, so to say: nothing is left of the last one but files and the journal.

        Unless it really `waits`, its deadlines pass at once: nothing is on its way when it looks.
        """
        self.clients.append(kraken_client(self.exchange, self.folder, TOTAL))
        passing = Clock()
        clock: dict[str, Any] = {} if waits else {"monotonic": passing, "sleep": passing.sleep}
        return kraken_venue(
            self.clients[-1], self.journal,
            deadline=MIN_DEADLINE, margin=timedelta(seconds=0.3), patience=timedelta(seconds=0.3), **clock,
        )  # fmt: skip

    def asked(self, number: int = 0, **changes: Any) -> OrderIntent:
        at = NOON + timedelta(minutes=number)
        return asked(self.journal, pair=XRP, **{"quantity": QUANTITY, "created_at": at, **changes})

    def settled(self, waits: bool = False) -> None:
        """By new processes, until nothing is left to ask about."""
        for _ in range(SETTLES):
            with suppress(MarketloomError):
                self.venue(waits).settle("paper")
            if not self.journal.unsettled("paper"):
                return
        raise AssertionError([self.journal.order(each.intent_id) for each in self.journal.unsettled("paper")])

    def then_at_once(self, act: Callable[[], object]) -> None:
        """As soon as the newest client has sent an order, whatever became of it."""
        client = self.clients[-1]
        send = client.add_order

        def sent(request: OrderRequest) -> AddOrderResponse:
            try:
                return send(request)
            finally:
                act()

        client.add_order = sent  # type: ignore[method-assign]

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def order(self, wanted: OrderIntent) -> Order:
        order = self.journal.order(wanted.intent_id)
        assert order is not None
        return order

    def at_the_exchange(self, wanted: OrderIntent) -> list[dict[str, Any]]:
        rows = self.exchange.export()["orders"]
        return [each for each in rows if each["client_order_id"] == wanted.intent_id]

    def is_filled_once(self, wanted: OrderIntent) -> None:
        [order] = self.at_the_exchange(wanted)
        assert (order["account"], order["state"], Decimal(order["filled"])) == (
            self.account,
            "closed",
            wanted.quantity,
        )
        assert (self.order(wanted).status, self.order(wanted).reason) == (OrderStatus.FILLED, "")
        books_agree(self.exchange, self.account, self.journal)


@pytest.fixture
def trader(exchange: Sandbox, tmp_path: Path) -> Iterator[Trader]:
    trader = Trader(exchange, tmp_path)
    yield trader
    exchange.disarm()
    trader.close()


# --- one fault strikes the order


@pytest.mark.parametrize("kind", AFTER_IT_WAS_TAKEN)
def test_an_order_whose_answer_does_not_come_is_found_and_booked(trader: Trader, kind: str) -> None:
    trader.exchange.arm(kind, method="AddOrder", **OF_REQUESTS[kind])
    wanted = trader.asked()
    assert trader.venue().place(wanted).status is OrderStatus.FILLED
    trader.is_filled_once(wanted)


@pytest.mark.parametrize("kind", BEFORE_IT_IS_TAKEN)
def test_an_order_that_is_kept_out_is_placed_once_when_it_is_let_in(trader: Trader, kind: str) -> None:
    trader.exchange.arm(kind, method="AddOrder", **OF_REQUESTS[kind])
    wanted = trader.asked()
    for _ in range(2):
        assert trader.venue().place(wanted).status is OrderStatus.PENDING
        assert trader.at_the_exchange(wanted) == []
    trader.exchange.disarm()
    trader.settled()
    trader.is_filled_once(wanted)


def test_an_order_that_can_be_neither_answered_nor_looked_up_is_unknown_until_it_can(trader: Trader) -> None:
    trader.exchange.arm("lost_ack", method="AddOrder")
    venue = trader.venue()
    trader.then_at_once(lambda: trader.exchange.arm("maintenance"))
    wanted = trader.asked()
    for _ in range(2):
        assert venue.place(wanted).status is OrderStatus.UNKNOWN
        assert len(trader.at_the_exchange(wanted)) == 1
    assert trader.journal.fills("paper") == []
    trader.exchange.disarm()
    trader.settled()
    trader.is_filled_once(wanted)


@pytest.mark.parametrize("every", [2, 3, 5])
@pytest.mark.parametrize("kind", OF_REQUESTS)
def test_orders_among_requests_that_fail_again_and_again_are_each_filled_once(
    trader: Trader, kind: str, every: int
) -> None:
    how = {"seconds": TOTAL * 1.5} if kind == "slow_ack" else OF_REQUESTS[kind]
    trader.exchange.arm(kind, every=every, count=8, **how)
    wanted = [
        trader.asked(number, quantity=Decimal(quantity)) for number, quantity in enumerate((500, 700, 300))
    ]
    trader.settled()
    for each in wanted:
        trader.is_filled_once(each)


# --- the exchange is in a state


@pytest.mark.parametrize(("kind", "seconds"), IN_FORCE)
def test_an_order_in_a_market_that_is_not_as_it_should_be_is_filled_once_at_last(
    trader: Trader, kind: str, seconds: float
) -> None:
    trader.exchange.arm(kind, **({"seconds": seconds} if seconds else {}))
    wanted = trader.asked()
    order = trader.venue().place(wanted)
    assert order.status in (OrderStatus.PENDING, OrderStatus.FILLED)
    assert len(trader.at_the_exchange(wanted)) == (order.status is OrderStatus.FILLED)
    trader.exchange.disarm()
    trader.settled()
    trader.is_filled_once(wanted)


def test_a_market_that_closes_while_the_order_is_on_its_way_takes_it_when_it_is_open(trader: Trader) -> None:
    wanted = trader.asked()
    trader.exchange.admin("status", {"pair": "XRP/USDT", "status": "maintenance"})
    try:
        assert trader.venue().place(wanted).status is OrderStatus.PENDING
        assert trader.at_the_exchange(wanted) == []
    finally:
        trader.exchange.admin("status", {"pair": "XRP/USDT", "status": "online"})
    trader.settled()
    trader.is_filled_once(wanted)


# --- orders take their time


def test_an_order_that_travels_longer_than_the_client_listens_is_waited_for(tmp_path: Path) -> None:
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name, latency_ms=1000.0) as slow:
        trader = Trader(slow, tmp_path / "client")
        wanted = trader.asked()
        assert trader.venue(waits=True).place(wanted).status is OrderStatus.FILLED
        trader.is_filled_once(wanted)
        trader.close()


def test_an_order_that_travels_longer_than_its_deadline_is_never_taken(tmp_path: Path) -> None:
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name, latency_ms=4500.0) as slow:
        trader = Trader(slow, tmp_path / "client")
        wanted = trader.asked()
        order = trader.venue(waits=True).place(wanted)
        assert order.status is OrderStatus.PENDING
        assert order.reason.startswith(NEVER_TAKEN)
        time.sleep(0.7)  # it arrives, too late
        assert trader.at_the_exchange(wanted) == []
        trader.close()


# --- one of the two dies


class Killed(BaseException):
    pass


def killed() -> NoReturn:
    raise Killed


def test_a_client_that_dies_before_it_reads_the_answer_books_it_when_it_is_back(trader: Trader) -> None:
    venue, wanted = trader.venue(), trader.asked()
    trader.then_at_once(killed)
    with pytest.raises(Killed):
        venue.place(wanted)
    assert len(trader.at_the_exchange(wanted)) == 1
    assert trader.order(wanted).status is OrderStatus.PENDING
    trader.settled()
    trader.is_filled_once(wanted)


def test_a_client_that_dies_before_its_order_leaves_places_it_once_when_it_is_back(trader: Trader) -> None:
    venue, wanted = trader.venue(), trader.asked()
    trader.clients[-1].add_order = lambda request: killed()  # type: ignore[method-assign]
    with pytest.raises(Killed):
        venue.place(wanted)
    assert trader.at_the_exchange(wanted) == []
    assert "void after" in trader.order(wanted).reason
    assert trader.venue(waits=True).place(wanted).reason.startswith(NEVER_TAKEN)  # after its deadline
    trader.settled()
    trader.is_filled_once(wanted)


@pytest.mark.parametrize("at", ["before the answer", "after the fill"])
def test_an_exchange_that_was_stopped_after_it_took_the_order_still_has_it(tmp_path: Path, at: str) -> None:
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name) as first:
        trader = Trader(first, tmp_path / "client")
        venue, wanted = trader.venue(), trader.asked()
        if at == "before the answer":
            first.arm("lost_ack", method="AddOrder")
            trader.then_at_once(killed)
            with pytest.raises(Killed):
                venue.place(wanted)
            assert trader.journal.fills("paper") == []
        else:
            assert venue.place(wanted).status is OrderStatus.FILLED
        before = trader.exchange.export()
        trader.close()
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name) as second:
        trader.exchange = replace(trader.exchange, url=second.url, running=second.running)
        assert trader.exchange.export() == before
        trader.settled()
        trader.is_filled_once(wanted)
        sold = trader.asked(1, side=Side.SELL)
        trader.settled()
        trader.is_filled_once(sold)
        trader.close()
