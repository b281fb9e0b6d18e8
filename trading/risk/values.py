"""What risk is asked and what it answers: plain values, no rule."""

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from trading.orders import Side

if TYPE_CHECKING:  # the rules beside it rest on these values
    from trading.risk.halts import Halt

Amount = float | Decimal


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the consensus wants. Prices are quote per base; None where there is none."""

    pair_key: str
    side: Side
    entry: Amount  # the price it expects to trade at
    stop: Amount | None
    take_profit: Amount | None
    leverage: Amount  # 1: nothing is borrowed
    live_record: bool  # whoever proposes has traded live before; without, nothing is borrowed
    reduces: bool  # closes a position (or a part): rules that only guard entries are skipped
    reduce_quantity: Decimal | None  # base currency; None unless it reduces


@dataclass(frozen=True, slots=True)
class OtherPosition:
    """A position, or an order that is still to be filled, in another pair."""

    pair_key: str
    side: Side
    correlation: float | None  # with the pair that is asked about, -1..1; None or NaN: not known


@dataclass(frozen=True, slots=True)
class AccountState:
    """Values are in the equity currency, balances in their own units. Orders still to be filled count as filled."""

    equity: Amount
    equity_peak: Amount  # since the account opened or a person resumed
    day_opening_equity: Amount
    position_value: Amount  # of this pair, never negative
    base_exposure: Amount  # all positions that have this pair's base as base or quote, this pair's included
    quote_exposure: Amount  # the same for its quote; 0 where equity is counted in it: that is cash
    exposure_value: Amount  # all positions, this pair's included
    available_base: Amount  # free balance
    available_quote: Amount  # free balance
    quote_rate: Amount  # equity currency per unit of the pair's quote
    recent_orders: int  # in the last minute
    others: tuple[OtherPosition, ...]
    halts: "tuple[Halt, ...]"  # those active now


@dataclass(frozen=True, slots=True)
class MarketState:
    """What the size depends on beside prices; None: not known, and the careful answer is taken."""

    volatility: float | None  # of a year: standard deviation of log returns (0.6 = 60 %)
    btc_correlation: float | None  # -1..1; ignored for pairs of BTC itself


@dataclass(frozen=True, slots=True)
class Ages:
    """How old the inputs are; None where the decision did not use that input."""

    candle: float  # since the newest candle closed, in candles
    features: float  # since the oldest market behind the features closed its newest candle, in candles
    balance: float  # since the oldest order whose outcome is not known yet, in candles; 0 without one
    prices: float | None  # since the oldest price that values something of the account closed, in candles
    oldest_price: str  # the pair of that price; empty where nothing needs one
    policy_days: float | None
    sentiment_hours: float | None
    clock_skew_seconds: (
        float  # how far in the future the newest input claims to have become known; 0: none does
    )


class Verdict(NamedTuple):
    """One rule's answer: what it measured, against which limit, whether it lets the order pass, in words.

    Numbers stay as the rule had them and words are put together when somebody reads them: most are never read.
    """

    rule: str
    measured: Amount
    against: Amount
    passes: bool
    words: str
    parts: tuple[object, ...]

    @property
    def value(self) -> float:
        return float(self.measured)

    @property
    def limit(self) -> float:
        return float(self.against)

    @property
    def note(self) -> str:
        return self.words.format(*self.parts)

    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("rule", "value", "limit", "passes", "note")}


@dataclass(frozen=True, slots=True)
class RiskAssessment:
    """Size 0, leverage 1 and no prices when rejected; a closing order has no prices either."""

    approved: bool
    adjusted_size: Decimal  # base currency, a multiple of the quantity increment
    adjusted_leverage: Decimal  # never more than proposed
    stop_loss_price: Decimal | None
    take_profit_price: Decimal | None
    trailing_after_price: Decimal | None  # once reached, the stop follows the best price ...
    trailing_distance: Decimal | None  # ... this far behind; a fill at another price moves both with it
    rejection_reason: str  # the first rule that failed; empty when approved
    verdicts: tuple[Verdict, ...]

    def facts(self) -> dict[str, Any]:
        """Everything above as plain values, verdicts in words."""
        facts = {field.name: getattr(self, field.name) for field in fields(self)}
        return facts | {"verdicts": [verdict.facts() for verdict in self.verdicts]}
