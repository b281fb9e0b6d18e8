"""The sink that keeps the hot tier: newest price, top of the book and feature rows of each pair."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from streaming.messages import (
    BOOK,
    FEATURES,
    TICKER,
    TRADES,
    BookMessage,
    FeaturesMessage,
    TickerMessage,
    TradeMessage,
    decode,
)
from trading.errors import InvalidMessage
from trading.feature_rows import FeatureRow
from trading.market import Pair, Timeframe
from trading.ports import HotTier, Record
from trading.ports.hot import BookTop, HotValue, LastPrice, rank

AHEAD = timedelta(minutes=10)  # that a value's own time may lie after the machine's clock when it came


class Refill(Protocol):
    """Gives what a tier that lost its memory had: the newest records of each pair, and the rows of the windows."""

    def records(self) -> Iterable[Record]:
        """Return the newest record of `trades`, `ticker` and `book` of each pair that is still on the bus."""

    def rows(self) -> Iterable[FeatureRow]:
        """Return the newest feature rows of each pair and timeframe, as many as a window holds."""


class HotSink:
    """Puts the newest value of each place in a batch; one that is older than what is stored changes nothing.

    A tier that lost its memory, as Redis does with its process, is first given what it had. Records of other origins
    are passed over.
    """

    group = "hot"
    topics: tuple[str, ...] = (TRADES, TICKER, BOOK, FEATURES)

    def __init__(self, tier: HotTier, origin: str, refill: Refill) -> None:
        self._tier = tier
        self._origin = origin
        self._refill = refill

    def write(self, records: Sequence[Record]) -> None:
        values = newest_values(records, self._origin)
        self._ensure_filled()
        self._tier.put(values)

    def idle(self) -> None:
        """Fill a tier that lost its memory although nothing new comes."""
        self._ensure_filled()

    def _ensure_filled(self) -> None:
        if self._tier.is_filled():
            return
        self._tier.put(newest_values(self._refill.records(), self._origin))
        self._tier.put(list(self._refill.rows()))
        self._tier.mark_filled()


def newest_values(records: Iterable[Record], origin: str) -> list[HotValue]:
    """Return the newest value of each pair, and of features of each candle. InvalidMessage for what is none."""
    newest: dict[tuple[object, ...], HotValue] = {}
    for record in records:
        found_origin, value = _READERS[record.topic](record)
        if value is None or found_origin != origin:
            continue
        _check_time(record, value)
        place: tuple[object, ...] = (type(value), value.pair)
        if isinstance(value, FeatureRow):
            place += (value.timeframe, value.close_time)
        newest[place] = max(newest.get(place, value), value, key=rank)
    return list(newest.values())


def _check_time(record: Record, value: HotValue) -> None:
    """Refuse a value of the future: nothing would be newer for as long as that lasts."""
    at = rank(value)[0]
    if at > value.known_at + AHEAD:
        raise InvalidMessage(
            record.topic, f"{value.pair}: its time {at} lies after {value.known_at}, when it came"
        )


def _trade(record: Record) -> tuple[str, HotValue | None]:
    message = decode(record, TradeMessage)
    pair = _pair(record, message.pair)
    return message.origin, LastPrice(pair, message.price, message.at, message.known_at, message.trade_id or 0)


def _ticker(record: Record) -> tuple[str, HotValue | None]:
    message = decode(record, TickerMessage)
    pair = _pair(record, message.pair)
    if message.last is None:
        return message.origin, None
    return message.origin, LastPrice(pair, message.last, message.at, message.known_at)


def _book(record: Record) -> tuple[str, HotValue | None]:
    message = decode(record, BookMessage)
    bid, bid_quantity = message.bids[0] if message.bids else (None, None)
    ask, ask_quantity = message.asks[0] if message.asks else (None, None)
    return message.origin, BookTop(
        pair=_pair(record, message.pair),
        bid=bid,
        bid_quantity=bid_quantity,
        ask=ask,
        ask_quantity=ask_quantity,
        at=message.at,
        known_at=message.known_at,
    )


def _features(record: Record) -> tuple[str, HotValue | None]:
    message = decode(record, FeaturesMessage)
    try:
        timeframe = Timeframe(message.timeframe)
    except ValueError as error:
        raise InvalidMessage(record.topic, str(error)) from error
    return message.origin, FeatureRow(
        origin=message.origin,
        pair=_pair(record, message.pair),
        timeframe=timeframe,
        close_time=message.close_time,
        values=message.values,
        regime=message.regime,
        known_at=message.known_at,
    )


def _pair(record: Record, text: str) -> Pair:
    try:
        return Pair.parse(text)
    except ValueError as error:
        raise InvalidMessage(record.topic, str(error)) from error


_READERS: dict[str, Callable[[Record], tuple[str, HotValue | None]]] = {
    TRADES: _trade,
    TICKER: _ticker,
    BOOK: _book,
    FEATURES: _features,
}
