"""A home in mode live whose Kraken is a sandbox on this machine: its addresses, and a key in the environment."""

import json
import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from ml.decision.execute import ExecutedDecision, execute_decision
from ml.learning.bundle import write_bundle
from orchestration.cli import app
from orchestration.commands import doctor_live
from orchestration.commands.keeper import Account
from orchestration.commands.live import confirm_live
from orchestration.commands.reconcile import Choice, reconcile_account
from orchestration.services import Services
from orchestration.system import POSTGRES
from tests.contracts.venues import MANY
from tests.ml.decision.decision_world import write_by_month
from tests.ml.decision.replay_world import random_policy
from tests.ml.decision.trading_day import RISING, candles
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, UNHURRIED, opening
from trading.bus_messages import BOOK
from trading.venues.kraken import rate_limits
from trading.venues.kraken.authentication import KEY, SECRET

HOUR = timedelta(hours=1)
HIDDEN = 3  # of the newest candles, which close one by one
CAPITAL = '{total = 2000, USDT = 1000, rest = "BTC"}'
CANDLES = candles(RISING, rows=1200)


@dataclass
class LiveHome:
    exchange: Sandbox
    home: Path
    dsn: str
    patch: pytest.MonkeyPatch
    price: float  # at the exchange, when it opened
    hidden: int = HIDDEN

    @property
    def services(self) -> Services:
        """As a process builds them that starts now."""
        return Services.current()

    @property
    def account(self) -> str:
        return self.services.account.name

    @property
    def key_account(self) -> str:
        return self.services.live_gate.key_account()

    def set(self, **settings: str) -> None:
        """Change settings, such as VENUE__MODE; an empty value is one, too."""
        for name, value in settings.items():
            self.patch.setenv(f"MARKETLOOM__{name}", value)

    def use_key(self, exchange: Sandbox) -> None:
        self.patch.setenv(KEY, exchange.key)
        self.patch.setenv(SECRET, exchange.secret)

    # --- the market

    @property
    def candles(self) -> pl.DataFrame:
        """Candles up to the last full hour, less those that are still to close; at the exchange's own price."""
        shift = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - CANDLES["close_time"][-1]
        times = [name for name, kind in CANDLES.schema.items() if kind == pl.Datetime("us", "UTC")]
        factor = self.price / CANDLES["close"][-1 - HIDDEN]
        moved = CANDLES.with_columns(
            pl.col(times) + shift,
            pl.col("open", "high", "low", "close") * factor,
            origin=pl.lit("kraken"),
        )
        return moved.head(moved.height - self.hidden)

    def close_candle(self) -> None:
        """Store the next candle."""
        self.hidden -= 1
        self.store()

    def store(self) -> None:
        """Store the candles."""
        write_by_month(self.services.candle_store, BTC, self.candles)

    def show_book(self) -> None:
        """The stream sees the book now."""
        services, level = self.services, [self.price, 1.0]
        at = datetime.now(UTC).isoformat()
        sample = {"origin": "kraken", "pair": str(BTC), "bids": [level], "asks": [level], "at": at}
        services.bus.publish(BOOK, BTC.key, sample)

    def store_instruments(self) -> None:
        services = self.services
        services.instrument_file.write(list(services.known_instruments.values()))

    def trade(self, price: Decimal) -> None:
        """The market reaches the present time, and this price."""
        behind = datetime.now(UTC) - self.exchange.running.exchange.market_now()
        self.exchange.advance(max(behind.total_seconds(), 0.0))
        self.exchange.trade(BTC, price.quantize(Decimal("0.1")))

    # --- what real money needs

    def promote(self) -> str:
        """A network that always wants to be long becomes the champion."""
        manifest, layers = random_policy(1)
        weight, bias = layers[-1]
        layers[-1] = (weight * 0, (bias * 0) + [0, 3])
        tested = (datetime.now(UTC).date().replace(day=1) - timedelta(days=1)).replace(day=1)
        folder = self.services.policies.folder(BTC, tested)
        policy_id = write_bundle(
            folder,
            replace(manifest, test_month=tested),
            [(each.astype("f4"), b.astype("f4")) for each, b in layers],
        ).name
        self.services.promotions.record(BTC, policy_id, True, {}, at=datetime.now(UTC) - HOUR)
        return policy_id

    def confirm(self, words: str = "") -> str:
        """A person types at a terminal: the account's name, or other words. Returns what was shown."""
        ours, theirs = pty.openpty()
        shown = Console(file=StringIO(), width=200)
        with os.fdopen(theirs, "r", encoding="utf-8") as terminal, self.patch.context() as patch:
            patch.setattr(sys, "stdin", terminal)
            os.write(ours, f"{words or self.key_account}\n".encode())
            try:
                confirm_live(shown, by="ada")
            finally:
                os.close(ours)
        assert isinstance(shown.file, StringIO)
        return shown.file.getvalue()

    def execute(self, statement: str) -> None:
        """Change what PostgreSQL holds."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    # --- what trades

    def decide(self) -> ExecutedDecision:
        """Decide on the newest candle, as a run does, beside a stream that has just seen the book."""
        services = self.services
        self.store_instruments()
        self.show_book()
        return execute_decision(
            BTC, services.input_reader.read_clock(), services.input_reader, services.rules,
            journal=services.journal, executor=services.order_executor,
        )  # fmt: skip

    def keep(self) -> None:
        """One pass of the account's keeper."""
        Account(lambda: self.services).carry_out()

    def reconcile(self) -> dict[str, Any]:
        return reconcile_account(Choice.LOOK, "", "")

    def command(self, *words: str) -> Result:
        return CliRunner().invoke(app, words)

    def facts(self, *words: str) -> Any:
        result = self.command(*words, "--json")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return json.loads(result.stdout)


