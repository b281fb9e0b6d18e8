"""The store: a killed exchange comes back with everything that it returned, and nothing else."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streaming.sandbox.exchange.exchange import ExchangeStore
from streaming.sandbox.exchange.export import Form, export, write_export
from streaming.sandbox.exchange.store import TRIM_INTERVAL
from streaming.sandbox.market import Tick
from streaming.sandbox.model import (
    BookChanged,
    CloseOrder,
    OrderState,
    OrderType,
    PriceTerm,
    Refused,
    TimeInForce,
)
from tests.streaming.sandbox.exchange_setup import BTC, BUY, SELL, XRP, Bench, d, listing
from trading.errors import InvalidSettings, StoreUnreachable, UnreadableFile, UnusableHome
from trading.market import PairStatus

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        bench.open(USD="100000", BTC="10")
        bench.open("bob", USD="100000", BTC="10")
        bench.tick("1000.0")
        yield bench


def visible(bench: Bench) -> dict[str, Any]:
    exchange = bench.exchange
    return {
        account: (
            exchange.balances(account),
            exchange.reserved(account),
            exchange.positions(account),
            exchange.open_orders(account),
            exchange.closed_orders(account),
            exchange.fills(account),
        )
        for account in exchange.accounts()
    } | {"now": exchange.market_now(), "prints": exchange.tape(BTC).newest(100), "book": book(bench)}


def book(bench: Bench) -> list[tuple[Decimal, Decimal]]:
    view = bench.exchange.book(BTC, 1000)
    return [(level.price, level.quantity) for level in (*view.bids, *view.asks)]


def test_a_restart_changes_nothing_that_an_account_can_see(bench: Bench) -> None:
    bench.add(BUY, "0.5")
    bench.add(BUY, "0.3", leverage=3)
    bench.add(BUY, "2", "999.5", client_order_id="mine")
    bench.add(SELL, "0.1", order_type=OrderType.TRAILING_STOP, trigger="10.0")
    bench.add(
        BUY,
        "0.1",
        "990.0",
        time_in_force=TimeInForce.GTD,
        expires_at=datetime.fromtimestamp(bench.server + 9, UTC),
        close=CloseOrder(OrderType.STOP_LOSS_LIMIT, PriceTerm(d("950.0")), PriceTerm(d("960.0"))),
    )
    bench.tick("999.2", "0.5")
    before = visible(bench)
    bench.restart()
    assert visible(bench) == before


@pytest.mark.parametrize("order", ["0.5", "2.5"])
def test_the_whole_book_is_the_same_after_a_restart(bench: Bench, order: str) -> None:
    bench.listings = {BTC: listing(BTC, 25), XRP: listing(XRP)}
    bench.restart()
    for price in (
        "1000.0",
        "2400.0",
        "2600.0",
        "2400.0",
        "1999.9",
    ):  # the grid's step depends on the way here
        bench.tick(price)
    bench.add(BUY, order)
    bench.add(SELL, order, account="bob")
    bench.add(BUY, order)
    before = book(bench)
    bench.restart()
    assert book(bench) == before
    bench.tick("1999.5")
    assert len(bench.events_of(BookChanged)[-1].bids) < 10


def test_the_seed_of_a_listing_is_that_of_its_quotes(bench: Bench) -> None:
    before = book(bench)
    bench.listings = {pair: replace(each, seed=7) for pair, each in bench.listings.items()}
    bench.restart()
    assert [price for price, _ in book(bench)] == [price for price, _ in before]
    assert book(bench) != before


def test_the_queue_keeps_its_order_and_what_stood_before_it(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).bids[0]
    first = bench.add(BUY, "1", str(best.price), account="bob")
    second = bench.add(BUY, "1", str(best.price))
    bench.tick(str(best.price), str(best.quantity - d("0.2")))
    bench.restart()
    bench.tick(str(best.price), "0.5")
    assert bench.exchange.orders("bob", [first.order_id])[0].filled == d("0.3")
    bench.restart()
    bench.tick("998.5", "1.2")
    assert bench.exchange.orders("bob", [first.order_id])[0].filled == d(1)
    assert bench.exchange.orders("alice", [second.order_id])[0].filled == d("0.5")


def test_triggers_switches_expiries_and_statuses_survive(bench: Bench) -> None:
    stop = bench.add(SELL, "0.1", order_type=OrderType.TRAILING_STOP, trigger="10.0")
    bench.tick("1020.0", "0.1", side=BUY)
    bench.add(BUY, "0.1", "900.0", account="bob")
    bench.exchange.cancel_all_after("bob", 60)
    bench.exchange.set_status(XRP, PairStatus.POST_ONLY)
    bench.restart()
    assert bench.exchange.status(XRP) is PairStatus.POST_ONLY
    bench.tick("1010.0", "0.1")
    assert bench.exchange.orders("alice", [stop.order_id])[0].state is OrderState.CLOSED
    bench.server += 61
    bench.exchange.elapse()
    assert bench.exchange.open_orders("bob") == []


def test_what_was_taken_from_the_quotes_is_not_there_again_after_a_restart(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).asks[0]
    bench.add(BUY, str(best.quantity - d("0.1")))
    bench.restart()
    assert bench.exchange.book(BTC, 1).asks[0].quantity == d("0.1")


def test_what_was_taken_is_one_entry_however_many_orders_took_it(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).asks[0]
    for _ in range(20):
        bench.add(BUY, "0.01")
    [(market,)] = bench.store.rows("SELECT body FROM markets WHERE pair = ?", BTC.key)
    assert json.loads(market)["taken"] == {"buy": "0.20"}
    bench.restart()
    assert bench.exchange.book(BTC, 1).asks[0].quantity == best.quantity - d("0.2")


def test_ids_go_on_where_they_stopped(bench: Bench) -> None:
    orders = [bench.add(BUY, "0.1").order_id]
    last = bench.exchange.tape(BTC).last_id
    bench.restart()
    orders.append(bench.add(BUY, "0.1").order_id)
    assert len(set(orders)) == 2
    assert bench.exchange.tape(BTC).last_id == last + 1
    fills, _ = bench.exchange.fills("alice")
    assert len({fill.execution_id for fill in fills}) == 2


def test_ticks_that_were_applied_are_recognised_when_they_come_again(bench: Bench) -> None:
    at = bench.exchange.market_now()
    order = bench.add(BUY, "5", "999.5")
    ticks = [Tick(BTC, at, d("999.2"), d("0.5"), SELL, "market") for _ in range(3)]
    for tick in ticks[:2]:
        bench.exchange.apply(tick)
    bench.restart()
    resumes = bench.exchange.resume_from
    assert resumes is not None
    assert resumes < at
    bench.exchange.apply(Tick(BTC, at, d("1000.0"), d(1), SELL, "market"))  # the fixture's, at the same time
    for tick in ticks:
        bench.exchange.apply(tick)
    assert bench.exchange.orders("alice", [order.order_id])[0].filled == d("1.5")


def test_no_event_is_sent_before_it_is_in_the_store(bench: Bench) -> None:
    found: list[int] = []

    def look(event: object) -> None:
        with closing(sqlite3.connect(bench.path)) as other:
            found.append(other.execute("SELECT COUNT(*) FROM executions").fetchone()[0])

    bench.exchange.listen(look)
    bench.add(BUY, "0.1")
    assert set(found) == {1}


def test_a_change_that_the_store_does_not_take_has_not_happened(bench: Bench) -> None:
    for price in ("1003.0", "1000.2"):
        bench.tick(price)
    bench.add(BUY, "0.3")
    bench.add(BUY, "2", "999.5")
    before, told = visible(bench), len(bench.events)
    with closing(sqlite3.connect(bench.path)) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON executions BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        with pytest.raises(StoreUnreachable, match="disk full"):
            bench.add(BUY, "0.5")
        other.execute("DROP TRIGGER full")
    assert visible(bench) == before
    assert len(bench.events) == told
    assert bench.add(BUY, "0.5").state is OrderState.CLOSED


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.streaming.sandbox.exchange_setup import BUY, Bench
bench = Bench(Path(sys.argv[1]))
bench.open(USD="100000")
bench.tick("1000.0")
for number in range(20):
    bench.add(BUY, "0.1", "990.0")
    bench.add(BUY, "0.01")
    print(bench.balance("USD"), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_exchange_has_stored_what_it_returned(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with closing(Bench(path)) as bench:
        assert len(bench.exchange.open_orders("alice")) == 20
        assert bench.balance("USD") == Decimal(killed.stdout.split()[-1])
        assert bench.exchange.fills("alice")[1] == 20


def test_two_exchanges_never_write_one_store(bench: Bench) -> None:
    with pytest.raises(UnusableHome, match="another sandbox"):
        ExchangeStore(bench.path)


def test_a_file_that_is_no_store_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database " * 100)
    before = path.read_bytes()
    with pytest.raises(UnreadableFile, match=r"notes\.txt"):
        ExchangeStore(path)
    assert path.read_bytes() == before
    with pytest.raises(UnreadableFile, match="does not exist"):
        export(tmp_path / "nowhere.db")


def test_a_store_with_orders_on_a_pair_that_is_gone_says_so(bench: Bench) -> None:
    bench.add(BUY, "0.1", "990.0")
    bench.listings = {XRP: listing(XRP)}
    with pytest.raises(InvalidSettings, match="BTC/USD"):
        bench.restart()


def test_the_export_holds_exact_amounts_while_the_exchange_runs(bench: Bench) -> None:
    order = bench.add(BUY, "0.1")
    with pytest.raises(Refused):
        bench.add(BUY, "1000", "990.0")
    told = export(bench.path)
    [row] = told["orders"]
    assert (row["order_id"], row["state"], row["pair"]) == (order.order_id, "closed", "BTC-USD")
    [fill] = told["fills"]
    assert (Decimal(fill["price"]), Decimal(fill["fee"])) == (d("1001.0"), order.fee)
    assert fill["maker"] is False
    assert datetime.fromisoformat(fill["at"]) == bench.exchange.market_now()
    amounts = {(each["account"], each["asset"]): Decimal(each["amount"]) for each in told["balances"]}
    assert amounts["alice", "USD"] == bench.balance("USD")
    assert sum(Decimal(each["amount"]) for each in told["entries"] if each["asset"] == "BTC") == d("20.1")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [("UPDATE orders SET body = '{}'", "missing"), ("DROP TABLE orders", "no such table")],
)
def test_an_export_of_damaged_books_names_the_file(bench: Bench, damage: str, reason: str) -> None:
    bench.add(BUY, "0.1")
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(UnreadableFile, match=rf"{bench.path.name} cannot be read: .*{reason}"):
        export(bench.path)


@pytest.mark.parametrize("form", list(Form))
def test_the_export_is_written_as_one_file_per_table(bench: Bench, tmp_path: Path, form: Form) -> None:
    bench.add(BUY, "0.1")
    counts = write_export(bench.path, tmp_path / "out", form)
    assert counts["orders"] == counts["fills"] == 1
    lines = (tmp_path / "out" / f"fills.{form.value}").read_text().splitlines()
    if form is Form.JSON_LINES:
        row = json.loads(lines[0])
    else:
        row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (Decimal(row["quantity"]), row["price"]) == (d("0.1"), "1001.0")


def test_prints_leave_the_store_when_they_leave_the_tape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.sandbox.exchange.pair_market.TAPE_PRINTS", 40)
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        for _ in range(2 * TRIM_INTERVAL):
            bench.tick("1000.0", "0.01")
        before = bench.exchange.tape(BTC).newest(100)
        [(count,)] = bench.store.rows("SELECT COUNT(*) FROM prints")
        assert count == len(before) == 40
        bench.restart()
        assert bench.exchange.tape(BTC).newest(100) == before


def test_every_exchange_has_ids_of_its_own(tmp_path: Path) -> None:
    ids = [first_ids(tmp_path / name) for name in ("one.db", "two.db")]
    assert len({each for pair in ids for each in pair}) == 4


def test_ids_are_known_beforehand_when_the_salt_is(tmp_path: Path) -> None:
    one, two = (first_ids(tmp_path / name, b"known") for name in ("one.db", "two.db"))
    assert one == two


def first_ids(path: Path, salt: bytes | None = None) -> list[str]:
    """Order and execution id of the first fill."""
    if salt is not None:
        ExchangeStore(path, salt).close()
    with closing(Bench(path)) as bench:
        bench.open(USD="1000")
        bench.tick("1000.0")
        order = bench.add(BUY, "0.1").order_id
        return [order, bench.exchange.fills_of_order(order)[0].execution_id]
