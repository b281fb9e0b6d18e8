"""A day of decisions on a running sandbox, with a stop that the exchange fired, against its back-test."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.decision.execute import execute_decision
from orchestration.commands.parity import exit_code, facts
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.system import POSTGRES
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, INSTRUMENTS, STARTS, UNHURRIED
from trading.candles import complete
from trading.indicators import feature_table, lookback
from trading.market import Timeframe, month_of
from trading.orders import OrderKind
from trading.parity import Kind

HOUR = timedelta(hours=1)
DAY = STARTS.date()
OPENED = timedelta(seconds=5)  # after the hour: the new candle has traded, and the last one is complete
FEE = Decimal("0.0026")  # what [fees] says of that day
EDITS = {
    "MARKETLOOM__MARKET__SOURCE": "sandbox",
    "MARKETLOOM__MARKET__TIMEFRAME": "1h",
    "MARKETLOOM__VENUE__MODE": "sandbox",
    "MARKETLOOM__SANDBOX__TIER": "pro",
    "MARKETLOOM__SIGNALS__TREND_THRESHOLD": "0.05",
    "MARKETLOOM__SIGNALS__STOP_ATR": "0.6",
    "MARKETLOOM__CONSENSUS__MINIMUM_CONFIDENCE": "0.05",
    "MARKETLOOM__CONSENSUS__FEW_VOTES_CONFIDENCE": "0.05",
    "MARKETLOOM__BACKTEST__SHORTS": "inventory",
}


class TradedDay:
    """Decides on every hourly candle of the sandbox's day, some seconds after its close."""

    def __init__(self, exchange: Sandbox, home: Path, dsn: str) -> None:
        settings = load_settings()
        alone = settings.market.model_copy(update={"pairs": (BTC,)})
        self.exchange, self.services = (
            exchange,
            Services(settings.model_copy(update={"market": alone}), home, dsn),
        )
        self.services.instrument_file.write(list(self.services.known_instruments.values()))
        self.candles = history(float(exchange.last(BTC)))

    def run(self, missed: tuple[int, ...] = ()) -> None:
        self.exchange.advance(OPENED.total_seconds())
        for hour in range(24):
            self.store()
            if hour not in missed:
                self.decide()
            self.exchange.advance(HOUR.total_seconds())
        self.store()

    def store(self) -> None:
        """Store what has closed, as `ohlcv` and `features` do."""
        first = self.candles["close_time"][-1]
        newer = self.services.candle_source.candles(BTC, first, first + HOUR) if first >= STARTS else None
        until = self.services.clock().at
        if newer is not None:
            self.candles = pl.concat([self.candles, newer.filter(pl.col("close_time") <= until)])
        features = feature_table(self.candles, Timeframe.H1)
        for store, table in (
            (self.services.candle_store, self.candles),
            (self.services.feature_store, features),
        ):
            for _, rows in table.group_by(pl.col("open_time").dt.truncate("1mo"), maintain_order=True):
                store.write(BTC, month_of(rows["open_time"][0]), rows)

    def decide(self) -> None:
        services = self.services
        execute_decision(
            BTC,
            services.clock(),
            services.input_reader,
            services.rules,
            journal=services.journal,
            executor=services.order_executor,
        )


def history(price: float) -> pl.DataFrame:
    """Hourly candles that lead to the sandbox's first price, enough for every feature."""
    rows, random = lookback(Timeframe.H1) + 30, np.random.default_rng(1)
    close = price * np.exp(np.cumsum(random.normal(0, 0.003, rows))[::-1])
    close[-1] = price
    opened = np.concatenate([[close[0]], close[:-1]])
    frame = pl.DataFrame(
        {
            "open_time": [STARTS - (rows - row) * HOUR for row in range(rows)], "open": opened,
            "high": np.maximum(opened, close) * 1.001, "low": np.minimum(opened, close) * 0.999, "close": close,
            "volume": random.uniform(5, 15, rows),
        }
    ).with_columns(pl.col("open_time").cast(pl.Datetime("us", "UTC")))  # fmt: skip
    return complete(frame, Timeframe.H1, "sandbox")


@pytest.fixture
def day(tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradedDay]:
    home = tmp_path / "home"
    listed = {pair: replace(each, taker_fee=FEE) for pair, each in INSTRUMENTS.items()}
    with sandbox(home / "sandbox", instruments=listed, tier=UNHURRIED.name) as exchange:
        changes = {
            "MARKETLOOM_HOME": str(home),
            "MARKETLOOM__SANDBOX__PORT": exchange.url.rpartition(":")[2],
            POSTGRES: dsn,
        }
        for name, value in {**EDITS, **changes}.items():
            monkeypatch.setenv(name, value)
        yield TradedDay(exchange, home, dsn)


def test_an_undisturbed_day_on_the_sandbox_has_nothing_unexplained(day: TradedDay) -> None:
    day.run()
    services = day.services
    report = services.parity_auditor.audit(DAY, services.clock().at)
    journal, account = services.journal, services.account.name
    orders = [journal.working_order(fill.intent_id) for fill in journal.fills(account)]
    kinds = [order.intent.kind for order in orders if order]
    assert kinds.count(OrderKind.ENTRY) >= 3, report.headline
    assert OrderKind.STOP in kinds, report.headline
    assert report.unexplained == 0, [each for each in report.causes if each[1].kind is Kind.UNEXPLAINED]
    parts = {kind for kind, amount in report.parts.items() if abs(amount) > Decimal("1e-6")}
    assert not parts & {Kind.MISSED, Kind.RESTATED, Kind.SIGNAL, Kind.LLM, Kind.FEE}, report.causes
    assert exit_code(report) == 0
    assert facts(report)["live"] == report.live


def test_hours_in_which_nobody_decided_on_the_sandbox_are_missed(day: TradedDay) -> None:
    day.run(missed=tuple(range(4, 14)))
    report = day.services.parity_auditor.audit(DAY, day.services.clock().at)
    assert abs(report.parts[Kind.MISSED]) > Decimal("1e-6"), report.headline
    assert report.unexplained == 0, report.causes
