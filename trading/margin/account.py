"""An account that borrows on margin by Kraken's rules: collateral, positions, fees, and when it is liquidated.

A margin position never touches the balances until it is closed: they are collateral, and only fees and closed
profits change them. Each opening fill is a position with its own clock; closing takes the oldest first. The venue
may charge fees in another currency and rate collateral below its price; here fees leave in the pair's quote and
collateral counts in full.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext

from trading.errors import InvalidValue
from trading.margin import arithmetic as margin
from trading.margin.terms import MarginPosition, MarginTerms
from trading.market import Pair
from trading.orders import Fill
from trading.portfolio import Profit
from trading.portfolio.exact import ROUNDED, check_amount, exactly
from trading.portfolio.rates import rate
from trading.portfolio.trades import check_fill
from trading.portfolio.valuation import equity

ZERO = Decimal(0)
LINEARITY_TOLERANCE = Decimal("1e-30")  # share of the values by which rounding may bend a straight line


@dataclass(frozen=True, slots=True)
class MarginAccount:
    """Collateral and open positions, valued in `quote`. Every change is a new account.

    At any prices, exactly: equity = equity of the opening balances + realised + unrealised profit - fees.
    `prices` must hold the pair of every open position.
    """

    terms: MarginTerms
    quote: str
    opening: Mapping[str, Decimal]
    # Collateral; below zero after a loss or fee in an asset without a balance.
    balances: Mapping[str, Decimal]
    positions: tuple[MarginPosition, ...]  # oldest first
    realised: Mapping[str, Decimal]  # closed profits by asset, before fees
    fees: Mapping[str, Decimal]  # trading, opening and rollover fees by asset

    @classmethod
    def of(cls, terms: MarginTerms, quote: str, opening: Mapping[str, Decimal]) -> "MarginAccount":
        """Open an account with these balances; InvalidValue names one that cannot be."""
        for asset, amount in opening.items():
            check_amount(f"opening balance of {asset}", amount)
        return cls(terms, quote, dict(opening), dict(opening), (), {}, {})

    def open_position(self, fill: Fill, leverage: Decimal, prices: Mapping[Pair, Decimal]) -> "MarginAccount":
        """Borrow what `fill` spent, after the rollovers due by then.

        Raises InvalidValue for a leverage outside 1 to the terms', a position open on the other side, and when
        free margin would fall below zero, fees included: the venue opens nothing below a level of 100 %.
        """
        check_fill(fill)
        if not (leverage.is_finite() and 1 <= leverage <= self.terms.leverage):
            raise InvalidValue(f"leverage is {leverage}: allowed is 1 to {self.terms.leverage}")
        if any(each.pair == fill.pair and each.quantity * fill.side.sign < 0 for each in self.positions):
            raise InvalidValue(f"{fill.pair} is open on the other side: close it before opening")
        earlier = self.with_rollovers(fill.filled_at)
        with exactly():
            quantity = fill.side.sign * fill.quantity
            new = MarginPosition(fill.pair, quantity, fill.price, leverage, fill.filled_at, 0)
            costs = margin.opening_cost(new.value, self.terms.opening_fee)
            account = replace(
                earlier._charge(fill.fee_asset, fill.fee)._charge(fill.pair.quote, costs),
                positions=(*earlier.positions, new),
            )
        marked = {**prices, fill.pair: fill.price}
        if (free := account.free_margin(marked)) < 0:
            raise InvalidValue(
                f"fill {fill.fill_id} would use {account.used_margin(marked):.8f} {self.quote} of margin against "
                f"an equity of {account.equity(marked):.8f}: free margin is short of {-free:.8f}"
            )
        return account

    def close_position(self, fill: Fill) -> "MarginAccount":
        """Close as much as `fill` traded, the oldest position first, after the rollovers due by then.

        Raises InvalidValue when less than that is open on the other side.
        """
        check_fill(fill)
        remaining, gain = -fill.side.sign * fill.quantity, ZERO
        positions: list[MarginPosition] = []
        with exactly():
            account = self.with_rollovers(fill.filled_at)._charge(fill.fee_asset, fill.fee)
            for each in account.positions:
                part = ZERO
                if each.pair == fill.pair and each.quantity * remaining > 0:
                    part = min(each.quantity, remaining, key=abs)
                    gain += replace(each, quantity=part).profit(fill.price)
                    remaining -= part
                positions += [replace(each, quantity=each.quantity - part)] if each.quantity != part else []
            if remaining:
                raise InvalidValue(
                    f"fill {fill.fill_id} closes {abs(remaining):f} {fill.pair.base} more than is open"
                )
            return replace(
                account,
                balances=_add(account.balances, fill.pair.quote, gain),
                realised=_add(account.realised, fill.pair.quote, gain),
                positions=tuple(positions),
            )

    def with_rollovers(self, now: datetime) -> "MarginAccount":
        """Charge every rollover that is due by `now`; an earlier time changes nothing."""
        account = self
        positions = []
        with exactly():
            for each in self.positions:
                due = max(each.rollovers_due(now, self.terms) - each.rolled, 0)
                cost = margin.rollover_cost(each.value, self.terms.rollover_fee, due)
                account = account._charge(each.pair.quote, cost)
                positions.append(replace(each, rolled=each.rolled + due))
        return replace(account, positions=tuple(positions))

    def equity(self, prices: Mapping[Pair, Decimal]) -> Decimal:
        """Return collateral and unrealised profit."""
        with exactly():
            return equity(self.balances, self.quote, prices) + self._unrealised_profit(prices)

    def used_margin(self, prices: Mapping[Pair, Decimal]) -> Decimal:
        """Return the equity that the open positions tie up, to 50 digits."""
        with localcontext(ROUNDED):
            return sum((self._used_by(each, prices) for each in self.positions), ZERO)

    def free_margin(self, prices: Mapping[Pair, Decimal]) -> Decimal:
        """Return the equity that is not tied up; below zero between a level of 100 % and liquidation."""
        with localcontext(ROUNDED):
            return self.equity(prices) - self.used_margin(prices)

    def margin_level(self, prices: Mapping[Pair, Decimal]) -> Decimal | None:
        """Return equity as a share of the used margin (1 = 100 %), None without a position."""
        used = self.used_margin(prices)
        with localcontext(ROUNDED):
            return margin.margin_level(self.equity(prices), used) if used else None

    def is_margin_called(self, prices: Mapping[Pair, Decimal]) -> bool:
        """Return whether the margin level is at or below the call level."""
        level = self.margin_level(prices)
        return level is not None and level <= self.terms.call_level

    def is_liquidated(self, prices: Mapping[Pair, Decimal]) -> bool:
        """Return whether the margin level is at or below the liquidation level."""
        level = self.margin_level(prices)
        return level is not None and level <= self.terms.liquidation_level

    def liquidation_price(self, pair: Pair, prices: Mapping[Pair, Decimal]) -> Decimal | None:
        """Return the price of `pair` that liquidates the account if no other moves; None when none above 0 does.

        Collateral in the base asset moves with it. InvalidValue when `quote` is reached through `pair` the
        other way round: count the account in another asset then.
        """
        if not any(each.pair == pair for each in self.positions):
            return None
        with localcontext(ROUNDED):
            current = rate(pair.base, pair.quote, prices)
            one, two, three = (self._liquidation_buffer({**prices, pair: n * current}) for n in (1, 2, 3))
            slope = two - one  # the buffer is a line: its values at one, two and three times the price
            if abs(three - two - slope) > LINEARITY_TOLERANCE * max(abs(one), abs(two), abs(three)):
                raise InvalidValue(
                    f"{self.quote} is priced through {pair} itself: no single price liquidates"
                )
            price = current - one * current / slope if slope else ZERO
            return price if price > 0 else None

    def profit(self, prices: Mapping[Pair, Decimal]) -> Profit:
        """Return realised and unrealised profit and all fees, at today's prices."""
        return Profit(
            realised=equity(self.realised, self.quote, prices),
            unrealised=self._unrealised_profit(prices),
            fees=equity(self.fees, self.quote, prices),
        )

    def _liquidation_buffer(self, prices: Mapping[Pair, Decimal]) -> Decimal:
        return self.equity(prices) - self.terms.liquidation_level * self.used_margin(prices)

    def _unrealised_profit(self, prices: Mapping[Pair, Decimal]) -> Decimal:
        gains: dict[str, Decimal] = {}
        with exactly():
            for each in self.positions:
                gain = each.profit(rate(each.pair.base, each.pair.quote, prices))
                gains[each.pair.quote] = gains.get(each.pair.quote, ZERO) + gain
        return equity(gains, self.quote, prices)

    def _used_by(self, position: MarginPosition, prices: Mapping[Pair, Decimal]) -> Decimal:
        price = rate(position.pair.base, position.pair.quote, prices)
        used = margin.used_margin(position.quantity, position.entry_price, price, position.leverage)
        return used * rate(position.pair.quote, self.quote, prices)

    def _charge(self, asset: str, fee: Decimal) -> "MarginAccount":
        return replace(self, balances=_add(self.balances, asset, -fee), fees=_add(self.fees, asset, fee))


def _add(amounts: Mapping[str, Decimal], asset: str, amount: Decimal) -> dict[str, Decimal]:
    return {**amounts, asset: amounts.get(asset, ZERO) + amount}
