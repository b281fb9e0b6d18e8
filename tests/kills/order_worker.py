"""A trader that can be killed: `python -m tests.kills.order_worker SETUP` forks one for each line of standard input.

The parent imports once, so that a trader starts in milliseconds. Each line is a JSON object: `seed`, and perhaps
`checkpoint` and `occasion`: where the trader kills itself. A trader prints `decided` after each decision that it has
carried out, and goes on until it is killed.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from tests.streaming.sandbox.simulated_exchange import BTC, INSTRUMENTS, XRP
from trading.errors import MarketloomError
from trading.execution import ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, Pair
from trading.orders import OrderIntent, OrderKind, Side, round_price
from trading.portfolio import Position
from trading.ports import Journal, Venue
from trading.risk.halts import active_halts
from trading.stores.postgres import PostgresJournal, PostgresKeyState
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.venue import MIN_DEADLINE, KrakenVenue

ACCOUNT = "killed"
PAIRS = (BTC, XRP)
SIZES = {BTC: Decimal("0.01"), XRP: Decimal(500)}
MANY = RateLimit(10_000, 1000)
PROTECTED_WITHIN = timedelta(seconds=20)
STOP = Decimal("0.003")  # below or above the price: near enough to be hit now and then


@dataclass(frozen=True, slots=True)
class Setup:
    dsn: str
    url: str
    key: str
    secret: str
    folder: str

    @classmethod
    def from_json(cls, text: str) -> "Setup":
        return cls(**json.loads(text))

    def client(self) -> KrakenClient:
        return KrakenClient(
            Path(self.folder),
            Credentials(self.key, self.secret),
            self.url,
            Allowance(MANY, MANY),
            MANY,
            1.0,
            sleep=lambda seconds: time.sleep(min(seconds, 0.02)),
            keys=PostgresKeyState(self.dsn),
        )

    def venue(self, client: KrakenClient) -> KrakenVenue:
        """An exit whose answer is lost leaves its position bare until it surely was not taken: here within seconds."""
        return KrakenVenue(client, deadline=MIN_DEADLINE, margin=timedelta(seconds=2))

    def journal(self) -> PostgresJournal:
        return PostgresJournal(self.dsn)


def executor(journal: Journal, venue: Venue, checkpoint: Callable[[str], None]) -> OrderExecutor:
    rules = ExecutionRules(
        entry_age=timedelta(minutes=30),
        protected_within=PROTECTED_WITHIN,
        patience=timedelta(seconds=1),
        lease_seconds=0.5,
    )
    return OrderExecutor(
        journal, venue, no_candles, rules, holder=f"{os.getpid()}-{uuid4()}", checkpoint=checkpoint
    )


def no_candles(pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
    return CANDLE_SCHEMA.to_frame()


def suicide(checkpoint: str, occasion: int) -> Callable[[str], None]:
    """Kill this process at the n-th time that it comes to the checkpoint."""
    seen = 0

    def check(name: str) -> None:
        nonlocal seen
        seen += name == checkpoint
        if name == checkpoint and seen == occasion:
            os.kill(os.getpid(), signal.SIGKILL)

    return check


class Trader:
    """Decides at random, but commits and carries out as every decision does."""

    def __init__(self, setup: Setup, order: dict[str, Any]) -> None:
        self.random = random.Random(order["seed"])
        self.journal = setup.journal()
        self.client = setup.client()
        self.venue = setup.venue(self.client)
        checkpoint = suicide(order.get("checkpoint", ""), order.get("occasion", 1))
        self.executor = executor(self.journal, self.venue, checkpoint)

    def run(self) -> None:
        while True:
            self.attempt(
                lambda: self.executor.carry_out(ACCOUNT, self.venue.now())
            )  # as each decision settles
            self.attempt(self.decide)
            self.attempt(lambda: self.executor.carry_out(ACCOUNT, self.venue.now()))
            say("decided")

    def attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except MarketloomError as error:
            say(f"failed {type(error).__name__}: {error}")

    def decide(self) -> None:
        pair = self.random.choice(PAIRS)
        price = self.client.ticker(pair).last[0]
        now = self.venue.now()
        with self.journal.exclusive(ACCOUNT):
            pending = [
                each
                for each in self.journal.working_orders(ACCOUNT)
                if each.intent.pair == pair and each.intent.kind is not OrderKind.STOP
            ]
            position = self.journal.position(ACCOUNT, pair)
            if pending:
                entries = [each.intent.intent_id for each in pending if each.intent.kind is OrderKind.ENTRY]
                if entries and self.random.random() < 0.5:
                    self.record(pair, now, None, entries)
            elif position is not None:
                if self.random.random() < 0.6:
                    self.record(pair, now, closing(position, now), [])
            elif not active_halts(self.journal.halts(ACCOUNT), now):
                self.record(pair, now, self.opening(pair, price, now), [])

    def opening(self, pair: Pair, price: Decimal, now: datetime) -> OrderIntent:
        side = self.random.choice(list(Side))
        step = INSTRUMENTS[pair].price_increment
        stop = round_price(price * (1 - side.sign * STOP), step)
        target = round_price(price * (1 + side.sign * 2 * STOP), step)
        identity = str(uuid4())
        return OrderIntent(
            intent_id=str(uuid4()),
            decision_id=identity,
            account=ACCOUNT,
            pair=pair,
            side=side,
            quantity=SIZES[pair],
            reduces=False,
            stop_loss=stop,
            take_profit=target,
            created_at=now,
            entry_price=price,
        )

    def record(self, pair: Pair, now: datetime, intent: OrderIntent | None, cancels: list[str]) -> None:
        receipt = {
            "decision_id": intent.decision_id if intent else str(uuid4()),
            "account": ACCOUNT,
            "pair": str(pair),
            "decided_at": now.isoformat(),
            "action": "CLOSE" if intent and intent.reduces else "LONG",
            "confidence": 1.0,
            "opinions": [],
        }
        self.journal.record_decision(receipt, intent, cancels)


def closing(position: Position, now: datetime) -> OrderIntent:
    return OrderIntent(
        intent_id=str(uuid4()),
        decision_id=str(uuid4()),
        account=ACCOUNT,
        pair=position.pair,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        quantity=abs(position.quantity),
        reduces=True,
        stop_loss=None,
        take_profit=None,
        created_at=now,
    )


def say(words: str) -> None:
    os.write(1, f"{os.getpid()} {words}\n".encode())


def main() -> None:
    setup = Setup.from_json(sys.argv[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        if child := os.fork():
            os.write(1, f"{child} forked\n".encode())
        else:
            try:
                Trader(setup, json.loads(line)).run()
            except BaseException as error:
                say(f"ended {type(error).__name__}: {error}")
            finally:
                os._exit(1)


if __name__ == "__main__":
    main()
