"""Turning one asset into another at the venue: which orders, how much they spend, what they bring. Exact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from itertools import permutations

from trading.errors import InvalidValue, NotStored
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Side, round_down
from trading.portfolio.exact import DIGITS, TRAPS, check_positive

# Amounts are never rounded up: what is planned can be paid for.
DOWNWARDS = Context(prec=DIGITS, rounding=ROUND_DOWN, traps=TRAPS)


@dataclass(frozen=True, slots=True)
class Market:
    """Prices (quote per base) and what the venue asks of a market order."""

    prices: Mapping[Pair, Decimal]
    instruments: Mapping[Pair, Instrument]
    concession: Decimal  # share of the price that a market order gives away: half the spread and the slippage

    def __post_init__(self) -> None:
        if not (self.concession.is_finite() and 0 <= self.concession < 1):
            raise InvalidValue(f"concession is {self.concession}: allowed is from 0 to below 1")
        for pair, price in self.prices.items():
            check_positive(f"price of {pair}", price)
        if missing := [pair for pair in self.prices if pair not in self.instruments]:
            raise NotStored(
                f"no instrument for {', '.join(map(str, missing))}: its rules say how it is traded"
            )


@dataclass(frozen=True, slots=True)
class PlannedTrade:
    """A market order and what it is expected to do to the balances, fee and concession included."""

    pair: Pair
    side: Side
    quantity: Decimal  # base currency, a multiple of the instrument's increment
    spends: Decimal  # of `source`
    receives: Decimal  # of `target`

    @property
    def source(self) -> str:
        return self.pair.base if self.side is Side.SELL else self.pair.quote

    @property
    def target(self) -> str:
        return self.pair.quote if self.side is Side.SELL else self.pair.base

    def __str__(self) -> str:
        return f"{self.side} {self.quantity:f} {self.pair}"


@dataclass(frozen=True, slots=True)
class Conversion:
    """Orders in their sequence, each spending what the one before brings."""

    trades: tuple[PlannedTrade, ...]

    @property
    def spends(self) -> Decimal:
        return self.trades[0].spends

    @property
    def receives(self) -> Decimal:
        return self.trades[-1].receives

    @property
    def yields(self) -> Decimal:
        """Received per unit spent."""
        return DOWNWARDS.divide(self.receives, self.spends)


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str


def best_conversion(source: str, target: str, amount: Decimal, market: Market) -> Conversion | Refusal:
    """At most `amount` of `source` into `target`, directly or through a third asset: whichever yields more.

    The direct way among equals. A refusal names why each way is closed.
    """
    answers = [conversion(way, source, amount, market) for way in _ways(source, target, market)]
    open_ways = [answer for answer in answers if isinstance(answer, Conversion)]
    if open_ways:
        return max(open_ways, key=lambda way: way.yields)
    reasons = dict.fromkeys(answer.reason for answer in answers if isinstance(answer, Refusal))
    return Refusal("; ".join(reasons) or f"no pair leads from {source} to {target}")


def conversion(way: Sequence[Pair], source: str, amount: Decimal, market: Market) -> Conversion | Refusal:
    """The orders of one way, pair by pair, starting with at most `amount` of `source`."""
    trades: list[PlannedTrade] = []
    for pair in way:
        trade = _planned(pair, source, amount, market)
        if isinstance(trade, Refusal):
            return trade
        trades.append(trade)
        source, amount = trade.target, trade.receives
    return Conversion(tuple(trades))


def _ways(source: str, target: str, market: Market) -> list[tuple[Pair, ...]]:
    direct = [(pair,) for pair in market.prices if {pair.base, pair.quote} == {source, target}]
    detours = [
        (first, second)
        for first, second in permutations(market.prices, 2)
        if source in (first.base, first.quote)
        and {second.base, second.quote} == {_other(first, source), target}
        and target not in (first.base, first.quote)
    ]
    return [*direct, *detours]


def _other(pair: Pair, asset: str) -> str:
    return pair.quote if pair.base == asset else pair.base


def _planned(pair: Pair, source: str, amount: Decimal, market: Market) -> PlannedTrade | Refusal:
    instrument, price = market.instruments[pair], market.prices[pair]
    side = Side.SELL if source == pair.base else Side.BUY
    with localcontext(DOWNWARDS):
        factor = (1 + side.sign * market.concession) * (1 + side.sign * instrument.taker_fee)
        quote_per_base = price * factor  # paid for one unit of base, or left of its sale
        wanted = amount if side is Side.SELL else amount / quote_per_base
        quantity = round_down(wanted, instrument.quantity_increment)
        if refusal := _refused(instrument, quantity, price):
            return refusal
        quote = quantity * quote_per_base
    spends, receives = (quantity, quote) if side is Side.SELL else (quote, quantity)
    return PlannedTrade(pair, side, quantity, spends, receives)


def _refused(instrument: Instrument, quantity: Decimal, price: Decimal) -> Refusal | None:
    pair = instrument.pair
    if instrument.status is not PairStatus.ONLINE:
        return Refusal(f"{pair} is {instrument.status.value}")
    if quantity <= 0 or quantity < instrument.minimum_quantity:
        return Refusal(
            f"{quantity:f} {pair.base} is below the minimum of {pair}, {instrument.minimum_quantity:f}"
        )
    if quantity * price < instrument.minimum_cost:
        return Refusal(f"{quantity * price:f} {pair.quote} is below the minimum cost of {pair}")
    return None
