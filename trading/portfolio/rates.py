"""The price of one asset in another, over as few pairs as possible."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise

from trading.errors import NotStored
from trading.market import Pair
from trading.portfolio.exact import check_positive, divide, exactly


def rate(asset: str, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
    """Price one `asset` in `quote`: directly, inverted, or through other pairs.

    The path is `conversion_path`'s; along it the price is exact unless a pair is read inverted, which rounds
    once, to 50 digits. Raises NotStored when no path joins the two: a missing price is never zero. Raises
    InvalidValue for a price on the path that is not a number above zero.
    """
    path = conversion_path(asset, quote, prices)
    numerator = denominator = Decimal(1)
    with exactly():
        for base, counter in pairwise(path):
            if (direct := Pair(base, counter)) in prices:
                numerator *= check_positive(f"price of {direct}", prices[direct])
            else:
                inverse = Pair(counter, base)
                denominator *= check_positive(f"price of {inverse}", prices[inverse])
    return numerator if denominator == 1 else divide(numerator, denominator)


def conversion_path(asset: str, quote: str, pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Return the assets from `asset` to `quote`, both included, each joined to the next by a pair, whichever way round.

    The shortest path; of several that are as short, the alphabetically first. Raises NotStored without one.
    """
    known = sorted(pairs)
    paths: dict[str, tuple[str, ...]] = {asset: (asset,)}
    newest = [asset]
    while newest and quote not in paths:
        longer = {
            after: (*paths[reached], after)
            for reached in reversed(newest)  # the first in the alphabet is written last and stays
            for after in _neighbours(reached, known)
            if after not in paths
        }
        paths |= longer
        newest = sorted(longer, key=longer.__getitem__)
    if quote not in paths:
        raise NotStored(
            f"no price joins {asset} and {quote}: known pairs are {', '.join(map(str, known)) or 'none'}"
        )
    return paths[quote]


def _neighbours(asset: str, pairs: Iterable[Pair]) -> set[str]:
    return {
        pair.quote if pair.base == asset else pair.base for pair in pairs if asset in (pair.base, pair.quote)
    }
