"""The guard of a running stream goes over to the account with real money when a person confirms it, and sells there."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.services import Services
from tests.end_to_end.live_home import LiveHome, live_home
from tests.streaming.guard.test_guarded_stream import GuardedStream
from tests.streaming.sandbox.simulated_exchange import BTC


@pytest.fixture
def home(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    # What is decided here rests on the stored candles: those that the stream looks up meanwhile are others.
    monkeypatch.setattr(Services, "known_candles", property(lambda services: services.candle_store))
    monkeypatch.setattr(Services, "feed_gaps", lambda *asked: [])
    with live_home(tmp_path, dsn, monkeypatch) as opened:
        yield opened


@pytest.fixture
def stream(home: LiveHome) -> Iterator[GuardedStream]:
    own = {"MARKETLOOM__MARKET__SOURCE": "kraken", "MARKETLOOM__MARKET__TIMEFRAME": "1h"}
    home.store_instruments()
    running = GuardedStream(home.exchange, home.home, home.dsn, own)
    running.start()
    try:
        yield running
    finally:
        running.kill()


def test_the_guard_follows_the_confirmation_and_sells_what_touches_its_target(
    home: LiveHome, stream: GuardedStream
) -> None:
    assert stream.status()["account"] == "paper-main-kraken"
    home.promote()
    home.confirm()
    stream.until(lambda: stream.status()["account"] == home.key_account)
    done = home.decide()
    assert done.order is not None, done.receipt["outcome"]
    stream.until(lambda: stream.watches(BTC))
    position = home.services.journal.position(home.key_account, BTC)
    assert position is not None
    assert position.take_profit is not None
    home.trade(position.take_profit * Decimal("1.002"))
    stream.until(lambda: home.services.journal.position(home.key_account, BTC) is None)
    assert stream.guard["switch"]["state"] == "off"
    assert home.reconcile()["agrees"]
