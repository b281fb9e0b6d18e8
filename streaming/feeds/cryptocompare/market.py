"""Events from CryptoCompare's market frames, with the state that its partial and repeated frames need.

A wrong frame changes no state: everything is checked before anything is stored.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from streaming.events import BookChange, Candle, Level, Ticker, Trade
from streaming.feeds.cryptocompare import frames
from streaming.feeds.cryptocompare.checks import FieldChecks, side_of
from trading.errors import InvalidMessage
from trading.market import Pair, Timeframe

TIMEFRAMES = {"m": Timeframe.M1, "H": Timeframe.H1, "D": Timeframe.D1}
ADD, REMOVE, NO_ACTION, CHANGE = 1, 2, 3, 4  # a book change's ACTION
BIDS, ASKS = 0, 1  # a book change's SIDE
MAX_KNOWN_TRADES = 200  # a pair; the last 20 are sent again with every subscription
MAX_KNOWN_CANDLES = 64  # a pair and timeframe; updates reach back half an hour of minutes, a day of hours

Key = TypeVar("Key")
Value = TypeVar("Value")
Fields = dict[str, float]


@dataclass(frozen=True, slots=True)
class TradeReader:
    """Reader of trades. Those without a sequence number are returned once over all connections."""

    known: dict[Pair, OrderedDict[str, None]] = field(default_factory=dict)

    def read(self, frame: frames.TradeFrame, pair: Pair, check: FieldChecks) -> Trade | None:
        """Read a trade. CCSEQ is the number that rises by one; ID is the exchange's own and may skip."""
        trade = Trade(
            pair=pair,
            trade_id=None if frame.CCSEQ is None else check.sequence(frame.CCSEQ),
            side=side_of(frame.F, check),
            price=check.price("P", frame.P),
            quantity=check.price("Q", frame.Q),
            at=check.time("TS", frame.TS, frame.TSNS),
        )
        if trade.trade_id is not None:
            return trade
        known = self.known.setdefault(pair, OrderedDict())
        if frame.ID in known:
            return None
        known[frame.ID] = None
        _forget_oldest(known, MAX_KNOWN_TRADES)
        return trade


@dataclass(frozen=True, slots=True)
class TickerReader:
    """Reader of tickers, of which each frame has only what changed."""

    known: dict[tuple[str, Pair], Fields] = field(default_factory=dict)

    def read(self, frame: frames.TickerFrame | frames.IndexFrame, pair: Pair, check: FieldChecks) -> Ticker:
        quotes = self.known.get((check.channel, pair), {}) | _changed_fields(frame, frame.MERGED)
        volume, at = quotes.get("VOLUME24HOUR"), quotes.get("LASTUPDATE")
        ticker = Ticker(
            pair=pair,
            bid=check.optional_price("BID", quotes.get("BID")),
            bid_quantity=None,
            ask=check.optional_price("ASK", quotes.get("ASK")),
            ask_quantity=None,
            last=check.optional_price("PRICE", quotes.get("PRICE")),
            volume=None if volume is None else check.amount("VOLUME24HOUR", volume),
            at=None if at is None else check.time("LASTUPDATE", int(at)),
        )
        self.known[check.channel, pair] = quotes
        return ticker


@dataclass(frozen=True, slots=True)
class TopState:
    """Best bid and ask as far as they are known, and the sequence number of their message."""

    sequence: int
    bid: Level | None
    ask: Level | None


@dataclass(frozen=True, slots=True)
class TopReader:
    """Reader of best bids and asks, of which each frame but the first has one side."""

    known: dict[Pair, TopState] = field(default_factory=dict)

    def read(self, frame: frames.TopFrame, pair: Pair, check: FieldChecks) -> Ticker:
        """Read best bid and ask. After a sequence gap the side that the frame lacks is unknown: it may have changed."""
        sequence, known = check.sequence(frame.CCSEQ), self.known.get(pair)
        if known is None or sequence != known.sequence + 1:
            known = TopState(sequence, None, None)
        bid = known.bid if frame.BID is None else _best(frame.BID, check)
        ask = known.ask if frame.ASK is None else _best(frame.ASK, check)
        at = _newest(frame.BID or (), frame.ASK or (), check)
        self.known[pair] = TopState(sequence, bid, ask)
        return Ticker(pair, *_floats(bid), *_floats(ask), None, None, at)


