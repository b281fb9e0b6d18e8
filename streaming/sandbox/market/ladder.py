"""The market maker's quotes of one pair: what an order meets where no other trader is in its way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from zlib import crc32

from streaming.events import Level
from streaming.sandbox.market.increments import Increments
from streaming.sandbox.model import Listing
from trading.errors import InvalidValue
from trading.fills import execution_price
from trading.orders import Side
from trading.venues.paper_orders import rounded_against

MAX_LEVELS = 1000  # per side: the deepest book that Kraken's stream shows
MIN_SPREAD = 1e-9  # share of the price: below, both sides round to the last price and the book is crossed
MAX_PRICE = 10**15  # increments: a double keeps every one of them
SPACING = 2_500  # the grid's step is about the last price divided by this: two to four basis points
NOTHING = Decimal(0)
OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


@dataclass(frozen=True, slots=True)
class LadderChanges:
    """Levels that are different now, best first; quantity 0 where one is gone."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Ladder:
    """Quotes around the last price. A `side` names whose quotes are meant: BUY the bids, SELL the asks.

    The best level is the price that the fill model gives a market order, so an order that fits into it pays what
    it pays on paper. The others lie on a fixed grid: a move of the price changes those at both ends and no more.
    Quantities depend on the seed and the price alone, so that what `step` remembers is all that it takes to quote
    the same again.
    """

    def __init__(self, listing: Listing, seed: int = 0) -> None:
        _check(listing)
        self._listing = listing
        self._increment = listing.instrument.price_increment
        self._prices = Increments(self._increment, f"{listing.instrument.pair} price")
        self._sides = {side: _Quotes(side, listing, seed) for side in Side}
        self.step = 0  # of the grid, in increments: it follows the price late, see `_step`

    def restore(self, step: int) -> None:
        """Set the grid as it was; call it before it quotes."""
        self.step = step

    def requote(self, last: Decimal) -> LadderChanges:
        """Quote around `last` with full levels. InvalidValue unless it is a multiple of the increment above zero."""
        count = self._prices.count(last)
        if count > MAX_PRICE:
            raise InvalidValue(
                f"{self._listing.instrument.pair} trades at {last}: the increment is too small for that"
            )
        self.step = _step(count, self.step)
        bids, asks = (
            self._sides[side].requote(self._best(last, side), self.step) for side in (Side.BUY, Side.SELL)
        )
        return LadderChanges(bids, asks)

    def best(self, side: Side) -> Level | None:
        return self._sides[side].best()

    def levels(self, side: Side, depth: int | None = None) -> Sequence[Level]:
        """Return quotes, best first, at most `depth`. Bids end where prices would not be above zero."""
        return self._sides[side].levels(depth)

    def quantity_at(self, side: Side, price: Decimal) -> Decimal:
        """Return what is on offer at exactly this price; 0 where nothing is."""
        return self._sides[side].quantity_at(price)

    def take(self, taker: Side, limit: Decimal | None, quantity: Decimal) -> list[Level]:
        """Return price and quantity of each level that an order of `taker` gets, best first, within `limit`.

        It is gone until the next requote. InvalidValue for a quantity that is not a multiple of the increment.
        """
        return self._sides[OPPOSITE[taker]].take(limit, quantity)

    def _best(self, last: Decimal, side: Side) -> int:
        """Return increments of the best quote; 0 for a bid that would be below the first increment."""
        taker = OPPOSITE[side]
        price = execution_price(float(last), float(taker.sign), self._listing.costs)
        return int(rounded_against(price, taker, self._increment) / self._increment)


