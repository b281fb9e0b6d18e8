"""A sound proposal, an account that can afford it, and everything else that risk is asked with."""

import math
from dataclasses import replace
from decimal import Decimal

from trading.market import Instrument, Pair
from trading.orders import Side
from trading.risk import (
    AccountState,
    Ages,
    Limits,
    MarketState,
    OtherPosition,
    Proposal,
    RiskAssessment,
    RuleVerdict,
    assess,
)

LIMITS = Limits(
    risk_per_trade=0.01, position_cap=0.2, asset_cap=0.4, total_exposure=0.6, reserve=0.05,
    stop_distance=0.02, trailing_after=1.5, reward_risk=1.5, correlated_positions=2, correlated_above=0.8,
    correlated_size=0.5, drawdown=0.1, daily_loss=0.03, losing_streak=5, cool_down_minutes=30.0,
    cool_down_candles=1, candle_age=2.0, feature_age=2.0, balance_age=2.0, trade_age=24.0, price_age=24.0,
    sentiment_age_hours=72.0, policy_age_days=62.0, clock_skew_seconds=2.0, orders_per_minute=20,
)  # fmt: skip
INSTRUMENT = Instrument(
    pair=Pair("ETH", "USDT"), price_increment=Decimal("0.1"), quantity_increment=Decimal("0.001"),
    minimum_quantity=Decimal("0.002"), minimum_cost=Decimal("5"), taker_fee=Decimal("0.0026"),
    maker_fee=Decimal("0.0016"),
)  # fmt: skip
STATE = AccountState(
    equity=10_000.0, equity_peak=10_000.0, day_opening_equity=10_000.0, position_value=0.0, base_exposure=0.0,
    quote_exposure=0.0, exposure_value=0.0, available_base=Decimal("30"), available_quote=Decimal("5000"),
    quote_rate=1.0, recent_orders=0, others=(), halts=(),
)  # fmt: skip
CALM = MarketState(btc_correlation=0.3)
LONG = Proposal(
    pair_key="ETH-USDT", side=Side.BUY, entry=100.0, stop=98.0, take_profit=104.0,
    reduces=False, reduce_quantity=None,
)  # fmt: skip
SHORT = replace(LONG, side=Side.SELL, stop=102.0, take_profit=96.0)
CLOSE = replace(LONG, side=Side.SELL, stop=None, take_profit=None, reduces=True, reduce_quantity=Decimal("3"))
BUY_BACK = replace(CLOSE, side=Side.BUY)
FRESH = Ages(
    candle=0.1, features=0.1, balance=0.0, trade=0.1, prices=0.1, oldest_price="BTC-USDT", policy_days=10.0,
    sentiment_hours=1.0, clock_skew_seconds=0.0,
)  # fmt: skip
IMPOSSIBLE = [math.nan, math.inf, -math.inf, -1.0, 1e300, Decimal("sNaN"), Decimal("1e400"), 1e-300]


def other(correlation: float | None, side: Side = Side.BUY, pair_key: str = "XRP-USDT") -> OtherPosition:
    return OtherPosition(pair_key, side, correlation)


def decide(
    proposal: Proposal = LONG, state: AccountState = STATE, ages: Ages = FRESH,
    instrument: Instrument = INSTRUMENT, limits: Limits = LIMITS, market: MarketState = CALM,
) -> RiskAssessment:  # fmt: skip
    return assess(proposal, state, market, ages, instrument, limits)


def verdict(assessment: RiskAssessment, rule: str) -> RuleVerdict:
    return next(each for each in assessment.verdicts if each.rule == rule)


def refused_by(assessment: RiskAssessment, rule: str) -> bool:
    """Rejected for this rule first, with nothing left that could be ordered."""
    assert not assessment.approved
    assert not verdict(assessment, rule).passes
    assert assessment.adjusted_size == 0
    assert assessment.stop_loss_price is assessment.take_profit_price is None
    assert assessment.trailing_after_price is assessment.trailing_distance is None
    return assessment.rejection_reason.startswith(f"{rule}: ")