@dataclass(frozen=True, slots=True)
class CandleReader:
    """Reader of candles, of which each frame has only what changed."""

    known: dict[tuple[Pair, str], OrderedDict[int, Fields]] = field(default_factory=dict)

    def read(self, frame: frames.CandleFrame, pair: Pair, check: FieldChecks) -> Candle | None:
        """Read a candle; None for one without a trade, which the streamer sends with the last price or zeros."""
        timeframe = TIMEFRAMES.get(frame.UNIT)
        if timeframe is None or frame.ACTION not in ("A", "U", "I"):
            raise InvalidMessage(check.channel, f"UNIT is {frame.UNIT[:9]!r}, ACTION {frame.ACTION[:9]!r}")
        known = self.known.get((pair, frame.UNIT), OrderedDict())
        fields = known.get(frame.TS, {}) | _changed_fields(frame, frame.MERGED)
        candle = _candle(fields, pair, timeframe, check.time("TS", frame.TS), check)
        known[frame.TS] = fields
        _forget_oldest(known, MAX_KNOWN_CANDLES)
        self.known[pair, frame.UNIT] = known
        return candle


def book_change(frame: frames.BookFrame, pair: Pair, check: FieldChecks) -> BookChange:
    """Return the change of one level."""
    levels, sequence = _levels(frame, check), check.sequence(frame.CCSEQ)
    if frame.SIDE not in (BIDS, ASKS):
        raise InvalidMessage(check.channel, f"SIDE is {frame.SIDE}: {BIDS} bids, {ASKS} asks")
    bids, asks = (levels, ()) if frame.SIDE == BIDS else ((), levels)
    return BookChange(pair, False, bids, asks, None, sequence, check.reported_time(frame.REPORTEDNS))


def book_snapshot(frame: frames.BookSnapshotFrame, pair: Pair, check: FieldChecks) -> BookChange:
    """Return all levels."""
    bids, asks = (tuple(check.level(each.P, each.Q) for each in side) for side in (frame.BID, frame.ASK))
    at = _newest(frame.BID, frame.ASK, check)
    return BookChange(pair, True, bids, asks, None, check.sequence(frame.CCSEQ), at)


def _changed_fields(
    frame: frames.TickerFrame | frames.IndexFrame | frames.CandleFrame, names: Iterable[str]
) -> Fields:
    return {name: value for name in names if (value := getattr(frame, name)) is not None}


def _candle(
    fields: Fields, pair: Pair, timeframe: Timeframe, opens: datetime, check: FieldChecks
) -> Candle | None:
    """Return the candle of the merged fields. OPEN is the price before it; its own first trade is FIRSTPRICE."""
    if missing := [name for name in ("OPEN", "HIGH", "LOW", "CLOSE", "VOLUMEFROM") if name not in fields]:
        raise InvalidMessage(check.channel, f"{', '.join(missing)} of {opens} was never sent")
    if opens.timestamp() % timeframe.duration.total_seconds():
        raise InvalidMessage(check.channel, f"{opens} is no opening time of {timeframe.value} candles")
    volume, trades = check.amount("VOLUMEFROM", fields["VOLUMEFROM"]), fields.get("TOTALTRADES")
    if not check.amount("TOTALTRADES", volume if trades is None else trades):
        return None
    traded = {"OPEN": "FIRSTPRICE", "HIGH": "MAXPRICE", "LOW": "MINPRICE", "CLOSE": "LASTPRICE"}
    first, high, low, last = (
        check.price(name, fields.get(own, fields[name])) for name, own in traded.items()
    )
    if not low <= min(first, last) <= max(first, last) <= high:
        numbers = f"open {first}, high {high}, low {low}, close {last}"
        raise InvalidMessage(check.channel, f"candle of {opens}: {numbers}")
    count = None if trades is None else int(trades)
    return Candle(pair, timeframe, opens, first, high, low, last, volume, count)


def _levels(frame: frames.BookFrame, check: FieldChecks) -> tuple[Level, ...]:
    price, quantity = check.level(frame.P, frame.Q)
    if frame.ACTION in (ADD, CHANGE) and quantity:
        return ((price, quantity),)
    if frame.ACTION == REMOVE:
        return ((price, Decimal(0)),)
    if frame.ACTION == NO_ACTION:
        return ()
    raise InvalidMessage(check.channel, f"ACTION is {frame.ACTION} with Q {quantity}")


def _best(offers: Sequence[frames.Offer], check: FieldChecks) -> Level | None:
    levels = [check.level(offer.P, offer.Q) for offer in offers]
    return levels[0] if levels and levels[0][1] else None


def _floats(level: Level | None) -> tuple[float | None, float | None]:
    return (None, None) if level is None else (float(level[0]), float(level[1]))


def _newest(
    bids: Sequence[frames.Offer], asks: Sequence[frames.Offer], check: FieldChecks
) -> datetime | None:
    times = [check.reported_time(offer.REPORTEDNS) for offer in (*bids, *asks)]
    return max((time for time in times if time is not None), default=None)


def _forget_oldest(known: OrderedDict[Key, Value], count: int) -> None:
    while len(known) > count:
        known.popitem(last=False)
