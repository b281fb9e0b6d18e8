"""What the verified books have shown since the last look: the prices at which a position could be closed."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from streaming.session.output import SessionEvent, TopOfBook
from trading.market import Pair


class Prices(NamedTuple):
    """Of one side of a book since the last look; quote per base."""

    low: float
    high: float
    last: float


@dataclass(slots=True)
class PairQuotes:
    """The two best prices of one pair. A long is sold to the bid, a short is bought back at the ask."""

    bid: float = 0.0
    ask: float = 0.0
    too_wide: bool = False  # the newest quote is no price to act on
    is_new: bool = False  # something came since the last look
    _bid_low: float = 0.0
    _bid_high: float = 0.0
    _ask_low: float = 0.0
    _ask_high: float = 0.0

    @property
    def known(self) -> bool:
        return self.bid > 0

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2

    def prices(self, sign: int) -> Prices:
        """Return the prices for a long (`sign` 1) or a short (-1); without news the one that stands."""
        last = self.bid if sign > 0 else self.ask
        if not self.is_new:
            return Prices(last, last, last)
        if sign > 0:
            return Prices(self._bid_low, self._bid_high, last)
        return Prices(self._ask_low, self._ask_high, last)

    def add(self, bid: float, ask: float) -> None:
        if self.is_new:
            self._bid_low, self._bid_high = min(self._bid_low, bid), max(self._bid_high, bid)
            self._ask_low, self._ask_high = min(self._ask_low, ask), max(self._ask_high, ask)
        else:
            self._bid_low = self._bid_high = bid
            self._ask_low = self._ask_high = ask
        self.bid, self.ask, self.too_wide, self.is_new = bid, ask, False, True


class Quotes:
    """One `PairQuotes` per pair, fed with the events of the sessions."""

    def __init__(self, pairs: Iterable[Pair], max_spread: float) -> None:
        """`max_spread`: share of the middle, beyond which a quote counts as none.

        A maker who takes his orders away for a moment leaves a best bid far below the market: nobody would trade there.
        """
        self._max_spread = max_spread
        self._quotes = {pair: PairQuotes() for pair in pairs}

    def __getitem__(self, pair: Pair) -> PairQuotes:
        """Return the quotes of a pair; KeyError for one that is not streamed."""
        return self._quotes[pair]

    @property
    def pairs(self) -> Collection[Pair]:
        """Return the pairs that are streamed."""
        return self._quotes.keys()

    def get(self, pair: Pair) -> PairQuotes | None:
        return self._quotes.get(pair)

    def forget_news(self) -> None:
        """Begin a new look at every pair."""
        for quotes in self._quotes.values():
            quotes.is_new = False

    def observe(self, event: SessionEvent) -> None:
        """Take the top of a verified book; any other event changes nothing."""
        if type(event) is not TopOfBook:
            return
        quotes = self._quotes[event.pair]
        if event.bid is None or event.ask is None:
            quotes.too_wide = True
            return
        bid, ask = float(event.bid[0]), float(event.ask[0])
        if ask - bid > self._max_spread * (bid + ask) / 2:
            quotes.too_wide = True
        else:
            quotes.add(bid, ask)
