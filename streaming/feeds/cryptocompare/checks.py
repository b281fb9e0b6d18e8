"""Fields of CryptoCompare's frames as values: each is checked, and each refusal names its channel and field."""

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
LARGEST_EXPONENT = 30  # of an exact number: beyond it no price or quantity can be meant
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Checks:
    """Of one frame of `channel`."""

    channel: str

    def number(self, name: str, value: float, least: Callable[[float], bool]) -> float:
        if not (isfinite(value) and least(value)):
            raise InvalidMessage(self.channel, f"{name} is {value!r}")
        return value

    def price(self, name: str, value: float) -> float:
        return self.number(name, value, _above_zero)

    def amount(self, name: str, value: float) -> float:
        return self.number(name, value, _not_below_zero)

    def some_price(self, name: str, value: float | None) -> float | None:
        return None if value is None else self.price(name, value)

    def level(self, price: Decimal, quantity: Decimal) -> Level:
        """Quantity 0 takes the level away."""
        self._exact("P", price, _above_zero)
        self._exact("Q", quantity, _not_below_zero)
        return price, quantity

    def time(self, name: str, seconds: int, nanoseconds: int = 0) -> datetime:
        if not (0 <= seconds < 10**11 and 0 <= nanoseconds < 10**9):
            raise InvalidMessage(self.channel, f"{name} is {seconds} s and {nanoseconds} ns")
        time = EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
        if time >= LATEST:
            raise InvalidMessage(self.channel, f"{name} is {time}")
        return time

    def reported(self, nanoseconds: int | str | None) -> datetime | None:
        """None where the venue gives no time; it writes it as a number or as text."""
        if nanoseconds is None:
            return None
        text = str(nanoseconds)
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise InvalidMessage(self.channel, f"REPORTEDNS is {text[:40]!r}")
        return self.time("REPORTEDNS", *divmod(int(text), 10**9))

    def sequence(self, value: int) -> int:
        if not 0 <= value < 2**63:
            raise InvalidMessage(self.channel, f"CCSEQ is {value}")
        return value

    def _exact(self, name: str, value: Decimal, least: Callable[[Decimal], bool]) -> None:
        sane = value.is_finite() and (not value or abs(value.adjusted()) <= LARGEST_EXPONENT)
        if not (sane and least(value)):
            raise InvalidMessage(self.channel, f"{name} is {str(value)[:40]}")


def pair_of(frame: PricedFrame, market: str, check: Checks) -> Pair:
    """The pair that the frame speaks of; it has to speak of `market`."""
    if frame.market.lower() != market.lower():
        raise InvalidMessage(check.channel, f"speaks of {frame.market[:40]!r}, subscribed was {market}")
    base, quote = frame.symbols
    try:
        return Pair.parse(f"{base}/{quote}")
    except InvalidValue as error:
        raise InvalidMessage(check.channel, str(error)) from error


def side_of(flags: str, check: Checks) -> Side | None:
    """F is a bitmask in decimal digits. A reversed trade (8) keeps the side that was recorded with it."""
    if not (flags.isascii() and flags.isdecimal() and int(flags[:3]) < 2 * REVERSED and len(flags) < 3):
        raise InvalidMessage(check.channel, f"F is {flags[:40]!r}")
    bits = int(flags)
    if bits & SELL and bits & BUY:
        raise InvalidMessage(check.channel, f"F is {flags}: both sold and bought")
    if bits & SELL:
        return Side.SELL
    return Side.BUY if bits & BUY else None


def _above_zero(value: float | Decimal) -> bool:
    return value > 0


def _not_below_zero(value: float | Decimal) -> bool:
    return value >= 0
