"""One risk assessment, every rule of it, beside the bare sizing arithmetic in floats.

There is no other library to compare with: what others call a risk check is a few of these rules. The floats say
what exact decimals, a verdict for every rule and a refusal for every impossible number cost.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from benchmarks.row import Benchmark, Row, medians, row
from tests.trading.risk import risk_case
from tests.trading.risk.risk_case import FRESH, LIMITS, LONG
from trading.market import Pair
from trading.orders import Side
from trading.risk import RULES, AccountState, Limits, MarketState, OtherPosition, Proposal, assess

BATCHES, CALLS = 60, 200
INSTRUMENT = replace(
    risk_case.INSTRUMENT, pair=Pair("XRP", "USDT"), price_increment=Decimal("0.00001"),
    quantity_increment=Decimal("0.00000001"), minimum_quantity=Decimal("2"), minimum_cost=Decimal("0.5"),
)  # fmt: skip
PROPOSAL = replace(LONG, pair_key="XRP-USDT", entry=0.52431, stop=0.51577123, take_profit=0.543981)
STATE = AccountState(
    equity=2104.83726451, equity_peak=2133.1918273, day_opening_equity=2110.0123871,
    position_value=120.18273645, base_exposure=120.18273645, quote_exposure=0.0, exposure_value=531.9182736,
    available_base=Decimal("480.19283741"), available_quote=Decimal("981.928374619283"), quote_rate=1.0,
    recent_orders=1, others=(OtherPosition("BTC-USDT", Side.BUY, 0.71),), halts=(),
)  # fmt: skip
MARKET = MarketState(btc_correlation=0.83)
AGES = replace(FRESH, candle=0.02, features=0.02, policy_days=11.3, sentiment_hours=2.7)


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
