"""Days that an account has traded on paper, decision after decision, and the auditor over them."""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from ml.agents.vote_weights import Run, WeightVersions
from ml.backtests import Backtester
from ml.decision.execute import execute_decision
from ml.decision_history import DecisionHistory
from ml.parity.auditor import ParityAuditor
from ml.strategies import StrategyLibrary
from tests.doubles.stores import MemoryTable, MemoryWeights
from tests.ml.decision.decision_world import COSTS, DecisionWorld, write_by_month
from tests.ml.decision.trading_day import PAIR, RULES, WINDOW
from trading.backtest import AccountRules
from trading.indicators import feature_table
from trading.market import Pair, Timeframe, midnight
from trading.parity import Kind, ParityReport
from trading.portfolio.exact import exactly
from trading.reports import Resampling
from trading.simulation.market import SimulatedMarket

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS = 4
FIRST = (START + timedelta(hours=WINDOW + 24)).date()
# The account opens in the evening before the day that is audited; undisturbed it sells after the candle of ENTRY.
SINCE = midnight(FIRST + timedelta(days=1)) - 4 * HOUR
ENTRY = midnight(FIRST + timedelta(days=1)) + 8 * HOUR


def simulated(seed: int = 8, days: int = DAYS) -> pl.DataFrame:
    """Hourly candles until some days after the features are warm, from midnight to midnight."""
    end = datetime.combine(FIRST + timedelta(days=days), datetime.min.time(), UTC) + 2 * HOUR
    market = SimulatedMarket((PAIR,), Timeframe.H1, seed, START, end)
    return market.candles(PAIR, START, end)


def account_rules(**changes: Any) -> AccountRules:
    limits = RULES.limits
    values: dict[str, Any] = {
        "costs": COSTS, "drawdown_pause": limits.drawdown, "daily_loss": limits.daily_loss,
        "losing_streak": limits.losing_streak, "cool_down": timedelta(minutes=limits.cool_down_minutes),
        "cool_down_candles": limits.cool_down_candles, "trailing_after": limits.trailing_after, "leverage": 1.0,
        "shorts": True, "margin": None,
    }  # fmt: skip
    return AccountRules(**values | changes)


class Past:
    """What the database recorded, as a back-test reads it."""

    def __init__(self, world: "AuditedDays") -> None:
        self.world = world

    def champions(self, pair: Pair, times: pl.Series) -> Any:
        return self.world.reader.policies.champions(pair, times)

    def sentiments(self, pair: Pair, times: pl.Series) -> pl.DataFrame:
        return self.world.reader.market.sentiments(pair, times)

    def weights(self, times: pl.Series) -> list[Run]:
        return self.world.versions.runs(times)


class AuditedDays(DecisionWorld):
    """An account that decides on every candle, on paper; a test disturbs it, then audits a day."""

    def __init__(self, folder: Path, market: pl.DataFrame) -> None:
        super().__init__(folder, hidden=1, market=market)
        self.versions = WeightVersions(MemoryWeights())
        self.reader = replace(self.reader, weights=self.versions.at)
        self.features = MemoryTable(None)
        self.store_features()

    def store_features(self) -> None:
        """Compute the features of the candles that are stored now, as `features` does."""
        candles = pl.concat([self.table.read(PAIR, month) for month in self.table.months(PAIR)])
        write_by_month(self.features, PAIR, feature_table(candles, Timeframe.H1))

    def decide(self, close: datetime, rules: Any = None, clock: Any = None, executor: Any = None) -> Any:
        """Decide on the candle that has closed, at once or at another clock."""
        return execute_decision(
            PAIR,
            clock or self.reader.read_clock(close),
            self.reader,
            rules or RULES,
            journal=self.journal,
            executor=executor or self.executor,
        )

    def run(
        self,
        until: datetime,
        since: datetime = SINCE,
        skip: Container[datetime] = (),
        before: Mapping[datetime, Callable[[], object]] | None = None,
    ) -> list[dict[str, Any]]:
        """Decide on every candle that closes from `since` to `until`; `before`: what happens before its decision."""
        receipts = []
        for close in self.all_candles["close_time"]:
            if since <= close <= until:
                (before or {}).get(close, lambda: None)()
                receipts += [] if close in skip else [self.decide(close).receipt]
        return receipts

    def auditor(self, rules: Any = None, **account: Any) -> ParityAuditor:
        universe = self.reader.market.universe
        decisions = DecisionHistory(self.features, rules or RULES, Timeframe.H1)
        library = StrategyLibrary(self.table, self.features, self.reader.policies, decisions, Past(self))
        backtester = Backtester(
            universe,
            library,
            {PAIR: account_rules(**account)},
            Resampling(10, 0.9, 1),
            lambda timeframe: None,  # type: ignore[arg-type, return-value]
        )
        return ParityAuditor(self.reader.account, backtester, self.reader.policies)

    def audit(self, day: int = 1, **changes: Any) -> ParityReport:
        """Audit a day, counted from FIRST; whatever it says, its parts add up."""
        report = self.auditor(**changes).audit(
            FIRST + timedelta(days=day), self.all_candles["close_time"][-1]
        )
        check_sum(report)
        return report


def check_sum(report: ParityReport) -> None:
    with exactly():
        assert sum(report.parts.values(), Decimal(0)) == report.difference


def told(report: ParityReport) -> dict[Kind, Decimal]:
    """The parts that are more than a float rounds off."""
    return {kind: amount for kind, amount in report.parts.items() if abs(amount) > Decimal("1e-7")}
