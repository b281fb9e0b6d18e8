"""The flat form in which a language model says what it would do with a pair: no answer of another form is read."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading.errors import InvalidValue

# Features that an answer may name as the condition under which its reason is gone.
Indicator = Literal[
    "rsi_14", "adx_14", "mfi_14", "macd_histogram", "roc_10", "ema_21_ratio", "ema_50_ratio", "bollinger_percent_b",
    "higher_trend_1", "regime_score", "volume_ratio", "realised_volatility",
]  # fmt: skip
Price = Annotated[float, Field(gt=0)]


class TradingDecision(BaseModel):
    """Every field is required, and null is said where there is none: so that every provider can enforce the form.

    It is an opinion. Size and limits are those of risk: `position_size_pct` can only ask for less.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    action: Literal["LONG", "SHORT", "HOLD", "CLOSE"]
    symbol: Annotated[str, Field(pattern="^[A-Z0-9]{2,10}/[A-Z0-9]{2,10}$")]
    confidence: Annotated[float, Field(ge=0, le=1)]
    position_size_pct: Annotated[float, Field(ge=0, le=20)]  # of equity
    entry_price: Price | None
    stop_loss: Price | None
    take_profit: Price | None
    # Each of the three closes the position that the answer helped to open; none opens one.
    invalidation_price: Price | None  # once a candle closes beyond it the reason for the position is gone
    invalidation_hours: Annotated[float, Field(gt=0, le=8760)] | None  # after which it is gone in any case
    invalidation_indicator: Indicator | None  # gone once it is ...; without one, side and value say nothing
    invalidation_side: Literal["above", "below"] | None  # ... on this side ...
    invalidation_value: Annotated[float, Field(ge=-1e6, le=1e6)] | None  # ... of this value
    reasoning: Annotated[str, Field(min_length=1, max_length=1000)]  # shown to a person, never read by a rule

    @model_validator(mode="after")
    def check_prices(self) -> Self:
        """Refuse a side without prices, a level on the wrong side, and a condition of which a part is missing."""
        if self.invalidation_indicator and None in (self.invalidation_side, self.invalidation_value):
            raise InvalidValue("invalidation_indicator needs invalidation_side and invalidation_value")
        if self.action in ("HOLD", "CLOSE"):
            return self
        prices = self.stop_loss, self.entry_price, self.take_profit
        if None in prices:
            raise InvalidValue(f"{self.action} needs entry_price, stop_loss and take_profit")
        ordered = sorted(prices, reverse=self.action == "SHORT")  # type: ignore[type-var]
        if list(prices) != ordered or len(set(prices)) < len(prices):
            raise InvalidValue(
                f"stop_loss and take_profit of {self.action} are on the wrong side of entry_price"
            )
        level, entry = self.invalidation_price, self.entry_price
        if level is not None and entry is not None and (level < entry) != (self.action == "LONG"):
            raise InvalidValue(
                f"invalidation_price of {self.action} is not on the losing side of entry_price"
            )
        return self
