"""Pages of the sandbox's truth: all of it, in order, and the same as everybody else sees of this exchange."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from streaming.sandbox.market.tape import TradeTape
from streaming.sandbox.model import NewOrder, OrderType
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, INSTRUMENTS, STARTS, XRP
from trading.orders import Side


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        running.advance(3600)
        yield running


def pages(exchange: Sandbox, table: str, cursor: str, **query: Any) -> list[list[dict[str, Any]]]:
    """Follow `next` to the end; the rows of each page."""
    found = []
    while True:
        answer = exchange.admin(f"export/{table}?{httpx.QueryParams(query)}", method="GET")
        found.append(answer["rows"])
        if answer["next"] is None:
            return found
        query[cursor] = answer["next"]


def rows(exchange: Sandbox, table: str, cursor: str, **query: Any) -> list[dict[str, Any]]:
    return [row for page in pages(exchange, table, cursor, **query) for row in page]


def test_the_pages_of_trades_are_the_whole_tape(exchange: Sandbox) -> None:
    small = pages(exchange, "trades", "after", pair="BTC/USDT", limit=700)
    assert {len(page) for page in small[:-1]} == {700}
    trades = [row for page in small for row in page]
    tape = exchange.running.exchange.tape(BTC)
    assert [row["trade_id"] for row in trades] == list(range(1, tape.last_id + 1))
    assert trades == rows(exchange, "trades", "after", pair="BTC/USDT", limit=10_000)
    rest = httpx.get(f"{exchange.url}/0/public/Trades?pair=XBTUSDT&count=1000").json()["result"]["XBTUSDT"]
    assert [Decimal(row["price"]) for row in trades[-1000:]] == [Decimal(row[0]) for row in rest]


def test_a_page_of_trades_goes_on_where_one_stopped(exchange: Sandbox) -> None:
    newest = exchange.running.exchange.tape(BTC).last_id
    [row] = rows(exchange, "trades", "after", pair="BTC/USDT", after=newest - 1)
    assert row["trade_id"] == newest
    assert rows(exchange, "trades", "after", pair="BTC/USDT", after=newest) == []


def test_trades_since_a_moment_are_those_that_are_not_older(exchange: Sandbox) -> None:
    whole = rows(exchange, "trades", "after", pair="BTC/USDT", limit=10_000)
    for since in (whole[100]["at"], "2024-03-01T12:34:56.789+00:00", "1970-01-01", "2100-01-01T00:00:00Z"):
        found = rows(exchange, "trades", "after", pair="BTC/USDT", since=since, limit=3000)
        later = datetime.fromisoformat(since).replace(tzinfo=UTC)
        assert found == [row for row in whole if datetime.fromisoformat(row["at"]) >= later]


def test_candles_are_those_of_the_exchanges_own_rest_answer(exchange: Sandbox) -> None:
    since, until = STARTS - timedelta(hours=10), STARTS + timedelta(hours=1)
    for minutes in (1, 15, 60):
        found = rows(
            exchange, "candles", "since", pair="XRP/USDT", minutes=minutes, since=since.isoformat(), limit=100
        )
        query = f"pair=XRPUSDT&interval={minutes}&since={int(since.timestamp()) - 1}"
        rest = httpx.get(f"{exchange.url}/0/public/OHLC?{query}").json()["result"]["XRPUSDT"]
        closed = [row for row in rest if row[0] + minutes * 60 <= until.timestamp()]
        assert [
            (
                datetime.fromisoformat(row["open_time"]).timestamp(),
                *(Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")),
                row["trades"],
            )
            for row in found
        ] == [(row[0], *map(Decimal, (*row[1:5], row[6])), row[7]) for row in closed]
        assert len(found) == 11 * 60 // minutes


def test_the_whole_history_of_the_tape_has_candles_also_beyond_what_the_exchange_answers(
    exchange: Sandbox,
) -> None:
    found = rows(exchange, "candles", "since", pair="BTC/USDT", minutes=1)
    trades = rows(exchange, "trades", "after", pair="BTC/USDT", limit=10_000)
    assert len(found) > 720
    ends = (STARTS + timedelta(hours=1)).isoformat()  # what traded at this very moment is of the next candle
    inside = [row for row in trades if found[0]["open_time"] <= row["at"] < ends]
    assert sum(row["trades"] for row in found) == len(inside)
    assert {
        (datetime.fromisoformat(after["open_time"]) - datetime.fromisoformat(before["open_time"]))
        for before, after in pairwise(found)
    } == {timedelta(minutes=1)}


def test_a_candle_without_a_trade_stands_at_the_price_before() -> None:
    tape = TradeTape(INSTRUMENTS[BTC])
    minute = timedelta(minutes=1)
    assert tape.bar_between(STARTS, STARTS + minute) is None
    tape.add(STARTS + 5 * minute, Decimal("100.1"), Decimal(2), Side.BUY, "market")
    assert tape.bar_between(STARTS, STARTS + minute) is None
    bar = tape.bar_between(STARTS + 7 * minute, STARTS + 8 * minute)
    assert bar is not None
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) == (
        *[Decimal("100.1")] * 4, Decimal(0), 0,
    )  # fmt: skip


def test_a_candle_whose_prints_are_gone_is_not_told() -> None:
    tape = TradeTape(INSTRUMENTS[BTC], capacity=2)
    minute = timedelta(minutes=1)
    for number in range(4):
        tape.add(STARTS + number * minute, Decimal(100 + number), Decimal(1), Side.BUY, "market")
    assert tape.oldest_id == 3
    assert [each.trade_id for each in tape.after_id(0, 10)] == [3, 4]
    opens = [STARTS + number * minute for number in range(4)]
    assert [bar and int(bar.open) for bar in (tape.bar_between(each, each + minute) for each in opens)] == [
        None, None, None, 103,
    ]  # fmt: skip


def test_the_pages_of_fills_are_those_of_the_account(exchange: Sandbox) -> None:
    other = exchange.open_account("other", {"USDT": Decimal(100_000)})
    for account in ("demo", "other"):
        for _ in range(5):
            order = NewOrder(XRP, Side.BUY, OrderType.MARKET, Decimal(10))
            exchange.portal.call(exchange.running.exchange.add, account, order)
    whole = other.export()["fills"]
    for account in ("demo", "other"):
        own = [row for row in whole if row["account"] == account]
        assert len(own) >= 5
        assert rows(exchange, "fills", "after", account=account, limit=2) == own


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("books", "is no table"),
        ("trades", "is not a pair"),
        ("trades?pair=ETH/USDT", "is not listed"),
        ("trades?pair=BTC/USDT&limit=0", "allowed is 1 to 10000"),
        ("trades?pair=BTC/USDT&limit=10001", "allowed is 1 to 10000"),
        ("trades?pair=BTC/USDT&after=-1", "after is"),
        ("trades?pair=BTC/USDT&after=" + "9" * 5000, "after is"),
        ("trades?pair=BTC/USDT&until=3", "'until' is not known here"),
        ("candles?pair=BTC/USDT&minutes=2", "allowed are 1, 5"),
        ("candles?pair=BTC/USDT&since=yesterday", "write a UTC time"),
        ("fills?account=nobody", "there is no account"),
    ],
)
def test_a_page_that_cannot_be_is_refused_with_what_to_do(exchange: Sandbox, asked: str, words: str) -> None:
    response = httpx.get(f"{exchange.url}/admin/export/{asked}")
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_the_market_stops_and_goes_on_at_the_speed_that_is_asked_for(tmp_path: Path) -> None:
    with sandbox(tmp_path, speed=600.0) as running:
        stopped = running.admin("speed", {"speed": 0})
        newest = running.running.exchange.tape(BTC).last_id
        status = running.admin("status", method="GET")
        assert (status["market_time"], status["speed"]) == (stopped["market_time"], 0.0)
        running.advance(60)  # by hand, as where it never ran
        later = running.admin("status", method="GET")["market_time"]
        assert datetime.fromisoformat(later) - datetime.fromisoformat(stopped["market_time"]) == timedelta(
            seconds=60
        )
        assert running.admin("speed", {"speed": 6000})["speed"] == 6000
        while running.running.exchange.tape(BTC).last_id < newest + 50:
            time.sleep(0.01)


@pytest.mark.parametrize("speed", [-1, "fast", None, True, 1e9])
def test_an_impossible_speed_is_refused(exchange: Sandbox, speed: object) -> None:
    response = httpx.post(
        f"{exchange.url}/admin/speed", json={"speed": speed}, headers={"X-Sandbox-Admin": "1"}
    )
    assert (response.status_code, "speed is" in response.json()["error"]) == (400, True)
