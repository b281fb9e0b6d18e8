"""A small market for decision tests, rising or falling, and everything that a decision may see of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl

from ml.agents.analyst import AnalystRules
from ml.agents.consensus import ConsensusRules
from ml.decision.clock import ClockReading
from ml.decision.decide import DecisionRules
from ml.decision.inputs import DecisionInputs
from trading.candles import complete
from trading.indicators import live_row, lookback
from trading.market import Instrument, Pair, Timeframe, Universe
from trading.ports import SENTIMENT_SCHEMA
from trading.risk import AccountState, Limits
from trading.signals import SignalRules

PAIR = Pair("BTC", "USDT")
WINDOW = lookback(Timeframe.H1) + 1
START = datetime(2024, 1, 1, tzinfo=UTC)
INSTRUMENT = Instrument(
    PAIR,
    Decimal("0.1"),
    Decimal("0.00001"),
    Decimal("0.0001"),
    Decimal("5"),
    Decimal("0.0026"),
    Decimal("0.0016"),
)
LIMITS = Limits(
    risk_per_trade=0.01, position_cap=0.2, asset_cap=0.4, total_exposure=0.6, reserve=0.05, stop_distance=0.02,
    trailing_after=1.5, reward_risk=1.5, correlated_positions=2, correlated_above=0.8, correlated_size=0.5,
    drawdown=0.1, daily_loss=0.03, losing_streak=5, cool_down_minutes=30.0, cool_down_candles=3, candle_age=2.0,
    feature_age=2.0, balance_age=2.0, trade_age=24.0, price_age=24.0,
    sentiment_age_hours=72.0, policy_age_days=62.0, clock_skew_seconds=2.0, orders_per_minute=20,
)  # fmt: skip
RULES = DecisionRules(
    signals=SignalRules(0.3, 1.5, 1.5, 0.02, 2.0),
    analyst=AnalystRules(72.0, 1, 0.15),
    consensus=ConsensusRules(  # the technical agent alone may decide
        agreement=0.75, minimum_confidence=0.6, minimum_votes=1, few_votes_confidence=0.75, exit_agreement=0.5
    ),
    limits=LIMITS,
)


def candles(drift: float, rows: int = WINDOW, seed: int = 1) -> pl.DataFrame:
    """Hourly candles around 50,000 whose last 120 hours drift by `drift` per hour; noise keeps them real."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.002, rows)
    steps[-120:] += drift
    close = 50_000 * np.exp(np.cumsum(steps))
    opened = np.concatenate([[50_000.0], close[:-1]])
    frame = pl.DataFrame(
        {
            "open_time": [START + timedelta(hours=hour) for hour in range(rows)],
            "open": opened,
            "high": np.maximum(opened, close) * 1.0015,
            "low": np.minimum(opened, close) * 0.9985,
            "close": close,
            "volume": random.uniform(5, 15, rows),
        }
    ).with_columns(pl.col("open_time").cast(pl.Datetime("us", "UTC")))
    return complete(frame, Timeframe.H1, "test")


RISING, FALLING = 0.0025, -0.0025


def decision_inputs(drift: float = RISING) -> DecisionInputs:
    window = candles(drift)
    at = window["close_time"][-1]
    return DecisionInputs(
        account="paper-test",
        universe=Universe((PAIR,), "USDT", Timeframe.H1, "test"),
        pair=PAIR,
        clock=ClockReading(at, "a test"),
        newest_known_at=at,
        candles=window,
        companions={},
        costs={},
        features=live_row(window, Timeframe.H1),
        policy=None,
        policy_age_days=None,
        news=SENTIMENT_SCHEMA.to_frame(),
        half_life_hours=24.0,
        sentiment=None,
        position=None,
        working=(),
        state=AccountState(
            equity=2100.0, equity_peak=2100.0, day_opening_equity=2100.0, position_value=0.0, base_exposure=0.0,
            quote_exposure=0.0, exposure_value=0.0, available_base=0.02, available_quote=1000.0, quote_rate=1.0,
            recent_orders=0, others=(), halts=(),
        ),
        oldest_unsettled_age=timedelta(0),
        comparison_age=None,
        oldest_price=None,
        instrument=INSTRUMENT,
        free={"USDT": Decimal(1000), "BTC": Decimal("0.02")},
        left_out={},
        notes=(),
    )  # fmt: skip


def at_time(before: DecisionInputs, at: datetime, skew_seconds: float | None = 0.0) -> DecisionInputs:
    """The same inputs, decided at another time by a clock that is off so far."""
    return replace(before, clock=ClockReading(at, "a test", skew_seconds))


def with_account_state(before: DecisionInputs, **changes: float) -> DecisionInputs:
    return replace(before, state=replace(before.state, **changes))
