"""The prices that an account is valued with: gathered from the market before the account is locked."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from trading.market import Pair
from trading.portfolio import Position


class LastClose(NamedTuple):
    """The newest close that was known at a time."""

    price: Decimal
    close_time: datetime


@dataclass(frozen=True, slots=True)
class Valuation:
    """Last closes at one moment: of all pairs that are traded, and of others that the account holds."""

    at: datetime
    traded: frozenset[Pair]
    closes: Mapping[Pair, LastClose]
    midnight: Mapping[Pair, Decimal]  # with which the UTC day began; empty where one of them is not known
    entries: Mapping[Pair, Decimal]  # of pairs that are held and have no close: what was paid

    @property
    def prices(self) -> dict[Pair, Decimal]:
        """Return one price per pair: its last close, else what was paid."""
        return {**self.entries, **{pair: close.price for pair, close in self.closes.items()}}

    def covering(self, positions: Iterable[Position]) -> "Valuation":
        """Return the valuation with a price for each of these positions."""
        held = {each.pair: each.entry_price for each in positions if each.pair not in self.closes}
        return replace(self, entries={**self.entries, **held})

    def notes(self) -> Iterator[str]:
        """Describe what is held in pairs that are not traded any more, and what it counts with."""
        for pair in sorted({*self.closes, *self.entries} - self.traded):
            if pair in self.closes:
                close = self.closes[pair]
                known = f"its last known price, {close.price:f} of {close.close_time:%Y-%m-%d %H:%M} UTC"
            else:
                known = f"what was paid, {self.entries[pair]:f}: no price of it is known"
            yield f"{pair} is held and not in [market] pairs: counted at {known}"
