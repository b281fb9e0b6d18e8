"""`marketloom stream` as a process beside a sandbox: complete after a kill, a stop, and a database that was away."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.services import needs
from tests.streaming.recorder.running_stream import COMMAND, RunningStream, running_stream
from tests.streaming.sandbox.simulated_exchange import BTC, CROSS, XRP
from trading.market import Pair
from trading.stores.postgres import stream as stream_store

PAIRS = (BTC, XRP, CROSS)


@pytest.fixture
def streaming(tmp_path: Path, dsn: str) -> Iterator[RunningStream]:
    with running_stream(tmp_path, dsn) as running:
        yield running


def newest(running: RunningStream, pair: Pair) -> int:
    """Id of the newest trade of the sandbox's own tape."""
    return int(running.exchange.running.exchange.tape(pair).last_id)


def follow(running: RunningStream) -> None:
    """Wait until the newest trade of every pair is durable; what a repair brings comes after newer ones."""
    running.until(lambda: all(newest(running, pair) in running.trade_ids(pair) for pair in PAIRS))


def is_complete(running: RunningStream, pair: Pair) -> bool:
    """Whether no trade is missing from the first that was published to the sandbox's newest."""
    ids = sorted(running.trade_ids(pair))
    return ids == list(range(ids[0], newest(running, pair) + 1))


def closed_minutes(running: RunningStream, pair: Pair) -> list[tuple[str, int]]:
    candles = [each for each in running.published("ohlcv-raw", pair) if each["timeframe"] == "1m"]
    return [(each["open_time"], each["trades"]) for each in candles]


def check_once(running: RunningStream) -> None:
    """No trade that the stream published came twice, and what it has is what the sandbox's tape has."""
    for pair in PAIRS:
        ids = running.trade_ids(pair)
        assert len(ids) == len(set(ids)), f"{pair}: published twice"
        tape = running.exchange.running.exchange.tape(pair)
        prints = {each.trade_id: each for each in tape.newest(tape.last_id)}  # all of them
        for message in running.published("trades", pair):
            true = prints[message["trade_id"]]
            assert (message["price"], message["quantity"]) == (float(true.price), float(true.quantity))


def test_every_trade_and_closed_candle_is_durable(streaming: RunningStream) -> None:
    for _ in range(20):
        streaming.exchange.advance(15)
    follow(streaming)
    check_once(streaming)
    streaming.until(lambda: all(is_complete(streaming, pair) for pair in PAIRS))
    streaming.until(lambda: all(len(closed_minutes(streaming, pair)) >= 4 for pair in PAIRS))
    for pair in PAIRS:
        opens = [at for at, _ in closed_minutes(streaming, pair)]
        assert len(opens) == len(set(opens))
    assert streaming.stop() == 0


def test_after_kill_9_it_goes_on_where_it_was_and_what_it_missed_is_repaired(
    streaming: RunningStream,
) -> None:
    for _ in range(8):
        streaming.exchange.advance(15)
    follow(streaming)
    streaming.kill()
    for _ in range(8):
        streaming.exchange.advance(15)
    streaming.start()
    for _ in range(8):
        streaming.exchange.advance(15)
    streaming.until(lambda: all(is_complete(streaming, pair) for pair in PAIRS))
    check_once(streaming)
    assert any(each["backfilled"] for each in streaming.published("trades"))
    assert streaming.rows("SELECT epoch FROM stream_leases") == [(2,)]


def test_a_second_stream_is_refused_with_the_name_of_the_first(streaming: RunningStream) -> None:
    assert streaming.process is not None
    second = subprocess.run(
        COMMAND, cwd=Path.cwd(), env=streaming.environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert second.returncode == 3
    assert "the stream of sandbox runs already: account paper-main-sandbox, host" in second.stderr
    assert f"process {streaming.process.pid}, since" in second.stderr
    streaming.exchange.advance(30)
    follow(streaming)
    assert streaming.stop() == 0


def test_what_was_received_before_sigterm_is_durable(streaming: RunningStream) -> None:
    streaming.exchange.advance(60)
    follow(streaming)
    assert streaming.stop() == 0
    reasons = {row[3] for row in streaming.open_gaps(BTC)}
    assert "the stream was not running" in reasons  # from the stop on, until the next start proves it
    lease = stream_store.read_lease(streaming.dsn, "sandbox")
    assert lease is not None
    assert not lease.running


def test_sessions_that_postgresql_ended_are_opened_again_and_nothing_is_lost(
    streaming: RunningStream,
) -> None:
    streaming.exchange.advance(30)
    follow(streaming)
    with psycopg.connect(streaming.dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    for _ in range(8):
        streaming.exchange.advance(15)
    follow(streaming)
    check_once(streaming)
    streaming.until(lambda: all(is_complete(streaming, pair) for pair in PAIRS))
    assert streaming.stop() == 0


def test_a_stream_that_another_took_over_from_ends_with_its_own_code(streaming: RunningStream) -> None:
    with psycopg.connect(streaming.dsn, autocommit=True) as connection:
        connection.execute("UPDATE stream_leases SET epoch = epoch + 1, holder = 'another'")
    assert streaming.process is not None
    streaming.exchange.advance(60)
    assert streaming.process.wait(60) == 5
    assert "taken over" in streaming.log_text()


def test_it_says_how_it_is_doing(streaming: RunningStream) -> None:
    streaming.exchange.advance(60)
    follow(streaming)
    assert streaming.health().status_code == 200
    status = streaming.status()
    assert (status["origin"], status["account"]) == ("sandbox", "paper-main-sandbox")
    pair = status["pairs"]["BTC/USDT"]
    assert (pair["book"], pair["trades"], pair["listed"]) == ("verified", "live", "online")
    assert pair["spread"] > 0
    assert set(pair["age_seconds"]) >= {"trade", "book", "ticker"}
    streaming.until(lambda: streaming.status()["consumers"]["operational"]["lag"])
    text = streaming.metrics()
    for figure in (
        'messages_total{channel="trade"}',
        'staleness_seconds{channel="trade",pair="BTC/USDT"}',
        "commit_seconds_bucket",
        'consumer_lag_records{group="operational",topic="ohlcv-raw"}',
    ):
        assert f"marketloom_stream_{figure}" in text


@pytest.mark.service
def test_promtool_has_nothing_to_say_about_the_metrics(streaming: RunningStream) -> None:
    promtool = needs("promtool")
    streaming.exchange.advance(60)
    follow(streaming)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=streaming.metrics(), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_wrong_settings_end_with_a_code_of_their_own(tmp_path: Path, dsn: str) -> None:
    with running_stream(
        tmp_path, dsn, start=False, settings={"MARKETLOOM__MARKET__SOURCE": "ccxt:binance"}
    ) as running:
        running.start(wait=False)
        assert running.process is not None
        assert running.process.wait(60) == 2
        assert "does not stream" in running.log_text()
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


def test_without_a_sandbox_it_says_what_to_start(tmp_path: Path, dsn: str) -> None:
    with running_stream(tmp_path, dsn, start=False, settings={"MARKETLOOM__SANDBOX__PORT": "1"}) as running:
        running.start(wait=False)
        assert running.process is not None
        assert running.process.wait(60) == 75
        assert "start `marketloom sandbox`" in running.log_text()