def permit_of(done: ExecutedDecision) -> dict[str, Any]:
    """What the rule has answered, as the receipt keeps it."""
    verdicts: list[dict[str, Any]] = done.receipt["risk"]["verdicts"]
    return next(each for each in verdicts if each["rule"] == "live permit")


@contextmanager
def live_home(folder: Path, dsn: str, patch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    begins = now.replace(hour=0, minute=0) - timedelta(days=1)
    with sandbox(
        folder / "exchange", opens=opening(begins=begins, starts=now), tier=UNHURRIED.name
    ) as exchange:
        for name, value in {
            "MARKETLOOM_HOME": str(folder / "home"),
            "MARKETLOOM__MARKET__SOURCE": "kraken",
            "MARKETLOOM__MARKET__PAIRS": '["BTC/USDT"]',
            "MARKETLOOM__MARKET__TIMEFRAME": "1h",
            "MARKETLOOM__VENUE__MODE": "live",
            "MARKETLOOM__VENUE__CAPITAL": CAPITAL,
            "MARKETLOOM__REBALANCING__TARGETS": "{USDT = 0.5, BTC = 0.5}",
            "MARKETLOOM__CONSENSUS__FEW_VOTES_CONFIDENCE": "0.6",  # rules alone would trade, if they might
            "MARKETLOOM__RISK__CANDLE_AGE": "10.0",
            "MARKETLOOM__RISK__FEATURE_AGE": "10.0",
            "MARKETLOOM__KRAKEN__REST_URL": exchange.url,
            "MARKETLOOM__KRAKEN__WEBSOCKET_URL": exchange.websocket,
            "MARKETLOOM__KRAKEN__PRIVATE_WEBSOCKET_URL": exchange.websocket,
            "MARKETLOOM__KRAKEN__TIER": "pro",
            POSTGRES: dsn,
        }.items():
            patch.setenv(name, value)
        patch.setattr(rate_limits, "PUBLIC_LIMIT", MANY)  # nobody is asked but this machine
        patch.setattr(doctor_live, "SETTLE_SECONDS", 0.0)  # and nothing is being booked
        (folder / "home").mkdir()
        home = LiveHome(exchange, folder / "home", dsn, patch, float(exchange.last(BTC)))
        home.use_key(exchange)
        home.store()
        yield home
