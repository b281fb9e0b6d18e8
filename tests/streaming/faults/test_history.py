"""Trades that only the venue's history has: it refuses for a while, or has forgotten them."""

from typing import Any

from tests.streaming.faults.faulted_stream import PAIRS, FaultedStream
from tests.streaming.sandbox.simulated_exchange import BTC, CROSS, STARTS, XRP

KEPT = 60
AWAY = 1800.0  # market seconds: more trades than the venue repeats on a new connection


def test_a_gap_waits_for_a_history_that_refuses(stream: FaultedStream) -> None:
    stream.play(120)
    stream.wait_until_level()
    stream.kill()
    stream.play(AWAY)
    stream.exchange.arm("rate_limit", method="Trades")
    stream.start()
    stream.play(60)
    stream.until(lambda: failed_attempts(stream))
    assert all(stream.open_gaps(pair) for pair in PAIRS)
    assert metric(stream, "gaps_open") >= len(PAIRS)
    stream.exchange.disarm()
    stream.settle()


def test_what_the_history_has_forgotten_stays_open_and_is_said(stream: FaultedStream) -> None:
    stream.play(120)
    stream.wait_until_level()
    stream.kill()
    stream.play(AWAY)
    forget(stream)
    stream.start()
    stream.play(60)
    stream.until(lambda: failed_attempts(stream))
    [(since, error)] = stream.rows(
        "SELECT since, last_error FROM market_gaps WHERE pair = 'BTC/USDT' AND state = 'open' AND attempts > 0"
    )
    assert "gives out no trades of BTC/USDT before" in error
    stream.settle(pairs=(XRP, CROSS))
    assert stream.open_gaps(BTC)
    assert since >= STARTS
    published = {
        each["open_time"] for each in stream.published("ohlcv-raw", BTC) if each["timeframe"] == "1m"
    }
    assert since.replace(second=0, microsecond=0).isoformat().replace("+00:00", "Z") not in published


def forget(stream: FaultedStream) -> None:
    """Let the exchange's history of BTC/USDT begin with its newest trades; a connection repeats fewer of them."""
    tape = stream.exchange.running.exchange.tape(BTC)
    everything, kept = tape.since, tape.newest(KEPT)[0]
    before = int(kept.at.timestamp() * 1_000_000) * 1000 - 1

    def since(cursor: int, count: int = 1000) -> Any:
        return everything(max(cursor, before), count)

    tape.since = since  # type: ignore[method-assign]


def failed_attempts(stream: FaultedStream) -> bool:
    return bool(stream.rows("SELECT 1 FROM market_gaps WHERE attempts > 0 AND state = 'open'"))


def metric(stream: FaultedStream, name: str) -> float:
    lines = stream.metrics().splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"marketloom_stream_{name}")
    )
