"""The day's budget of language models, and the ladder by which they fall silent one after the other."""

from dataclasses import dataclass
from enum import StrEnum

from trading.errors import InvalidValue


class Rung(StrEnum):
    """What is still asked, from much to nothing."""

    ALL = "all models"
    ONE = "one model"  # the one with the best record
    CACHED = "cached sentiment"  # nothing is paid any more; what is known serves as long as it is fresh
    HOLD = "hold"  # more was spent than allowed: nothing is opened until the next UTC day


@dataclass(frozen=True, slots=True)
class BudgetLadder:
    """`daily_usd` for all paid models of a UTC day; the other two are shares of it, from which a rung begins."""

    daily_usd: float
    one_model_from: float = 0.6
    cached_from: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.daily_usd < float("inf"):
            raise InvalidValue(
                f"the daily budget must be a finite number of USD from 0, not {self.daily_usd}"
            )
        if not 0 < self.one_model_from <= self.cached_from <= 1:
            raise InvalidValue(
                "one_model_from and cached_from must be shares above 0 and up to 1, in this order; they are "
                f"{self.one_model_from} and {self.cached_from}"
            )

    def rung(self, spent_usd: float) -> Rung:
        """Return the rung on which a day stands that has cost so much; the last one for what is no number."""
        if not spent_usd <= self.daily_usd:  # also NaN
            return Rung.HOLD
        if spent_usd >= self.cached_from * self.daily_usd:
            return Rung.CACHED
        return Rung.ONE if spent_usd >= self.one_model_from * self.daily_usd else Rung.ALL

    def ceiling(self, rank: int) -> float:
        """Return what the day may have cost after a paid call of the model at this place; 0 is the first."""
        return (self.cached_from if rank == 0 else self.one_model_from) * self.daily_usd
