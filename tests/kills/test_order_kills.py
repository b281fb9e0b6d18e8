"""kill -9 of a trader at every step and at any moment, at an exchange that misbehaves: no order doubled or lost."""

import json
import random
import select
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.kills.order_worker import ACCOUNT, Setup, executor
from tests.processes import is_alive
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED
from trading.market import Pair
from trading.orders import OrderKind
from trading.stores.postgres import PostgresJournal

OPENING = {"USDT": Decimal(100_000), "BTC": Decimal(2), "XRP": Decimal(50_000)}
KILLS = 150
SOAK_KILLS = 1000
SPEED = 20.0  # market seconds per second
PATIENCE = 300.0  # seconds for what a trader does by itself: on a busy machine it is slow, and no less right
ROUNDS = 2  # of kills at every step
MORE_ROUNDS = 8  # at most, for steps that were not reached
DECISIONS = 6  # of a trader that should kill itself at a step, at most
# Each is armed again and again, for a random one of these methods.
FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("lost_ack", {}),
    ("slow_ack", {"seconds": 1.5}),
    ("accepted_then_5xx", {}),
    ("disconnect", {}),
    ("rate_limit", {}),
    ("nonce_error", {}),
    ("slow_loris", {"seconds": 0.05}),
)
IN_FORCE = ("cancel_only", "post_only", "maintenance")
# Boundaries between two steps of the executor. A few more need candles, stops over more than is held, or a stop that
# cannot be placed for long: they are reached with a scripted venue, in tests/trading/execution.
CHECKPOINTS = (
    "looked up", "booked", "before sent", "sent", "submitted", "before cancel", "cancelled", "before adopting",
    "adopted", "before amend", "amend recorded", "amended",
)  # fmt: skip
METHODS = ("AddOrder", "CancelOrder", "AmendOrder", "QueryOrders", "OpenOrders", "ClosedOrders", "")


class Traders:
    """The process that forks traders, and the words of the present one."""

    def __init__(self, setup: Setup) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.order_worker", json.dumps(asdict(setup))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self.errors: Counter[str] = Counter()

    def start(self, seed: int, **order: Any) -> psutil.Process:
        """Start a trader; what earlier ones said is forgotten."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"seed": seed, **order}).encode() + b"\n")
        while (said := self.hear(PATIENCE))[1] != "forked":
            pass
        return psutil.Process(said[0])

    def decides(self, trader: psutil.Process, seconds: float) -> bool:
        """Wait until this trader has carried out a decision; False when it died before."""
        deadline = time.monotonic() + seconds
        while (said := self.hear(deadline - time.monotonic())) != (trader.pid, "decided"):
            if said[1] == "" and not is_alive(trader):
                return False
            assert time.monotonic() < deadline, f"no decision within {seconds:.0f} s of the kill"
        return True

    def hear(self, seconds: float) -> tuple[int, str]:
        """Return process id and word of the next line; no word when nobody says anything for a moment."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, min(seconds, 0.05)))
        if not ready:
            return 0, ""
        process_id, word, *rest = self._process.stdout.readline().decode().split(maxsplit=2)
        assert word != "ended", rest
        if word == "failed":
            self.errors[rest[0].split(":")[0]] += 1
        return int(process_id), word

    def close(self) -> None:
        self._process.kill()
        with self._process:  # its pipes are closed too
            pass


