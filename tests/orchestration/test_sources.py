"""What each [market] source builds, without a connection, and what is said when it cannot be reached."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from orchestration.sources import candle_source, machine_time, sandbox_time
from trading.errors import InvalidSettings, InvalidValue, NotAuthorised, VenueUnreachable
from trading.history.finer_quotes import FinerQuotes
from trading.market import Pair

BTC = Pair("BTC", "USDT")


def settings(tmp_path: Path, source: str, **variables: str) -> Settings:
    chosen = {"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__MARKET__SOURCE": source}
    return load_settings({**chosen, **variables})


@pytest.mark.parametrize(
    ("source", "origin", "pool", "live"),
    [
        ("simulator", "simulated", None, False),
        ("files", "binance", None, False),
        ("sandbox", "sandbox", "sandbox", False),
        ("kraken", "kraken", "kraken", True),
        ("cryptocompare", "cryptocompare-cadli", "cryptocompare", True),
        ("cryptocompare:kraken", "cryptocompare-kraken", "cryptocompare-kraken", True),
        ("ccxt:bybit", "bybit", "ccxt-bybit", True),
    ],
)
def test_every_source_has_its_origin_its_pool_and_its_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, origin: str, pool: str | None, live: bool
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection while building"))
    chosen = settings(tmp_path, source)
    assert candle_source(chosen, tmp_path).origin == chosen.market.origin == origin
    assert (chosen.market.pool, chosen.market.is_live) == (pool, live)


@pytest.mark.parametrize(
    ("timeframe", "until", "by_minutes"),
    [("1h", "", True), ("1m", "", False), ("1h", "2024-01-01", False)],
)
def test_a_paper_order_on_long_candles_waits_a_minute_where_they_go_on_closing(
    tmp_path: Path, timeframe: str, until: str, by_minutes: bool
) -> None:
    chosen = settings(
        tmp_path,
        "ccxt:binance",
        MARKETLOOM__MARKET__TIMEFRAME=timeframe,
        MARKETLOOM__MARKET__UNTIL=f'"{until}"',
    )
    assert isinstance(candle_source(chosen, tmp_path), FinerQuotes) is by_minutes


@pytest.mark.parametrize("source", ["krakken", "ccxt:", "ccxt", "cryptocompare:", "kraken:futures", ""])
def test_a_source_that_does_not_exist_is_refused_with_its_name(tmp_path: Path, source: str) -> None:
    with pytest.raises(InvalidSettings, match=r"MARKET__SOURCE: \[market\] source"):
        settings(tmp_path, f'"{source}"')


def test_a_venue_that_ccxt_does_not_know_is_refused_with_close_names(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="binance"):
        candle_source(settings(tmp_path, "ccxt:binanse"), tmp_path).span(BTC)


def test_cryptocompare_without_a_key_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRYPTOCOMPARE_API_KEY", raising=False)
    with pytest.raises(NotAuthorised, match="CRYPTOCOMPARE_API_KEY"):
        candle_source(settings(tmp_path, "cryptocompare"), tmp_path).span(BTC)


def test_a_sandbox_that_does_not_run_says_how_to_start_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chosen = settings(tmp_path, "sandbox", MARKETLOOM__SANDBOX__PORT=str(port))
    with pytest.raises(VenueUnreachable, match="marketloom sandbox"):
        sandbox_time(chosen.sandbox.url, None)()


def test_until_stops_the_clock_of_a_live_source() -> None:
    until = datetime(2024, 1, 1, tzinfo=UTC)
    assert machine_time(until)() == until
    assert datetime.now(UTC) - machine_time(None)() < timedelta(minutes=1)
