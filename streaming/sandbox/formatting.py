"""How Kraken writes numbers and times, and how many decimals the numbers of a pair have."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

import msgspec

from streaming.sandbox.model import Listing
from trading.market import Instrument

# No rule fits the 683 recorded pairs: these are as recorded, the rest as most of them are.
_COST_DECIMALS = {"ETH/BTC": 10, "XRP/BTC": 9, "XRP/USDT": 8, "XRP/USD": 8, "XRP/EUR": 8, "XRP/ETH": 10}
_WIDE = Context(prec=60)  # more digits than any amount has
_BOOK_DECIMALS = 3  # quantities of Depth over REST, whatever the pair
_MIN_BOOK_QUANTITY = Decimal("0.001")


def price_decimals(instrument: Instrument) -> int:
    return _decimals(instrument.price_increment)


def quantity_decimals(instrument: Instrument) -> int:
    return _decimals(instrument.quantity_increment)


def cost_decimals(instrument: Instrument) -> int:
    """Return the decimals of a price times a quantity, and of a fee."""
    known = _COST_DECIMALS.get(str(instrument.pair), 5)
    return max(known, price_decimals(instrument))


def _decimals(increment: Decimal) -> int:
    """0.10 has one, 5 has none."""
    return max(0, -int(increment.normalize(_WIDE).as_tuple().exponent))


# --- text, as REST has it --------------------------------------------------------------------------------------


def format_fixed(amount: Decimal, decimals: int) -> str:
    """Write exactly so many decimals; what lies beyond is rounded to even."""
    return format(amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN, _WIDE), "f")


def format_whole(amount: Decimal, decimals: int) -> str:
    """Write at least so many decimals, and as many more as the amount has: nothing is rounded."""
    return (
        format_fixed(amount, max(decimals, _decimals(amount))) if amount else format_fixed(amount, decimals)
    )


def format_short(amount: Decimal) -> str:
    """Write no zeros at the end: 0.00005, 20."""
    return format(amount.normalize(_WIDE), "f")


def format_signed(amount: Decimal, decimals: int) -> str:
    """Write the sign even where it is a plus."""
    return f"{'-' if amount < 0 else '+'}{format_fixed(abs(amount), decimals)}"


def format_book_quantity(quantity: Decimal) -> str:
    """Write a level's quantity, never as 0.000: that is how levels go away."""
    return format_fixed(max(quantity, _MIN_BOOK_QUANTITY), _BOOK_DECIMALS)


def format_whole_lots(quantity: Decimal) -> tuple[str, str]:
    """Write the `whole lot volume` and `lot volume` of the ticker: both are rounded up."""
    lots = int(quantity.to_integral_value(ROUND_CEILING))
    return str(lots), f"{lots}.000"


def format_rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def format_rfc1123(at: datetime) -> str:
    """Write a time as Kraken's clock does, with two digits for the year."""
    return at.strftime("%a, %d %b %y %H:%M:%S +0000")


def format_microseconds(at: datetime) -> str:
    """Write 2026-08-02T03:35:51.302928Z; `at` must be UTC."""
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def format_nanoseconds(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")[:26] + "000Z"


def format_server_time(seconds: float) -> str:
    """Write server time, seconds since 1970, as responses over WebSocket have it."""
    return format_microseconds(datetime.fromtimestamp(seconds, UTC))


# --- JSON numbers, as WebSocket v2 has them --------------------------------------------------------------------


def json_fixed(value: Decimal, decimals: int) -> msgspec.Raw:
    """Write exactly so many decimals; what lies beyond is rounded to even."""
    return msgspec.Raw(format_fixed(value, decimals).encode())


def json_exact(value: Decimal) -> msgspec.Raw:
    """Write the digits that the value has, never an exponent."""
    return msgspec.Raw(format(value, "f").encode())


def json_unchanged(value: Decimal) -> msgspec.Raw:
    """Write the value as it stands: 0.00002, 10.00000000, 1E-8."""
    return msgspec.Raw(str(value).encode())


@dataclass(frozen=True, slots=True)
class PairDecimals:
    """How many decimals a pair's numbers have."""

    price: int
    quantity: int

    @classmethod
    def of(cls, listing: Listing) -> "PairDecimals":
        instrument = listing.instrument
        return cls(price_decimals(instrument), quantity_decimals(instrument))

    def json_price(self, price: Decimal) -> msgspec.Raw:
        return json_fixed(price, self.price)

    def json_quantity(self, quantity: Decimal) -> msgspec.Raw:
        return json_fixed(quantity, self.quantity)
