"""Prices on the pair's increments: absolute prices of a trader's price terms and of trailing stops."""

from decimal import ROUND_HALF_EVEN, Decimal

from streaming.sandbox.model import PriceTerm, PriceUnit, Refused
from trading.market import Instrument
from trading.orders import Side

MAX_DIGITS = 15  # digits before the point of any price or quantity
MAX_DECIMALS = 20  # digits after it


def check_number(value: object, refusal: str) -> Decimal:
    """Return the value, when it is a decimal that arithmetic here keeps exactly. Refused otherwise."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise Refused(refusal)
    exponent = value.as_tuple().exponent
    if value.adjusted() >= MAX_DIGITS or not isinstance(exponent, int) or exponent < -MAX_DECIMALS:
        raise Refused(refusal)
    return value


def absolute(term: PriceTerm, reference: Decimal | None, instrument: Instrument) -> Decimal:
    """Return the price that `term` means when the last price is `reference`.

    Refused for a price that is not above zero or between two increments, and for a relative one without a last
    price to start from. Relative prices become the nearest multiple of the increment.
    """
    value = check_number(term.value, "EOrder:Invalid price")
    if term.unit is not PriceUnit.ABSOLUTE:
        if reference is None:
            raise Refused("EService:Unavailable")
        value = _nearest(reference + distance(term, reference), instrument.price_increment)
    if value <= 0:
        raise Refused("EOrder:Invalid price")
    if value % instrument.price_increment:
        raise Refused("EOrder:Tick size check failed")
    return value


def distance(term: PriceTerm, reference: Decimal) -> Decimal:
    """Return quote currency, signed as the term is."""
    return reference * term.value.scaleb(-2) if term.unit is PriceUnit.PERCENT else term.value


def trailing_trigger(term: PriceTerm, peak: Decimal, side: Side, instrument: Instrument) -> Decimal:
    """Compute the price behind the best one by the distance, on the increment that is further away from it.

    Refused when the distance is not above zero or reaches below a price of zero.
    """
    behind = distance(PriceTerm(check_number(term.value, "EOrder:Invalid price"), term.unit), peak)
    if behind <= 0:
        raise Refused("EOrder:Invalid price")
    increments, rest = divmod(peak + side.sign * behind, instrument.price_increment)
    if rest and side is Side.BUY:
        increments += 1
    if increments <= 0:
        raise Refused("EOrder:Invalid price")
    return increments * instrument.price_increment


def _nearest(price: Decimal, increment: Decimal) -> Decimal:
    """Round to the nearest increment without a division that would have to round."""
    increments, rest = divmod(price, increment)
    half = rest + rest
    up = half > increment or (half == increment and increments % 2)
    return (increments + 1 if up else increments) * increment


def to_ten_places(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("1e-10"), ROUND_HALF_EVEN)
