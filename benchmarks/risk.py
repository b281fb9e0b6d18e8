"""One risk assessment, every rule of it, beside the bare sizing arithmetic in floats.

There is no other library to compare with: what others call a risk check is a few of these rules. The floats say
what exact decimals, a verdict for every rule and a refusal for every impossible number cost.
"""

from collections.abc import Iterator
from decimal import Decimal

from benchmarks.row import Benchmark, Row, medians, row
from trading.market import Instrument, Pair
from trading.orders import Side
from trading.risk import RULES, AccountState, Ages, Limits, MarketState, OtherPosition, Proposal, assess

BATCHES, CALLS = 60, 200
LIMITS = Limits(
    risk_per_trade=0.01,
    position_cap=0.2,
    asset_cap=0.4,
    total_exposure=0.6,
    reserve=0.05,
    stop_distance=0.02,
    trailing_after=1.5,
    reward_risk=1.5,
    leverage=3.0,
    leverage_volatility=0.5,
    correlated_positions=2,
    correlated_above=0.8,
    correlated_size=0.5,
    drawdown=0.1,
    daily_loss=0.03,
    losing_streak=5,
    cool_down_minutes=30.0,
    candle_age=2.0,
    feature_age=2.0,
    balance_age=2.0,
    price_age=24.0,
    sentiment_age_hours=72.0,
    policy_age_days=62.0,
    clock_skew_seconds=2.0,
    orders_per_minute=20,
)
INSTRUMENT = Instrument(
    pair=Pair("XRP", "USDT"),
    price_increment=Decimal("0.00001"),
    quantity_increment=Decimal("0.00000001"),
    minimum_quantity=Decimal("2"),
    minimum_cost=Decimal("0.5"),
    taker_fee=Decimal("0.0026"),
    maker_fee=Decimal("0.0016"),
)
PROPOSAL = Proposal(
    pair_key="XRP-USDT",
    side=Side.BUY,
    entry=0.52431,
    stop=0.51577123,
    take_profit=0.543981,
    leverage=1.0,
    live_record=False,
    reduces=False,
    reduce_quantity=None,
)
STATE = AccountState(
    equity=2104.83726451,
    equity_peak=2133.1918273,
    day_opening_equity=2110.0123871,
    position_value=120.18273645,
    base_exposure=120.18273645,
    quote_exposure=0.0,
    exposure_value=531.9182736,
    available_base=Decimal("480.19283741"),
    available_quote=Decimal("981.928374619283"),
    quote_rate=1.0,
    recent_orders=1,
    others=(OtherPosition("BTC-USDT", Side.BUY, 0.71),),
    halts=(),
)
MARKET = MarketState(volatility=0.6123, btc_correlation=0.83)
AGES = Ages(
    candle=0.02,
    features=0.02,
    balance=0.0,
    prices=0.1,
    oldest_price="BTC-USDT",
    policy_days=11.3,
    sentiment_hours=2.7,
    clock_skew_seconds=0.0,
)


def risk_assessment() -> Iterator[Row]:
    """Measure one approved entry; a refusal would take the same path, but the row says approved."""
    assessment = assess(PROPOSAL, STATE, MARKET, AGES, INSTRUMENT, LIMITS)
    assert assessment.approved, assessment.rejection_reason
    ways = {"ours": _assessments, "floats": _sizes}
    spent = {name: seconds / CALLS * 1e6 for name, seconds in medians(ways, BATCHES).items()}
    yield row(
        "risk_assessment",
        f"one entry through all {len(RULES)} rules, approved: exact size, a verdict and its numbers for each",
        spent["ours"],
        "us",
        "its five bounds of the size alone, in floats: no rule, no verdict, nothing exact",
        spent["floats"],
        target="< 50 us",
    )


def _assessments() -> None:
    for _ in range(CALLS):
        assess(PROPOSAL, STATE, MARKET, AGES, INSTRUMENT, LIMITS)


def _sizes() -> None:
    for _ in range(CALLS):
        sized_in_floats(PROPOSAL, STATE, LIMITS)


def sized_in_floats(proposal: Proposal, state: AccountState, limits: Limits) -> float:
    """Compute the bounds of `trading.risk.sizing` with whatever rounding floats bring."""
    entry, stop = float(proposal.entry), float(proposal.stop or 0)
    equity, rate = float(state.equity), float(state.quote_rate)
    asset = max(float(state.base_exposure), float(state.quote_exposure))
    return limits.correlated_size * min(
        limits.risk_per_trade * equity / (abs(entry - stop) * rate),
        (limits.position_cap * equity - float(state.position_value)) / (entry * rate),
        (limits.asset_cap * equity - asset) / (entry * rate),
        (limits.total_exposure * equity - float(state.exposure_value)) / (entry * rate),
        (float(state.available_quote) - limits.reserve * equity / rate)
        / (entry * (1 + float(INSTRUMENT.taker_fee))),
    )


BENCHMARKS: dict[str, Benchmark] = {"risk_assessment": risk_assessment}
