"""The orders that convert one asset into another at the venue, what they spend and what they bring. Exact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from itertools import permutations

from trading.errors import InvalidValue, NotStored
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Side, round_down
from trading.portfolio.exact import DIGITS, TRAPS, check_positive

# Amounts are never rounded up: what is planned can be paid for.
ROUND_DOWN_CONTEXT = Context(prec=DIGITS, rounding=ROUND_DOWN, traps=TRAPS)


@dataclass(frozen=True, slots=True)
class MarketConditions:
    """Prices (quote per base) and the terms of a market order."""

    prices: Mapping[Pair, Decimal]
    instruments: Mapping[Pair, Instrument]
    price_buffer: Decimal  # share of the price that an order gives away: half the spread and the slippage

    def __post_init__(self) -> None:
        if not (self.price_buffer.is_finite() and 0 <= self.price_buffer < 1):
            raise InvalidValue(f"price_buffer is {self.price_buffer}: allowed is from 0 to below 1")
        for pair, price in self.prices.items():
            check_positive(f"price of {pair}", price)
        if missing := [pair for pair in self.prices if pair not in self.instruments]:
            raise NotStored(
                f"no instrument for {', '.join(map(str, missing))}: its rules say how it is traded"
            )


@dataclass(frozen=True, slots=True)
class PlannedTrade:
    """A market order and what it is expected to do to the balances, fee and price buffer included."""

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
        return ROUND_DOWN_CONTEXT.divide(self.receives, self.spends)


@dataclass(frozen=True, slots=True)
class NoConversion:
    """Why an asset cannot be converted."""

    reason: str


def best_conversion(
    source: str, target: str, amount: Decimal, market: MarketConditions
) -> Conversion | NoConversion:
    """Convert at most `amount` of `source` into `target`, directly or through a third asset: whichever yields more.

    The direct route wins among equals. NoConversion says why each route is closed.
    """
    results = [convert_along(route, source, amount, market) for route in _routes(source, target, market)]
    conversions = [result for result in results if isinstance(result, Conversion)]
    if conversions:
        return max(conversions, key=lambda conversion: conversion.yields)
    reasons = dict.fromkeys(result.reason for result in results if isinstance(result, NoConversion))
    return NoConversion("; ".join(reasons) or f"no pair leads from {source} to {target}")


def convert_along(
    route: Sequence[Pair], source: str, amount: Decimal, market: MarketConditions
) -> Conversion | NoConversion:
    """Plan the orders of one route, pair by pair, starting with at most `amount` of `source`."""
    trades: list[PlannedTrade] = []
    for pair in route:
        trade = _plan_trade(pair, source, amount, market)
        if isinstance(trade, NoConversion):
            return trade
        trades.append(trade)
        source, amount = trade.target, trade.receives
    return Conversion(tuple(trades))


def _routes(source: str, target: str, market: MarketConditions) -> list[tuple[Pair, ...]]:
    direct = [(pair,) for pair in market.prices if {pair.base, pair.quote} == {source, target}]
    detours = [
        (first, second)
        for first, second in permutations(market.prices, 2)
        if source in (first.base, first.quote)
        and {second.base, second.quote} == {_other_asset(first, source), target}
        and target not in (first.base, first.quote)
    ]
    return [*direct, *detours]


def _other_asset(pair: Pair, asset: str) -> str:
    return pair.quote if pair.base == asset else pair.base


def _plan_trade(
    pair: Pair, source: str, amount: Decimal, market: MarketConditions
) -> PlannedTrade | NoConversion:
    instrument, price = market.instruments[pair], market.prices[pair]
    side = Side.SELL if source == pair.base else Side.BUY
    with localcontext(ROUND_DOWN_CONTEXT):
        factor = (1 + side.sign * market.price_buffer) * (1 + side.sign * instrument.taker_fee)
        quote_per_base = price * factor  # paid for one unit of base, or left of its sale
        wanted = amount if side is Side.SELL else amount / quote_per_base
        quantity = round_down(wanted, instrument.quantity_increment)
        if refusal := _venue_refusal(instrument, quantity, price):
            return refusal
        quote = quantity * quote_per_base
    spends, receives = (quantity, quote) if side is Side.SELL else (quote, quantity)
    return PlannedTrade(pair=pair, side=side, quantity=quantity, spends=spends, receives=receives)


def _venue_refusal(instrument: Instrument, quantity: Decimal, price: Decimal) -> NoConversion | None:
    pair = instrument.pair
    if instrument.status is not PairStatus.ONLINE:
        return NoConversion(f"{pair} is {instrument.status.value}")
    if quantity <= 0 or quantity < instrument.minimum_quantity:
        return NoConversion(
            f"{quantity:f} {pair.base} is below the minimum of {pair}, {instrument.minimum_quantity:f}"
        )
    if quantity * price < instrument.minimum_cost:
        return NoConversion(f"{quantity * price:f} {pair.quote} is below the minimum cost of {pair}")
    return None
