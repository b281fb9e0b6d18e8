"""The allocation of the portfolio: each asset's value and share against its target."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from trading.errors import InvalidValue
from trading.market import Pair
from trading.portfolio.exact import check_amount, exactly
from trading.portfolio.rates import rate
from trading.rebalancing.conversion import ROUND_DOWN_CONTEXT, MarketConditions
from trading.regime import Regime, RegimeKind


@dataclass(frozen=True, slots=True)
class RegimeShift:
    """The regime of a pair at the last rebalancing, and now."""

    pair: Pair
    before: RegimeKind
    now: Regime


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a recommendation is made from, all of one moment.

    InvalidValue for a balance that cannot be, or a part of one that is larger than the whole.
    """

    balances: Mapping[str, Decimal]
    reserved: Mapping[str, Decimal]  # parts of the balances that open positions and orders need
    quote: str  # what values are counted in
    market: MarketConditions
    reference_prices: Mapping[Pair, Decimal]  # at the last rebalancing; empty: gains are unknown
    shifts: tuple[RegimeShift, ...]

    def __post_init__(self) -> None:
        for asset, amount in self.balances.items():
            check_amount(f"balance of {asset}", amount)
        for asset, amount in self.reserved.items():
            balance = self.balances.get(asset, Decimal(0))
            if check_amount(f"reserve of {asset}", amount) > balance:
                raise InvalidValue(f"reserve of {asset} is {amount}, but only {balance} are held")


@dataclass(frozen=True, slots=True)
class AssetAllocation:
    """One asset's place in the portfolio; values in the counting asset."""

    asset: str
    price: Decimal
    value: Decimal
    surplus: Decimal  # value beyond the target's, below zero: what is missing to it
    share: Decimal
    target: Decimal
    free: Decimal  # units that nothing else needs

    @property
    def drift(self) -> Decimal:
        return self.share - self.target


def allocations(situation: Situation, targets: Mapping[str, Decimal]) -> tuple[AssetAllocation, ...]:
    """List every asset that is held or wanted; empty when nothing is held.

    NotStored names an asset without a price. InvalidValue names one that is held and has no target: whether it
    is to be sold is not for this module to guess.
    """
    owned = {asset: amount for asset, amount in situation.balances.items() if amount}
    if untargeted := [asset for asset in owned if asset not in targets]:
        raise InvalidValue(f"{', '.join(untargeted)} is held and has no target: give it one, 0 to sell it")
    wanted = {asset: target for asset, target in targets.items() if target or asset in owned}
    prices = {asset: rate(asset, situation.quote, situation.market.prices) for asset in wanted}
    with exactly():
        values = {asset: owned.get(asset, Decimal(0)) * price for asset, price in prices.items()}
        total = sum(values.values(), Decimal(0))
        surplus = {asset: values[asset] - target * total for asset, target in wanted.items()}
        free = {asset: amount - situation.reserved.get(asset, Decimal(0)) for asset, amount in owned.items()}
    if not total:
        return ()
    with localcontext(ROUND_DOWN_CONTEXT):
        return tuple(
            AssetAllocation(
                asset=asset,
                price=prices[asset],
                value=values[asset],
                surplus=surplus[asset],
                share=values[asset] / total,
                target=target,
                free=free.get(asset, Decimal(0)),
            )
            for asset, target in wanted.items()
        )


def distance_from_target(assets: Iterable[AssetAllocation]) -> Decimal:
    """Return the share of the portfolio that lies in the wrong asset: 0 at the target."""
    with localcontext(ROUND_DOWN_CONTEXT):
        return sum((abs(each.drift) for each in assets), Decimal(0)) / 2
