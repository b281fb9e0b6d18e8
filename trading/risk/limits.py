"""The limits that every order keeps: numbers from configuration, no rule."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from trading.errors import InvalidValue

_MAXIMA = {
    "risk_per_trade": 0.05,
    "position_cap": 0.5,
    "asset_cap": 1.0,
    "total_exposure": 1.0,
    "stop_distance": 0.1,
    "trailing_after": 100.0,
    "reward_risk": 20.0,
    "correlated_above": 1.0,
    "correlated_size": 1.0,
    "drawdown": 0.5,
    "daily_loss": 0.5,
    "cool_down_minutes": 10_080.0,
    "candle_age": 100.0,
    "feature_age": 100.0,
    "balance_age": 100.0,
    "price_age": 1000.0,
    "trade_age": 1000.0,
    "sentiment_age_hours": 8760.0,
    "policy_age_days": 3650.0,
    "clock_skew_seconds": 60.0,
    "feed_gap_candles": 100_000.0,
    "book_age_seconds": 3600.0,
    "reconciliation_age_seconds": 86_400.0,
}
_RANGES = {
    "reserve": (0.0, 0.5),
    "correlated_positions": (1, 100),
    "losing_streak": (1, 100),
    "cool_down_candles": (1, 1000),
    "orders_per_minute": (1, 10_000),
    "failures_in_a_row": (1, 1000),
    "model_budget_usd": (0, 100_000),
}

# Of these a lower number allows more, of all others a higher one.
_STRICTER_WHEN_HIGHER = frozenset(
    {"reserve", "reward_risk", "cool_down_minutes", "cool_down_candles", "feed_gap_candles"}
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares are fractions of equity unless said otherwise (0.01 = 1 %)."""

    risk_per_trade: float  # lost when the stop is hit
    position_cap: float  # one position
    asset_cap: float  # all positions that have one asset as base or quote
    total_exposure: float  # all positions
    reserve: float  # an entry leaves at least this much in the asset that it spends
    stop_distance: float  # furthest stop, share of the entry
    trailing_after: float  # gain, in amounts risked, from which on the stop trails the best price
    reward_risk: float  # minimum (take profit - entry) / (entry - stop)
    correlated_positions: int  # at most, the new one included
    correlated_above: float  # correlation above which two markets count as one
    correlated_size: float  # share of the size that is left when a pair is that close to BTC
    drawdown: float  # from the equity peak; reached: paused until a person resumes
    daily_loss: float  # of the day's opening equity; reached: no new position until the next UTC day
    losing_streak: int  # losses in a row that cause a cool-down ...
    cool_down_minutes: float  # ... of this long from the last of them, and no shorter than ...
    cool_down_candles: int  # ... until so many decisions were refused
    candle_age: float  # in candles
    feature_age: float  # in candles: the pair's market, or that of BTC where its correlation counts
    balance_age: float  # in candles: the oldest order whose outcome is not known yet
    trade_age: float  # in candles: the newest candle in which anything was traded
    price_age: float  # in candles: the oldest price that values something of the account
    sentiment_age_hours: float
    policy_age_days: float
    clock_skew_seconds: float  # an input may claim to come from this far in the future
    orders_per_minute: int  # entries stop here, below the venue's own limit
    feed_gap_candles: float = 1000.0  # newest candles in which no trade may be missing, for an entry
    book_age_seconds: float = (
        10.0  # since the order book was last seen verified, where the market is streamed
    )
    reconciliation_age_seconds: float = (
        600.0  # since ledger and exchange last agreed; the keeper compares them each minute
    )
    failures_in_a_row: int = (
        5  # rejected orders, failed decisions or decisions without an answer; then a person is asked
    )

    model_budget_usd: float = 5.0  # of all language models that somebody charges for, per UTC day

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _MAXIMA and not 0 < value <= _MAXIMA[field.name]:
                raise InvalidValue(
                    f"{field.name} is {value}: allowed is above 0, up to {_MAXIMA[field.name]:g}"
                )
            minimum, maximum = _RANGES.get(field.name, (value, value))
            if field.name in _RANGES and not minimum <= value <= maximum:
                raise InvalidValue(f"{field.name} is {value}: allowed is from {minimum:g} to {maximum:g}")


def loosened(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, tuple[float | None, float]]:
    """Return the limits of `now` that allow more than those of `before`, with both values; None: there was none."""
    found: dict[str, tuple[float | None, float]] = {}
    for name, value in now.items():
        old = before.get(name)
        allows_more = old is None or (value < old if name in _STRICTER_WHEN_HIGHER else value > old)
        if allows_more:
            found[name] = (old, value)
    return found