@dataclass
class Exchange:
    """The exchange that misbehaves, the ledger, and what must be true of both."""

    running: Sandbox
    setup: Setup
    journal: PostgresJournal
    random: random.Random

    def misbehave(self) -> None:
        """Arm one more fault, of a kind and at a call that chance chooses."""
        if self.random.random() < 0.1:
            kind, lasts = self.random.choice(IN_FORCE), self.random.uniform(0.5, 3)
            self.running.arm(kind, lasts=lasts)
        elif self.random.random() < 0.7:
            kind, details = self.random.choice(FAULTS)
            self.running.arm(kind, count=1, method=self.random.choice(METHODS), **details)

    def check_ledger(self) -> None:
        """Assert what holds at every moment: no position is turned or opened by an order that reduces."""
        held: dict[Pair, Decimal] = defaultdict(Decimal)
        for fill in self.journal.fills(ACCOUNT):
            working = self.journal.working_order(fill.intent_id)
            assert working is not None
            change = fill.side.sign * fill.quantity
            if working.intent.reduces:
                assert abs(held[fill.pair] + change) <= abs(held[fill.pair]), fill
                assert (held[fill.pair] + change) * held[fill.pair] >= 0, fill
            held[fill.pair] += change
        positions = {each.pair: each.quantity for each in self.journal.positions(ACCOUNT)}
        assert positions == {pair: quantity for pair, quantity in held.items() if quantity}
        exits = Counter(
            each.intent.pair
            for each in self.journal.working_orders(ACCOUNT)
            if each.intent.kind is OrderKind.EXIT
        )
        assert all(count == 1 for count in exits.values()), exits

    def bare_pairs(self) -> set[Pair]:
        """Return the pairs with a position that no stop at the exchange covers wholly."""
        open_stops: dict[str, Decimal] = defaultdict(Decimal)
        for row in self.running.export()["orders"]:
            rests = row["state"] == "pending"  # until its trigger is touched
            if row["account"] == ACCOUNT and rests and row["trigger_price"] is not None:
                open_stops[row["pair"]] += Decimal(row["quantity"]) - Decimal(row["filled"])
        positions = {each.pair: abs(each.quantity) for each in self.journal.positions(ACCOUNT)}
        return {pair for pair, quantity in positions.items() if open_stops[str(pair)] < quantity}

    def check_protection(self, traders: "Traders", seed: int) -> None:
        """Assert that a living trader gives a position without a stop one, or closes it."""
        bare = self.bare_pairs()
        if not bare:
            return
        trader, began = traders.start(seed), time.monotonic()
        while bare := bare & self.bare_pairs():
            assert time.monotonic() - began < PATIENCE, "\n".join(map(self.describe, bare))
            traders.hear(0.05)
        kill(trader)

    def describe(self, pair: Pair) -> str:
        """Return what ledger and exchange know of the pair's orders, for a person who looks into a failure."""
        working = [each for each in self.journal.working_orders(ACCOUNT) if each.intent.pair == pair]
        changes = [
            f"  {change.at:%H:%M:%S} {change.status} {change.attempt} {change.cause}"
            for each in working
            for change in self.journal.order_changes(each.intent.intent_id)
        ]
        rows = [
            {
                name: row[name]
                for name in (
                    "order_id",
                    "client_order_id",
                    "side",
                    "order_type",
                    "quantity",
                    "filled",
                    "state",
                    "reason",
                    "parent_id",
                    "opened_at",
                )
            }
            for row in self.running.export()["orders"]
            if row["account"] == ACCOUNT and row["pair"] == str(pair)
        ][-8:]
        return "\n".join(
            map(
                str,
                [
                    self.journal.position(ACCOUNT, pair),
                    *working,
                    *changes,
                    *rows,
                    *self.journal.halts(ACCOUNT),
                ],
            )
        )

    def settle(self) -> None:
        """Without faults: carry out until no market order is left, then close every position."""
        self.running.disarm()
        with self.setup.client() as client:
            venue = self.setup.venue(client)
            calm = executor(self.journal, venue, lambda name: None)
            deadline = time.monotonic() + 120
            while True:
                calm.flatten(ACCOUNT, venue.now(), "the end of the test")
                left = self.journal.working_orders(ACCOUNT)
                if not left and not self.journal.positions(ACCOUNT):
                    return
                assert time.monotonic() < deadline, (left, self.journal.positions(ACCOUNT))
                time.sleep(0.2)

    def check_books(self) -> None:
        """Assert that ledger and exchange have the same fills and balances to the last digit, and no order is open."""
        truth = self.running.export()
        theirs = {
            row["execution_id"]: tuple(Decimal(row[name]) for name in ("price", "quantity", "fee"))
            for row in truth["fills"]
            if row["account"] == ACCOUNT
        }
        ours = {each.fill_id: (each.price, each.quantity, each.fee) for each in self.journal.fills(ACCOUNT)}
        assert ours == theirs
        balances = {
            row["asset"]: Decimal(row["amount"]) for row in truth["balances"] if row["account"] == ACCOUNT
        }
        assert self.journal.balances(ACCOUNT) == balances
        assert not [
            row["order_id"]
            for row in truth["orders"]
            if row["account"] == ACCOUNT and row["state"] in ("open", "pending")
        ]
        counts = Counter(
            row["client_order_id"]
            for row in truth["orders"]
            if row["account"] == ACCOUNT and row["filled"] != "0"
        )
        counts.pop("", None)
        counts.pop(None, None)
        assert all(count == 1 for count in counts.values()), counts  # no intent was filled by two orders


