"""What risk is asked and what it answers: plain values, no rule."""

from dataclasses import dataclass, fields
from decimal import Decimal

from trading.errors import InvalidValue
from trading.orders import Side

Amount = float | Decimal

_HIGHEST = {
    "risk_per_trade": 0.05,
    "position_cap": 0.5,
    "stop_distance": 0.1,
    "reward_risk": 20.0,
    "drawdown": 0.5,
    "daily_loss": 0.5,
    "total_exposure": 1.0,
    "candle_age": 100.0,
    "sentiment_age_hours": 8760.0,
    "policy_age_days": 3650.0,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares are fractions of equity unless said otherwise (0.01 = 1 %)."""

    risk_per_trade: float  # lost when the stop is hit
    position_cap: float  # one position
    stop_distance: float  # furthest stop, share of the entry
    reward_risk: float  # least (take profit - entry) / (entry - stop)
    drawdown: float  # from the equity peak; reached = no new position
    daily_loss: float  # of the day's opening equity; reached = no new position
    total_exposure: float  # all positions
    reserve: float  # share of each asset's free balance that entries leave alone
    candle_age: float  # in candles
    sentiment_age_hours: float
    policy_age_days: float

    def __post_init__(self) -> None:
        if not 0 <= self.reserve < 1:
            raise InvalidValue(f"reserve is {self.reserve}: allowed is from 0 to below 1")
        for field in fields(self):
            value, highest = getattr(self, field.name), _HIGHEST.get(field.name)
            if highest is not None and not 0 < value <= highest:
                raise InvalidValue(f"{field.name} is {value}: allowed is above 0, up to {highest:g}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the consensus wants. Prices are quote per base; None where there is none."""

    pair_key: str
    side: Side
    entry: Amount  # the price it expects to trade at
    stop: Amount | None
    take_profit: Amount | None
    reduces: bool  # closes a position (or a part): rules that only guard entries are skipped
    reduce_quantity: Decimal | None  # base currency; None unless it reduces


@dataclass(frozen=True, slots=True)
class AccountState:
    """Values are in the equity currency, balances in their own units."""

    equity: Amount
    equity_peak: Amount
    day_opening_equity: Amount
    position_value: Amount  # of this pair, never negative
    exposure_value: Amount  # sum over all positions, this pair included, never negative
    available_base: Amount  # free balance
    available_quote: Amount  # free balance
    quote_rate: Amount  # equity currency per unit of the pair's quote


@dataclass(frozen=True, slots=True)
class Ages:
    """How old the inputs are; None where the decision did not use that input."""

    candle: float  # since the newest candle closed, in candles
    policy_days: float | None
    sentiment_hours: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's answer: what it measured, against which limit, whether it lets the order pass, in words."""

    rule: str
    value: float
    limit: float
    passes: bool
    note: str


@dataclass(frozen=True, slots=True)
class RiskAssessment:
    """Size 0 and no prices when rejected; a closing order has no prices either."""

    approved: bool
    adjusted_size: Decimal  # base currency, a multiple of the quantity increment
    adjusted_leverage: float  # 1: a spot sale is backed by inventory
    stop_loss_price: Decimal | None
    take_profit_price: Decimal | None
    rejection_reason: str  # the first rule that failed; empty when approved
    verdicts: tuple[Verdict, ...]