class _Quotes:
    """One side of the ladder."""

    def __init__(self, side: Side, listing: Listing, seed: int) -> None:
        instrument = listing.instrument
        self._side = side
        self._depth = listing.levels
        self._seed = seed
        self._prices = Increments(instrument.price_increment, f"{instrument.pair} price")
        self._quantities = Increments(instrument.quantity_increment, f"{instrument.pair} quantity")
        per_increments = listing.level_value / (instrument.price_increment * instrument.quantity_increment)
        self._value = int(per_increments)  # price times quantity of a level, both in increments
        self._best = 0  # price of the best level, which need not be on the grid; 0: no level at all
        self._grid = range(0)  # prices of the others, best first
        self._quoted: dict[int, Level] = {}
        self._offered: dict[Decimal, Decimal] = {}  # the same by price, for those who do not count increments
        self._stale: set[int] = set()  # taken from, or no longer of the size that their place asks for

    def requote(self, best: int, step: int) -> tuple[Level, ...]:
        before, self._grid = self._grid, self._grid_around(best, step)
        if best != self._best:
            self._stale.update((self._best, best))
            self._best = best
        touched, self._stale = self._stale, set()
        if self._grid != before:
            touched.update([price for price in before if price not in self._grid])
            touched.update([price for price in self._grid if price not in before])
        order = sorted(touched, reverse=self._side is Side.BUY)
        changes = (self._set_level(price, self._level(price)) for price in order)
        return tuple(changed for changed in changes if changed is not None)

    def best(self) -> Level | None:
        return next(self._levels_in_order(), None)

    def levels(self, depth: int | None) -> Sequence[Level]:
        return list(islice(self._levels_in_order(), depth))

    def quantity_at(self, price: Decimal) -> Decimal:
        return self._offered.get(price, NOTHING)

    def take(self, limit: Decimal | None, quantity: Decimal) -> list[Level]:
        self._quantities.count(quantity)
        taken: list[Level] = []
        for count in self._places():
            if not quantity:
                break
            if (level := self._quoted.get(count)) is None:
                continue
            price, offered = level
            if limit is not None and self._is_worse(price, limit):
                break
            part = min(offered, quantity)
            taken.append((price, part))
            quantity -= part
            self._stale.add(count)
            self._set_level(count, (price, offered - part) if offered > part else None)
        return taken

    def _places(self) -> Iterator[int]:
        return chain((self._best,), self._grid)

    def _levels_in_order(self) -> Iterator[Level]:
        return (self._quoted[count] for count in self._places() if count in self._quoted)

    def _set_level(self, count: int, level: Level | None) -> Level | None:
        """Quote this at that place, or nothing; return what is different now."""
        before = self._quoted.get(count)
        if level is None:
            if before is None:
                return None
            del self._quoted[count], self._offered[before[0]]
            return before[0], NOTHING
        if level == before:
            return None
        self._quoted[count] = level
        self._offered[level[0]] = level[1]
        return level

    def _is_worse(self, price: Decimal, limit: Decimal) -> bool:
        return price < limit if self._side is Side.BUY else price > limit

    def _grid_around(self, best: int, step: int) -> range:
        if best <= 0:
            return range(0)
        if self._side is Side.SELL:
            first = best // step * step + step
            return range(first, first + (self._depth - 1) * step, step)
        first = (best - 1) // step * step
        return range(first, max(first - (self._depth - 1) * step, 0), -step)

    def _level(self, price: int) -> Level | None:
        """Return a level: the best is worth `level_value`, others half to one and a half of it; None where none is."""
        if price == self._best and price > 0:
            share = 1000
        elif price in self._grid:
            share = 500 + crc32(b"%d %d %d" % (self._seed, self._side.sign, price)) % 1001
        else:
            return None
        quantity = -(-self._value * share // (price * 1000))
        return self._prices.amount(price), self._quantities.amount(max(quantity, 1))


def _step(last: int, current: int) -> int:
    """Return increments between two levels of the grid: 1, 2 or 5 times a power of ten, kept while it still fits."""
    ideal = max(last // SPACING, 1)
    if current and current <= 2 * ideal and ideal < 5 * current:
        return current
    power: int = 10 ** (len(str(ideal)) - 1)
    return next(factor * power for factor in (5, 2, 1) if factor * power <= ideal)


def _check(listing: Listing) -> None:
    pair, costs = listing.instrument.pair, listing.costs
    if not 1 <= listing.levels <= MAX_LEVELS:
        raise InvalidValue(f"{pair}: levels is {listing.levels}, allowed is 1 to {MAX_LEVELS} per side")
    if not (listing.level_value.is_finite() and listing.level_value > 0):
        raise InvalidValue(f"{pair}: level_value is {listing.level_value}, it must be above zero")
    if costs.half_spread + costs.slippage < MIN_SPREAD:
        raise InvalidValue(
            f"{pair}: half_spread and slippage are zero, so bid and ask would be one price: set one above zero"
        )
