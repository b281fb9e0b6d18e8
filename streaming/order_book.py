"""An order book built from changes, of any venue: the best `depth` levels of each side, checked at every change.

Prices are integers of the pair's smallest step inside, so that levels are found by bisection and no two spellings of
one price can stand side by side.
"""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from zlib import crc32

from streaming.events import BookChange, Level
from trading.errors import InvalidMessage, InvalidValue

CHECKSUM_LEVELS = 10  # of each side, whatever the depth
MAX_AMOUNT = Decimal("1E+18")
EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])


class OrderBook:
    """The book of one pair. It is empty and invalid until a snapshot comes, and again after a wrong change."""

    def __init__(self, depth: int, price_decimals: int, quantity_decimals: int) -> None:
        if depth < 1 or price_decimals < 0 or quantity_decimals < 0:
            raise InvalidValue(
                f"a book of depth {depth}, {price_decimals} price and {quantity_decimals} quantity decimals"
            )
        self._depth = depth
        self._price_decimals = price_decimals
        self._quantity_decimals = quantity_decimals
        self._bids = _Levels()
        self._asks = _Levels()
        self._is_valid = False

    @property
    def is_valid(self) -> bool:
        """True while the levels are the venue's."""
        return self._is_valid

    @property
    def best_bid(self) -> Level | None:
        return self._bids.levels[0] if self._bids.levels else None

    @property
    def best_ask(self) -> Level | None:
        return self._asks.levels[0] if self._asks.levels else None

    @property
    def is_crossed(self) -> bool:
        """True when the best bid reaches the best ask, which a book that is matched all the time never shows."""
        bid, ask = self.best_bid, self.best_ask
        return bid is not None and ask is not None and bid[0] >= ask[0]

    def bids(self, count: int | None = None) -> tuple[Level, ...]:
        """Return the bids, best first."""
        return tuple(self._bids.levels[:count])

    def asks(self, count: int | None = None) -> tuple[Level, ...]:
        """Return the asks, best first."""
        return tuple(self._asks.levels[:count])

    def apply(self, change: BookChange) -> None:
        """Apply a change and compare checksums where the venue sends one.

        InvalidMessage when they differ, for a level that the pair cannot have, and for an update before the snapshot:
        the book is then empty and invalid until the next snapshot, which has to be requested.
        """
        if change.snapshot:
            self.clear()
        elif not self._is_valid:
            raise InvalidMessage("book", f"{change.pair}: a change came before the snapshot")
        try:
            if change.bids:
                self._merge(self._bids, change.bids, -1)
            if change.asks:
                self._merge(self._asks, change.asks, 1)
            if change.checksum is not None and change.checksum != self.checksum():
                raise InvalidValue(f"checksum {self.checksum()}, the venue says {change.checksum}")
        except InvalidValue as error:
            self.clear()
            raise InvalidMessage("book", f"{change.pair}: {error}") from error
        self._is_valid = True

    def clear(self) -> None:
        """Remove all levels; the book is invalid until the next snapshot."""
        self._bids.clear()
        self._asks.clear()
        self._is_valid = False

    def checksum(self) -> int:
        """Return the CRC-32 of the digits of the ten best asks, then bids, without points and leading zeros."""
        return crc32(self._bids.digits(), crc32(self._asks.digits()))

    def _merge(self, side: "_Levels", changes: Sequence[Level], sign: int) -> None:
        for level in changes:
            price, quantity = level
            digits = _digits(price, self._price_decimals)
            key = sign * int(digits)
            if quantity:
                side.set(key, level, digits + _digits(quantity, self._quantity_decimals))
            else:
                side.remove(key)
        side.truncate(self._depth)


class _Levels:
    """One side in parallel lists, best first; asks have positive keys, bids negative ones."""

    __slots__ = ("_digits", "_keys", "_texts", "levels")

    def __init__(self) -> None:
        self._keys: list[int] = []
        self._texts: list[str] = []
        self.levels: list[Level] = []
        self._digits: bytes | None = None  # of the best levels; None once one of them changed

    def set(self, key: int, level: Level, text: str) -> None:
        keys = self._keys
        place = bisect_left(keys, key)
        if place < len(keys) and keys[place] == key:
            self.levels[place] = level
            self._texts[place] = text
        else:
            keys.insert(place, key)
            self.levels.insert(place, level)
            self._texts.insert(place, text)
        if place < CHECKSUM_LEVELS:
            self._digits = None

    def remove(self, key: int) -> None:
        """Remove a level, if it is there: venues also remove what lay beyond the depth."""
        keys = self._keys
        place = bisect_left(keys, key)
        if place < len(keys) and keys[place] == key:
            del keys[place], self.levels[place], self._texts[place]
            if place < CHECKSUM_LEVELS:
                self._digits = None

    def truncate(self, depth: int) -> None:
        if len(self._keys) > depth:
            del self._keys[depth:], self.levels[depth:], self._texts[depth:]

    def clear(self) -> None:
        self.truncate(0)
        self._digits = None

    def digits(self) -> bytes:
        if self._digits is None:
            self._digits = "".join(self._texts[:CHECKSUM_LEVELS]).encode()
        return self._digits


def _digits(amount: Decimal, decimals: int) -> str:
    """Return the amount in its smallest step, written without leading zeros. InvalidValue where it does not fit."""
    whole, _, fraction = str(amount).partition(".")
    if len(fraction) == decimals and (digits := whole + fraction).isdecimal():
        stripped = digits.lstrip("0")  # as most venues spell it: nothing to compute
    else:
        stripped = str(_steps(amount, decimals))
    if not stripped or stripped[0] in "-0":
        raise InvalidValue(f"{_abbreviate(amount)} is not above zero")
    return stripped


def _steps(amount: Decimal, decimals: int) -> int:
    try:
        if not amount.is_finite() or abs(amount) > MAX_AMOUNT:
            raise InvalidValue(f"{_abbreviate(amount)} is beyond any market")
        return int(EXACT.quantize(amount, Decimal((0, (1,), -decimals))).scaleb(decimals, EXACT))
    except (Inexact, InvalidOperation):
        raise InvalidValue(f"{_abbreviate(amount)} has more than {decimals} decimals") from None


def _abbreviate(amount: Decimal) -> str:
    return str(amount)[:40]
