"""How Kraken spells numbers and times: prices and quantities with all decimals of their pair, RFC 3339 in UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from streaming.sandbox.formatting import price_decimals, quantity_decimals
from streaming.sandbox.model import Listing


@dataclass(frozen=True, slots=True)
class Decimals:
    """How many decimals a pair's numbers have."""

    price: int
    quantity: int

    @classmethod
    def of(cls, listing: Listing) -> "Decimals":
        instrument = listing.instrument
        return cls(price_decimals(instrument), quantity_decimals(instrument))

    def spell_price(self, price: Decimal) -> msgspec.Raw:
        return number(price, self.price)

    def spell_quantity(self, quantity: Decimal) -> msgspec.Raw:
        return number(quantity, self.quantity)


def number(value: Decimal, decimals: int) -> msgspec.Raw:
    """A JSON number with exactly so many decimals; what lies beyond them is rounded to even."""
    quantum = Decimal(1).scaleb(-decimals)
    return msgspec.Raw(format(value.quantize(quantum, ROUND_HALF_EVEN), "f").encode())


def exact(value: Decimal) -> msgspec.Raw:
    """A JSON number with the digits that it has, never with an exponent."""
    return msgspec.Raw(format(value, "f").encode())


def plain(value: Decimal) -> msgspec.Raw:
    """A JSON number as it stands: 0.00002, 10.00000000, 1E-8."""
    return msgspec.Raw(str(value).encode())


def microseconds(at: datetime) -> str:
    """2026-08-02T03:35:51.302928Z; `at` must be UTC."""
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def nanoseconds(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")[:26] + "000Z"


def told(server: float) -> str:
    """Server time, seconds since 1970, as it stands in answers."""
    return microseconds(datetime.fromtimestamp(server, UTC))
