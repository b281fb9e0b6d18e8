"""The market maker's quotes of one pair: what an order meets where no other trader is in its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from zlib import crc32

from streaming.events import Level
from streaming.sandbox.market.increments import Increments
from streaming.sandbox.model import Listing
from trading.errors import InvalidValue
from trading.fills import execution_price
from trading.orders import Side
from trading.venues.paper import rounded_against

MOST_LEVELS = 1000  # per side: the deepest book that Kraken's stream shows
LEAST_SPREAD = 1e-9  # share of the price: below, both sides round to the last price and the book is crossed
LARGEST_PRICE = 10**15  # increments: a double keeps every one of them
SPACING = 2_500  # the grid's step is about the last price divided by this: two to four basis points
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
    Quantities depend on the seed and on the prices quoted so far, and on nothing else.
    """

    def __init__(self, listing: Listing, seed: int = 0) -> None:
        _check(listing)
        self._listing = listing
        self._increment = listing.instrument.price_increment
        self._prices = Increments(self._increment, f"{listing.instrument.pair} price")
        self._sides = {side: _Quotes(side, listing, seed) for side in Side}
        self._step = 0  # of the grid, in increments
        self._epoch = 0  # requotes so far

    def requote(self, last: Decimal) -> LadderChanges:
        """Quote around `last` with full levels. InvalidValue unless it is a multiple of the increment above zero."""
        count = self._prices.count(last)
        if count > LARGEST_PRICE:
            raise InvalidValue(
                f"{self._listing.instrument.pair} trades at {last}: the increment is too small for that"
            )
        self._epoch += 1
        self._step = _step(count, self._step)
        bids, asks = (
            self._sides[side].requote(self._best(last, side), self._step, self._epoch)
            for side in (Side.BUY, Side.SELL)
        )
        return LadderChanges(bids, asks)

    def best(self, side: Side) -> Level | None:
        return next(iter(self._sides[side].levels(1)), None)

    def levels(self, side: Side, depth: int | None = None) -> Sequence[Level]:
        """Best first, at most `depth`. Bids end where prices would not be above zero."""
        return self._sides[side].levels(depth)

    def quantity_at(self, side: Side, price: Decimal) -> Decimal:
        """On offer at exactly this price; 0 where nothing is."""
        return self._sides[side].quantity_at(price)

    def take(self, taker: Side, limit: Decimal | None, quantity: Decimal) -> list[Level]:
        """What an order of `taker` gets, best first, nowhere worse than `limit`: price and quantity of each level.

        It is gone until the next requote. InvalidValue for a quantity that is not a multiple of the increment.
        """
        return self._sides[OPPOSITE[taker]].take(limit, quantity)

    def _best(self, last: Decimal, side: Side) -> int:
        """Increments of the best quote; 0 for a bid that would be below the first increment."""
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
        self._order: list[int] = []  # prices, best first
        self._quoted: dict[int, Level] = {}
        self._stale: set[int] = set()  # taken from, or no longer of the size that their place asks for

    def requote(self, best: int, step: int, epoch: int) -> tuple[Level, ...]:
        order = self._wanted(best, step)
        if order[:1] != self._order[:1]:
            self._stale.update(self._order[:1], order[:1])
        wanted = set(order)
        gone = [price for price in self._quoted if price not in wanted]
        fresh = [price for price in order if price not in self._quoted or price in self._stale]
        changes = {price: (self._quoted.pop(price)[0], Decimal(0)) for price in gone}
        for price in fresh:
            level = self._level(price, epoch, price == best)
            if level != self._quoted.get(price):
                changes[price] = self._quoted[price] = level
        self._order = order
        self._stale.clear()
        return tuple(changes[price] for price in sorted(changes, reverse=self._side is Side.BUY))

    def levels(self, depth: int | None) -> Sequence[Level]:
        standing = [self._quoted[price] for price in self._order if price in self._quoted]
        return standing if depth is None else standing[:depth]

    def quantity_at(self, price: Decimal) -> Decimal:
        level = self._quoted.get(self._prices.nearest(price))
        return level[1] if level and level[0] == price else Decimal(0)

    def take(self, limit: Decimal | None, quantity: Decimal) -> list[Level]:
        self._quantities.count(quantity)
        taken: list[Level] = []
        for count in self._order:
            price, offered = self._quoted.get(count, (Decimal(0), Decimal(0)))
            if not quantity or (limit is not None and offered and self._is_worse(price, limit)):
                break
            if part := min(offered, quantity):
                taken.append((price, part))
                quantity -= part
                self._reduce(count, offered - part)
        return taken

    def _reduce(self, count: int, rest: Decimal) -> None:
        price, _ = self._quoted.pop(count)
        self._stale.add(count)
        if rest:
            self._quoted[count] = price, rest

    def _is_worse(self, price: Decimal, limit: Decimal) -> bool:
        return price < limit if self._side is Side.BUY else price > limit

    def _wanted(self, best: int, step: int) -> list[int]:
        if best <= 0:
            return []
        if self._side is Side.SELL:
            first = best // step * step + step
            return [best, *range(first, first + (self._depth - 1) * step, step)]
        first = (best - 1) // step * step
        return [best, *range(first, max(first - (self._depth - 1) * step, 0), -step)]

    def _level(self, price: int, epoch: int, is_best: bool) -> Level:
        """The best level is worth `level_value`, the others half to one and a half of it."""
        noise = crc32(b"%d %d %d %d" % (self._seed, self._side.sign, price, epoch))
        share = 1000 if is_best else 500 + noise % 1001
        quantity = -(-self._value * share // (price * 1000))
        return self._prices.amount(price), self._quantities.amount(max(quantity, 1))


def _step(last: int, current: int) -> int:
    """Increments between two levels of the grid: 1, 2 or 5 times a power of ten, and kept while it still fits."""
    ideal = max(last // SPACING, 1)
    if current and current <= 2 * ideal and ideal < 5 * current:
        return current
    power: int = 10 ** (len(str(ideal)) - 1)
    return next(factor * power for factor in (5, 2, 1) if factor * power <= ideal)


def _check(listing: Listing) -> None:
    pair, costs = listing.instrument.pair, listing.costs
    if not 1 <= listing.levels <= MOST_LEVELS:
        raise InvalidValue(f"{pair}: levels is {listing.levels}, allowed is 1 to {MOST_LEVELS} per side")
    if not (listing.level_value.is_finite() and listing.level_value > 0):
        raise InvalidValue(f"{pair}: level_value is {listing.level_value}, it must be above zero")
    if costs.half_spread + costs.slippage < LEAST_SPREAD:
        raise InvalidValue(
            f"{pair}: half_spread and slippage are zero, so bid and ask would be one price: set one above zero"
        )
