"""Events from Kraken's public messages. Fields that only make sense together are checked here: InvalidValue."""

from collections.abc import Sequence
from datetime import UTC
from decimal import ROUND_FLOOR, Decimal

from msgspec import Raw

from streaming import events
from streaming.events import Channel, Event, Level
from streaming.feeds.kraken import messages
from streaming.feeds.kraken.decode_errors import DECODE_ERRORS, error_reason
from streaming.feeds.kraken.names import STATUSES, TIMEFRAMES, PairsBySymbol
from streaming.feeds.kraken.numbers import (
    MAX_AMOUNT,
    MIN_AMOUNT,
    ZERO,
    check_utc,
    exact_decimal,
    not_negative,
    positive,
)
from trading.errors import InvalidValue
from trading.market import Instrument, Pair

HEARTBEATS = (events.Heartbeat(),)


def trades(message: messages.TradeFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the trades of a message."""
    result: list[Event] = []
    for each in message.data:
        at = each.timestamp
        if at.tzinfo is not UTC:
            check_utc(at)
        result.append(events.Trade(pairs[each.symbol], each.trade_id, each.side, each.price, each.qty, at))
    return result


def tickers(message: messages.TickerFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the tickers of a message."""
    result: list[Event] = []
    for each in message.data:
        at = each.timestamp
        if at is not None and at.tzinfo is not UTC:
            check_utc(at)
        bid, ask = each.bid, each.ask
        pair, last = pairs[each.symbol], each.last
        result.append(events.Ticker(pair, bid, each.bid_qty, ask, each.ask_qty, last, each.volume, at))
    return result


def candles(message: messages.CandleFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the candles of a message."""
    result: list[Event] = []
    for each in message.data:
        opened, high, low, close = each.open, each.high, each.low, each.close
        if not (low <= opened <= high and low <= close <= high):
            raise InvalidValue(f"open {opened} or close {close} lies outside low {low} to high {high}")
        begin, minutes = each.interval_begin, each.interval
        timeframe = TIMEFRAMES.get(minutes)
        if timeframe is None:
            raise InvalidValue(f"interval is {minutes} minutes: none of {', '.join(map(str, TIMEFRAMES))}")
        if begin.tzinfo is not UTC or begin.second or begin.microsecond:
            raise InvalidValue(f"interval_begin is {begin.isoformat()}: a full minute of UTC is expected")
        if (begin.hour * 60 + begin.minute) % minutes:
            raise InvalidValue(f"no candle of {timeframe.value} begins at {begin.isoformat()}")
        pair = pairs[each.symbol]
        result.append(
            events.Candle(pair, timeframe, begin, opened, high, low, close, each.volume, each.trades)
        )
    return result


def books(message: messages.BookFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the book changes of a message."""
    result: list[Event] = []
    snapshot = message.type == "snapshot"
    for each in message.data:
        at = each.timestamp
        if at is not None and at.tzinfo is not UTC:
            check_utc(at)
        bids = _levels(each.bids) if each.bids else ()
        asks = _levels(each.asks) if each.asks else ()
        result.append(events.BookChange(pairs[each.symbol], snapshot, bids, asks, each.checksum, None, at))
    return result


def _levels(data: Sequence[messages.LevelData]) -> tuple[Level, ...]:
    """Return levels whose decimals keep the message's digits; a quantity of zero is written in one way."""
    levels = []
    for each in data:
        price, quantity = each.price, each.qty
        if type(price) is not Decimal:
            price = exact_decimal(price, "price")
        if type(quantity) is not Decimal:
            quantity = exact_decimal(quantity, "qty")
        if not MIN_AMOUNT <= price <= MAX_AMOUNT:
            raise InvalidValue(f"price {price} of a level is not above zero, or beyond any market")
        if not quantity:
            quantity = ZERO
        elif not MIN_AMOUNT <= quantity <= MAX_AMOUNT:
            raise InvalidValue(f"qty {quantity} of a level is below zero, or beyond any market")
        levels.append((price, quantity))
    return tuple(levels)


def listings(message: messages.InstrumentFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the listings of a message, each readable or not."""
    return [_decode_listing(each, pairs) for each in message.data.pairs]


def _decode_listing(raw: Raw, pairs: PairsBySymbol) -> Event:
    """Read one listing. A pair whose status is not known cannot be traded: it is unreadable, too."""
    try:
        data = messages.PAIRS.decode(raw)
        return _listing_event(data, pairs[data.symbol])
    except DECODE_ERRORS as error:
        part = bytes(raw).decode(errors="backslashreplace")
        return events.UnreadableMessage(
            Channel.INSTRUMENT.value, _find_pair(raw, pairs), error_reason(error), part
        )


def _find_pair(raw: Raw, pairs: PairsBySymbol) -> Pair | None:
    try:
        return pairs[messages.PAIR_NAMES.decode(raw).symbol]
    except DECODE_ERRORS:
        return None


def _listing_event(data: messages.PairData, pair: Pair) -> events.InstrumentListing:
    if data.status not in STATUSES:
        known = ", ".join(STATUSES)
        raise InvalidValue(f"the status of {pair} is {ascii(data.status)[:60]}: known are {known}")
    instrument = Instrument(
        pair=pair,
        price_increment=positive(data.price_increment, "price_increment"),
        quantity_increment=positive(data.qty_increment, "qty_increment"),
        minimum_quantity=not_negative(data.qty_min, "qty_min"),
        minimum_cost=not_negative(data.cost_min, "cost_min"),
        taker_fee=ZERO,
        maker_fee=ZERO,
        status=STATUSES[data.status],
        maximum_leverage=_leverage(data),
    )
    return events.InstrumentListing(instrument, data.price_precision, data.qty_precision)


def _leverage(data: messages.PairData) -> Decimal:
    if not data.marginable or data.margin_initial is None:
        return Decimal(1)
    share = positive(data.margin_initial, "margin_initial")
    if share > 1:
        raise InvalidValue(f"margin_initial is {share}: it is a share of the position's value")
    return (1 / share).to_integral_value(ROUND_FLOOR)


def statuses(message: messages.StatusFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the states of the venue that a message reports."""
    return [
        events.VenueStatus(each.system, "" if each.connection_id is None else str(each.connection_id))
        for each in message.data
    ]


def heartbeats(message: messages.HeartbeatFrame, pairs: PairsBySymbol) -> Sequence[Event]:
    """Return the heartbeat."""
    return HEARTBEATS