@pytest.fixture
def exchange(tmp_path: Path, dsn: str) -> Iterator[Exchange]:
    with sandbox(tmp_path / "sandbox", tier=UNHURRIED.name, speed=SPEED) as running:
        opened = running.open_account(ACCOUNT, OPENING)
        journal = PostgresJournal(dsn)
        journal.open_account(ACCOUNT, OPENING, datetime(2024, 1, 1, tzinfo=UTC))
        setup = Setup(dsn, opened.url, opened.key, opened.secret, str(tmp_path / "client"))
        yield Exchange(opened, setup, journal, random.Random(7))


@pytest.fixture
def traders(exchange: Exchange) -> Iterator[Traders]:
    started = Traders(exchange.setup)
    yield started
    started.close()


def test_a_trader_may_be_killed_at_every_step(exchange: Exchange, traders: Traders) -> None:
    """A step that chance did not lead to is waited for by further traders."""
    reached: Counter[str] = Counter()
    for number in range(len(CHECKPOINTS) * (ROUNDS + MORE_ROUNDS)):
        checkpoint = CHECKPOINTS[number % len(CHECKPOINTS)]
        if number >= ROUNDS * len(CHECKPOINTS) and reached[checkpoint]:
            continue
        exchange.misbehave()
        trader = traders.start(number, checkpoint=checkpoint, occasion=1 + number // len(CHECKPOINTS) % 2)
        for _ in range(DECISIONS):
            if not traders.decides(trader, PATIENCE):
                reached[checkpoint] += 1
                break
        kill(trader)
        exchange.check_ledger()
        exchange.check_protection(traders, 1_000_000 + number)
    exchange.settle()
    exchange.check_ledger()
    exchange.check_books()
    assert reached.keys() == set(CHECKPOINTS)


def test_a_trader_may_be_killed_at_any_moment(exchange: Exchange, traders: Traders) -> None:
    kill_at_any_moment(exchange, traders, KILLS)


@pytest.mark.soak
def test_a_trader_may_be_killed_a_thousand_times(exchange: Exchange, traders: Traders) -> None:
    kill_at_any_moment(exchange, traders, SOAK_KILLS)


def kill_at_any_moment(exchange: Exchange, traders: Traders, kills: int) -> None:
    for number in range(kills):
        exchange.misbehave()
        trader = traders.start(number)
        if exchange.random.random() < 0.25:
            assert traders.decides(trader, PATIENCE), "the trader ended by itself"
        time.sleep(exchange.random.uniform(0, 0.3))
        kill(trader)
        if number % 5 == 0:
            exchange.check_ledger()
            exchange.check_protection(traders, 1_000_000 + number)
    exchange.settle()
    exchange.check_ledger()
    exchange.check_books()
    assert len(exchange.journal.fills(ACCOUNT)) > kills / 10, "hardly anything was traded: nothing was tested"


def kill(trader: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        trader.kill()
    while is_alive(trader):
        time.sleep(0.001)
