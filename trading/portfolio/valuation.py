"""The value of balances in one asset: equity, allocation, drawdown."""

from collections.abc import Collection, Mapping
from decimal import ROUND_FLOOR, Decimal, localcontext

from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.portfolio.exact import SPLITTING, divide, exactly
from trading.portfolio.rates import conversion_path, rate

SHARES = Decimal(10**12)  # allocation counts in shares of 1e-12


def equity(balances: Mapping[str, Decimal], quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
    """Return the value of all balances in `quote`; a debt (below zero) counts against it.

    An asset of which nothing is left needs no price. NotStored names a missing one; InvalidValue a balance that
    is no number.
    """
    with exactly():
        return sum(_values(balances, quote, prices).values(), Decimal(0))


def priced(
    balances: Mapping[str, Decimal], quote: str, pairs: Collection[Pair]
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Part the balances into those that some path of `pairs` values in `quote`, and those that none does.

    Staking balances such as BTC.F, and dust of currencies that are not traded, are of the second kind. An asset of
    which nothing is left is of the first.
    """
    without = {
        asset: amount for asset, amount in balances.items() if amount and not _is_joined(asset, quote, pairs)
    }
    return {asset: amount for asset, amount in balances.items() if asset not in without}, without


def _is_joined(asset: str, quote: str, pairs: Collection[Pair]) -> bool:
    try:
        conversion_path(asset, quote, pairs)
    except NotStored:
        return False
    return True


def allocation(
    balances: Mapping[str, Decimal], quote: str, prices: Mapping[Pair, Decimal]
) -> dict[str, Decimal]:
    """Return each asset's share of the equity, to 12 places, adding up to exactly 1.

    What rounding down leaves goes to the largest remainders. All 0 when there is no equity to share.
    """
    total = equity(balances, quote, prices)
    if total <= 0:
        return dict.fromkeys(balances, Decimal(0))
    with localcontext(SPLITTING):
        exact = {asset: value * SHARES / total for asset, value in _values(balances, quote, prices).items()}
        whole = {asset: count.to_integral_value(ROUND_FLOOR) for asset, count in exact.items()}
        missing = int(SHARES - sum(whole.values()))
        for asset in sorted(exact, key=lambda name: (whole[name] - exact[name], name))[:missing]:
            whole[asset] += 1
        return {asset: count / SHARES for asset, count in whole.items()}


def drawdown(value: Decimal, peak: Decimal) -> Decimal:
    """Return the share of the highest equity so far that is lost; 0 at the peak, and before there was any equity."""
    if peak <= 0 or value >= peak:
        return Decimal(0)
    with exactly():
        return divide(peak - value, peak)


def _values(
    balances: Mapping[str, Decimal], quote: str, prices: Mapping[Pair, Decimal]
) -> dict[str, Decimal]:
    for asset, amount in balances.items():
        if not amount.is_finite():
            raise InvalidValue(f"balance of {asset} is {amount}: a number is wanted")
    return {
        asset: amount * rate(asset, quote, prices) if amount else Decimal(0)
        for asset, amount in balances.items()
    }
