"""The account at the end of one minute: balances, open positions, results and exposure at one moment's prices."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from trading.errors import NotStored
from trading.market import Pair, Timeframe
from trading.portfolio import Holding, Portfolio, conversion_path, drawdown, equity, priced, unrealised
from trading.portfolio.exact import exactly, trim_zeros

MINUTE = Timeframe.M1.duration
NOT_STREAMED = "not streamed"  # why nobody sees a pair that is held and not traded any more


@dataclass(frozen=True, slots=True)
class PriceReading:
    """The prices of one moment. A pair is either priced or unseen, with the reason."""

    at: datetime
    prices: Mapping[Pair, Decimal]  # quote per base: the middle of the book
    unseen: Mapping[Pair, str]


@dataclass(frozen=True, slots=True)
class BookedAccount:
    """What the journal has booked of an account up to a moment, as it is known now."""

    balances: Mapping[str, Decimal]
    portfolio: Portfolio  # of the fills of positions; its balances are those of these fills alone
    peak: Decimal | None  # the highest equity so far, as risk counts it; None: none is known yet
    newest_entry: int  # number of the ledger's newest entry: what is booked later has a higher one


@dataclass(frozen=True, slots=True)
class BalanceValue:
    amount: Decimal
    value: Decimal | None  # in the account's quote


@dataclass(frozen=True, slots=True)
class PositionValue:
    pair: Pair
    quantity: Decimal  # base currency, signed
    entry_price: Decimal  # average, quote per base, fees apart
    opened_at: datetime
    price: Decimal | None  # quote per base
    unrealised_pnl: Decimal | None  # in the account's quote, fees apart


@dataclass(frozen=True, slots=True)
class AccountMinute:
    """One account at the end of one minute. Values are in `quote`; None where a price was not known, never zero."""

    account: str
    minute: datetime  # its beginning
    at: datetime  # when prices and balances were read: just after its end
    known_at: datetime  # when the row was made: what was booked later is not in it
    newest_entry: int  # of the ledger, then
    quote: str
    balances: Mapping[str, BalanceValue]
    left_out: Mapping[str, Decimal]  # what no pair prices: no part of the equity
    positions: tuple[PositionValue, ...]
    prices: Mapping[Pair, Decimal]  # that the values rest on
    unseen: Mapping[Pair, str]  # pairs that a value needs and nobody could see, with the reason
    equity: Decimal | None
    realised_pnl: Decimal | None  # since the account opened, before fees, at these prices
    unrealised_pnl: Decimal | None  # of what is open
    fees: Decimal | None  # since the account opened, at these prices
    gross_exposure: Decimal | None  # value of all positions, shorts too
    net_exposure: Decimal | None  # longs less shorts
    peak_equity: Decimal | None
    drawdown: Decimal | None  # share of the peak that is lost

    @property
    def cash(self) -> Decimal:
        """Return the amount of the quote asset."""
        balance = self.balances.get(self.quote)
        return Decimal(0) if balance is None else balance.amount


def account_minute(
    account: str,
    quote: str,
    minute: datetime,
    reading: PriceReading,
    booked: BookedAccount,
    known_at: datetime,
) -> AccountMinute:
    """Value the account. An asset whose pair is unseen has no value, and neither has a sum that needs it."""
    holdings = [each for _, each in sorted(booked.portfolio.holdings.items())]
    prices = _Prices(quote, reading, booked.portfolio.holdings)
    valued, left_out = priced(booked.balances, quote, prices.pairs)
    now = prices.value(valued)
    exposures = [prices.value({each.pair.base: each.quantity}) for each in holdings]
    peak = max((each for each in (booked.peak, now) if each is not None), default=None)
    return AccountMinute(
        account=account,
        minute=minute,
        at=reading.at,
        known_at=known_at,
        newest_entry=booked.newest_entry,
        quote=quote,
        balances={
            asset: BalanceValue(amount, prices.value({asset: amount})) for asset, amount in valued.items()
        },
        left_out=left_out,
        positions=tuple(_position(each, prices) for each in holdings),
        equity=now,
        realised_pnl=prices.value(booked.portfolio.gains),
        unrealised_pnl=_total(prices.unrealised(each) for each in holdings),
        fees=prices.value(booked.portfolio.fees),
        gross_exposure=_total(None if each is None else abs(each) for each in exposures),
        net_exposure=_total(exposures),
        peak_equity=peak,
        drawdown=None if now is None or peak is None else drawdown(now, peak),
        prices={pair: reading.prices[pair] for pair in sorted(prices.used & reading.prices.keys())},
        unseen={pair: prices.unseen[pair] for pair in sorted(prices.used & prices.unseen.keys())},
    )


class _Prices:
    """Values amounts, and notes which pairs that took; None for what needs one that is unseen, or that none joins."""

    def __init__(self, quote: str, reading: PriceReading, held: Collection[Pair]) -> None:
        self._quote = quote
        self._prices = reading.prices
        not_streamed = dict.fromkeys({*held} - reading.prices.keys() - reading.unseen.keys(), NOT_STREAMED)
        self.unseen = {**not_streamed, **reading.unseen}
        self.pairs = frozenset(reading.prices) | self.unseen.keys()
        self.used: set[Pair] = set()

    def value(self, amounts: Mapping[str, Decimal]) -> Decimal | None:
        if not self._can_value(amounts):
            return None
        return trim_zeros(equity(amounts, self._quote, self._prices))

    def unrealised(self, holding: Holding) -> Decimal | None:
        if not self._can_value({holding.pair.base: holding.quantity, holding.pair.quote: holding.cost}):
            return None
        return trim_zeros(unrealised(holding, self._quote, self._prices))

    def price(self, pair: Pair) -> Decimal | None:
        self.used.add(pair)
        return self._prices.get(pair)

    def _can_value(self, amounts: Mapping[str, Decimal]) -> bool:
        """Return whether every pair between the assets and the quote is seen: no detour around one that is not."""
        try:
            paths = [
                conversion_path(asset, self._quote, self.pairs) for asset, amount in amounts.items() if amount
            ]
        except NotStored:
            return False
        needed = {self._joining(*step) for path in paths for step in pairwise(path)}
        self.used |= needed
        return needed <= self._prices.keys()

    def _joining(self, first: str, second: str) -> Pair:
        direct = Pair(first, second)
        return direct if direct in self.pairs else Pair(second, first)


def _position(holding: Holding, prices: _Prices) -> PositionValue:
    return PositionValue(
        pair=holding.pair,
        quantity=holding.quantity,
        entry_price=holding.entry_price,
        opened_at=holding.opened_at,
        price=prices.price(holding.pair),
        unrealised_pnl=prices.unrealised(holding),
    )


def _total(values: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum; None where one of them is not known."""
    total = Decimal(0)
    with exactly():
        for each in values:
            if each is None:
                return None
            total += each
    return trim_zeros(total)


def missing_minutes(
    minutes: Iterable[AccountMinute], start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Return the stretches of [start, end) of which no minute is there, each from its first minute to its end."""
    known = {each.minute for each in minutes}
    stretches: list[tuple[datetime, datetime]] = []
    for number in range((end - start) // MINUTE):
        at = start + number * MINUTE
        if at in known:
            continue
        if stretches and stretches[-1][1] == at:
            stretches[-1] = (stretches[-1][0], at + MINUTE)
        else:
            stretches.append((at, at + MINUTE))
    return stretches
