"""Checks of the fields of CryptoCompare's frames: each error names its channel and field."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite

from streaming.events import Level
from streaming.feeds.cryptocompare.frames import PricedFrame
from trading.errors import InvalidMessage, InvalidValue
from trading.market import Pair
from trading.orders import Side

SELL, BUY, UNKNOWN_SIDE, REVERSED = 1, 2, 4, 8  # bits of a trade's F
MAX_EXPONENT = 30  # of an exact number: beyond it, it is no price or quantity
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TIME = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FieldChecks:
    """Checks of one frame of `channel`. Each returns the value or raises InvalidMessage."""

    channel: str

    def number(self, name: str, value: float, in_range: Callable[[float], bool]) -> float:
        """Return a finite number in range."""
        if not (isfinite(value) and in_range(value)):
            raise InvalidMessage(self.channel, f"{name} is {value!r}")
        return value

    def price(self, name: str, value: float) -> float:
        """Return a number above zero."""
        return self.number(name, value, _is_positive)

    def amount(self, name: str, value: float) -> float:
        """Return a number that is not below zero."""
        return self.number(name, value, _is_not_negative)

    def optional_price(self, name: str, value: float | None) -> float | None:
        """Return a number above zero, or None."""
        return None if value is None else self.price(name, value)

    def level(self, price: Decimal, quantity: Decimal) -> Level:
        """Return exact price and quantity; quantity 0 removes the level."""
        self._exact("P", price, _is_positive)
        self._exact("Q", quantity, _is_not_negative)
        return price, quantity

    def time(self, name: str, seconds: int, nanoseconds: int = 0) -> datetime:
        """Return a time of this or the next century."""
        if not (0 <= seconds < 10**11 and 0 <= nanoseconds < 10**9):
            raise InvalidMessage(self.channel, f"{name} is {seconds} s and {nanoseconds} ns")
        time = EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
        if time >= MAX_TIME:
            raise InvalidMessage(self.channel, f"{name} is {time}")
        return time

    def reported_time(self, nanoseconds: int | str | None) -> datetime | None:
        """Return REPORTEDNS, a number or text; None where the venue gives no time."""
        if nanoseconds is None:
            return None
        text = str(nanoseconds)
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise InvalidMessage(self.channel, f"REPORTEDNS is {text[:40]!r}")
        return self.time("REPORTEDNS", *divmod(int(text), 10**9))

    def sequence(self, value: int) -> int:
        """Return a sequence number."""
        if not 0 <= value < 2**63:
            raise InvalidMessage(self.channel, f"CCSEQ is {value}")
        return value

    def _exact(self, name: str, value: Decimal, in_range: Callable[[Decimal], bool]) -> None:
        sane = value.is_finite() and (not value or abs(value.adjusted()) <= MAX_EXPONENT)
        if not (sane and in_range(value)):
            raise InvalidMessage(self.channel, f"{name} is {str(value)[:40]}")


def pair_of(frame: PricedFrame, market: str, check: FieldChecks) -> Pair:
    """Return the frame's pair. InvalidMessage for a market that was not subscribed to."""
    if frame.market.lower() != market.lower():
        raise InvalidMessage(check.channel, f"speaks of {frame.market[:40]!r}, subscribed was {market}")
    base, quote = frame.symbols
    try:
        return Pair.parse(f"{base}/{quote}")
    except InvalidValue as error:
        raise InvalidMessage(check.channel, str(error)) from error


def side_of(flags: str, check: FieldChecks) -> Side | None:
    """Return the side in F, a bitmask in decimal digits. A reversed trade (8) keeps the side recorded with it."""
    if not (flags.isascii() and flags.isdecimal() and int(flags[:3]) < 2 * REVERSED and len(flags) < 3):
        raise InvalidMessage(check.channel, f"F is {flags[:40]!r}")
    bits = int(flags)
    if bits & SELL and bits & BUY:
        raise InvalidMessage(check.channel, f"F is {flags}: both sold and bought")
    if bits & SELL:
        return Side.SELL
    return Side.BUY if bits & BUY else None


def _is_positive(value: float | Decimal) -> bool:
    return value > 0


def _is_not_negative(value: float | Decimal) -> bool:
    return value >= 0
