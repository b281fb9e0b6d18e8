"""How Kraken's REST answers spell numbers and times."""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, localcontext

BOOK_DECIMALS = 3  # quantities of Depth, whatever the pair
SMALLEST_SHOWN = Decimal("0.001")
DIGITS = 60  # more than any amount has


def fixed(amount: Decimal, decimals: int) -> str:
    """With exactly so many decimals; what lies beyond is rounded to even."""
    with localcontext(prec=DIGITS):
        return format(amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN), "f")


def plain(amount: Decimal) -> str:
    """Without zeros at the end: 0.00005, 20."""
    with localcontext(prec=DIGITS):
        return format(amount.normalize(), "f")


def signed(amount: Decimal, decimals: int) -> str:
    return f"{'-' if amount < 0 else '+'}{fixed(abs(amount), decimals)}"


def book_quantity(quantity: Decimal) -> str:
    """A level that is there never reads 0.000: that is how levels go away."""
    return fixed(max(quantity, SMALLEST_SHOWN), BOOK_DECIMALS)


def whole_lots(quantity: Decimal) -> tuple[str, str]:
    """The `whole lot volume` and `lot volume` of the ticker: both are rounded up."""
    lots = int(quantity.to_integral_value(ROUND_CEILING))
    return str(lots), f"{lots}.000"


def seconds(at: datetime) -> float:
    return at.timestamp()


def rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc1123(at: datetime) -> str:
    """As Kraken's clock says it, with two digits for the year."""
    return at.strftime("%a, %d %b %y %H:%M:%S +0000")
