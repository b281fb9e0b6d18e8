"""Venues with their outside at the test's command: the market, what may be traded, and the venue's own books."""

import datetime as dt
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from tests.contracts.trade import HOUR, NOON, OPENING, intent, opened, receipt
from tests.doubles.clock import Clock
from tests.doubles.stores import MemoryJournal, MemoryKeyState
from tests.streaming.sandbox.running import Sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, COSTS, CROSS, INSTRUMENTS, XRP
from trading.market import CANDLE_SCHEMA, Instrument, Pair, PairStatus
from trading.orders import OrderIntent, Side
from trading.ports import Journal, Quote, Venue
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.venue import KrakenVenue
from trading.venues.paper import PaperVenue

MANY = RateLimit(10_000, 1000)
KEYS = MemoryKeyState()  # of all clients in this process
LISTED = {**INSTRUMENTS, BTC: replace(INSTRUMENTS[BTC], minimum_cost=Decimal(5))}
PRICES = {BTC: 31921.8, XRP: 0.52555, CROSS: 0.00001646}
CONCESSION = Decimal("0.0003")  # half a spread and slippage, as a share of the price


class World(Protocol):
    """The account is called `paper` in the journal and begins with OPENING there and at the venue."""

    journal: Journal

    def venue(self) -> Venue:
        """Another one each time, as after a restart."""

    def last(self, pair: Pair) -> Decimal:
        """What a market order of now is reckoned from."""

    def move(self) -> None:
        """Time passes and the market has other prices."""

    def restrict(self, pair: Pair, status: PairStatus) -> None: ...

    def orders(self, asked: OrderIntent) -> int:
        """How many orders of this intent the venue itself has in its books."""


def asked(journal: Journal, **changes: Any) -> OrderIntent:
    """A decision to buy 0.01 BTC, in the journal."""
    identity = str(uuid.uuid4())
    wanted = intent(f"decision-{identity}", **{"intent_id": identity, **changes})
    opened(journal).record_decision(receipt(wanted.decision_id), wanted)
    return wanted


def paid(last: Decimal, side: Side, instrument: Instrument) -> Decimal:
    """What the fill model makes of the last price, in exact numbers."""
    worse = last * (1 + side.sign * CONCESSION)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    step = instrument.price_increment
    return (worse / step).to_integral_value(rounding) * step


class Quotes:
    """A candle source that is asked for quotes alone; the test says when the next price is there."""

    origin = "test"

    def __init__(self, prices: Mapping[Pair, float] = PRICES) -> None:
        self.prices: dict[Pair, float] = dict(prices)
        self.there = True

    def span(self, pair: Pair) -> tuple[dt.datetime, dt.datetime]:
        return NOON, NOON + HOUR

    def candles(self, pair: Pair, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
        return CANDLE_SCHEMA.to_frame()

    def quote_after(self, pair: Pair, time: dt.datetime) -> Quote | None:
        return Quote(self.prices[pair], time + HOUR) if self.there else None


class PaperWorld:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.quotes = Quotes()
        self.instruments = dict(LISTED)

    def venue(self) -> Venue:
        return PaperVenue(self.journal, self.quotes, self.instruments, dict.fromkeys(LISTED, COSTS))

    def last(self, pair: Pair) -> Decimal:
        return Decimal(str(self.quotes.prices[pair]))

    def move(self) -> None:
        self.quotes.prices = {pair: price * 1.1 for pair, price in self.quotes.prices.items()}

    def restrict(self, pair: Pair, status: PairStatus) -> None:
        self.instruments[pair] = replace(self.instruments[pair], status=status)

    def orders(self, asked: OrderIntent) -> int:
        """Its journal is all that it has."""
        return len(
            {each.fill_id for each in self.journal.fills("paper") if each.intent_id == asked.intent_id}
        )


class SandboxWorld:
    """Kraken's client on the sandbox, with an account of its own; close it in the end."""

    def __init__(self, exchange: Sandbox, journal: Journal, folder: Path) -> None:
        self.journal = journal
        self.account = str(uuid.uuid4())
        exchange.advance(60)  # to trades of the market itself: the last price may be that of an order of ours
        self.exchange = exchange.open_account(self.account, OPENING)
        self.client = kraken_client(self.exchange, folder)
        self._restricted: set[Pair] = set()

    def venue(self) -> Venue:
        passing = Clock()
        return kraken_venue(self.client, self.journal, monotonic=passing, sleep=passing.sleep)

    def last(self, pair: Pair) -> Decimal:
        return self.exchange.last(pair)

    def move(self) -> None:
        self.exchange.advance(300)

    def restrict(self, pair: Pair, status: PairStatus) -> None:
        self.exchange.admin("status", {"pair": str(pair), "status": status.value})
        self._restricted.add(pair)

    def orders(self, asked: OrderIntent) -> int:
        found = self.exchange.export()["orders"]
        return sum(
            (each["account"], each["client_order_id"]) == (self.account, asked.intent_id) for each in found
        )

    def close(self) -> None:
        for pair in self._restricted:
            self.restrict(pair, PairStatus.ONLINE)
        self.client.close()


def kraken_venue(
    client: KrakenClient, journal: Journal, account: str = "paper", **changes: Any
) -> KrakenVenue:
    """Entries may be of any age: decisions of tests are made long ago."""
    terms = {"entry_age": dt.timedelta.max, "margin": dt.timedelta(seconds=5), **changes}
    return KrakenVenue(client, journal, account, **terms)


def kraken_client(exchange: Sandbox, folder: Path, total: float = 20.0) -> KrakenClient:
    """Its own budget never makes it wait, and between two tries of a read it waits a moment only."""
    credentials = Credentials(exchange.key, exchange.secret)
    return KrakenClient(
        folder, credentials, exchange.url, Allowance(MANY, MANY), MANY, total,
        sleep=lambda seconds: time.sleep(min(seconds, 0.02)), keys=KEYS,
    )  # fmt: skip


def books_agree(exchange: Sandbox, account: str, journal: Journal) -> None:
    """The journal has the exchange's fills and balances of the account, to the last digit.

    For fees that have no more decimals than Kraken tells of them: what it books is not rounded.
    """
    truth = exchange.export()
    theirs = {
        each["execution_id"]: tuple(Decimal(each[name]) for name in ("price", "quantity", "fee"))
        for each in truth["fills"]
        if each["account"] == account
    }
    ours = {each.fill_id: (each.price, each.quantity, each.fee) for each in journal.fills("paper")}
    assert ours == theirs
    held = {
        each["asset"]: Decimal(each["amount"]) for each in truth["balances"] if each["account"] == account
    }
    assert journal.balances("paper") == held


def memory_journal() -> Journal:
    return opened(MemoryJournal())
