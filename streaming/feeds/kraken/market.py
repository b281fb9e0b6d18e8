"""Kraken's public messages as events. What only makes sense together is checked here: InvalidValue."""

from collections.abc import Sequence
from datetime import UTC
from decimal import ROUND_FLOOR, Decimal

from msgspec import Raw

from streaming import events
from streaming.events import Channel, Event, Level
from streaming.feeds.kraken import messages as wire
from streaming.feeds.kraken.decode_errors import UNREADABLE, reason_of
from streaming.feeds.kraken.names import STATUSES, TIMEFRAMES, Pairs
from streaming.feeds.kraken.numbers import LEAST, MOST, ZERO, exact, not_negative, positive, utc
from trading.errors import InvalidValue
from trading.market import Instrument, Pair

HEARTBEATS = (events.Heartbeat(),)


def trades(message: wire.Trade, pairs: Pairs) -> list[Event]:
    made: list[Event] = []
    for each in message.data:
        at = each.timestamp
        if at.tzinfo is not UTC:
            utc(at)
        made.append(events.Trade(pairs[each.symbol], each.trade_id, each.side, each.price, each.qty, at))
    return made


def tickers(message: wire.Ticker, pairs: Pairs) -> list[Event]:
    made: list[Event] = []
    for each in message.data:
        at = each.timestamp
        if at is not None and at.tzinfo is not UTC:
            utc(at)
        bid, ask = each.bid, each.ask
        pair, last = pairs[each.symbol], each.last
        made.append(events.Ticker(pair, bid, each.bid_qty, ask, each.ask_qty, last, each.volume, at))
    return made


def candles(message: wire.Candle, pairs: Pairs) -> list[Event]:
    made: list[Event] = []
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
        made.append(events.Candle(pair, timeframe, begin, opened, high, low, close, each.volume, each.trades))
    return made


def books(message: wire.Book, pairs: Pairs) -> list[Event]:
    made: list[Event] = []
    snapshot = message.type == "snapshot"
    for each in message.data:
        at = each.timestamp
        if at is not None and at.tzinfo is not UTC:
            utc(at)
        bids = _levels(each.bids) if each.bids else ()
        asks = _levels(each.asks) if each.asks else ()
        made.append(events.BookChange(pairs[each.symbol], snapshot, bids, asks, each.checksum, None, at))
    return made


def _levels(data: Sequence[wire.LevelData]) -> tuple[Level, ...]:
    """Decimals keep the digits of the wire; a quantity of zero is written in one way."""
    levels = []
    for each in data:
        price, quantity = each.price, each.qty
        if type(price) is not Decimal:
            price = exact(price, "price")
        if type(quantity) is not Decimal:
            quantity = exact(quantity, "qty")
        if not LEAST <= price <= MOST:
            raise InvalidValue(f"price {price} of a level is not above zero, or beyond any market")
        if not quantity:
            quantity = ZERO
        elif not LEAST <= quantity <= MOST:
            raise InvalidValue(f"qty {quantity} of a level is below zero, or beyond any market")
        levels.append((price, quantity))
    return tuple(levels)


def listings(message: wire.Instrument, pairs: Pairs) -> list[Event]:
    return [_listed(each, pairs) for each in message.data.pairs]


def _listed(raw: Raw, pairs: Pairs) -> Event:
    """A status that is not known cannot be traded in: such a pair is left out, too."""
    try:
        data = wire.PAIRS.decode(raw)
        return _listing(data, pairs[data.symbol])
    except UNREADABLE as error:
        part = bytes(raw).decode(errors="backslashreplace")
        return events.Unreadable(Channel.INSTRUMENT.value, _named(raw, pairs), reason_of(error), part)


def _named(raw: Raw, pairs: Pairs) -> Pair | None:
    try:
        return pairs[wire.PAIR_NAMES.decode(raw).symbol]
    except UNREADABLE:
        return None


def _listing(data: wire.PairData, pair: Pair) -> events.Listed:
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
    return events.Listed(instrument, data.price_precision, data.qty_precision)


def _leverage(data: wire.PairData) -> Decimal:
    if not data.marginable or data.margin_initial is None:
        return Decimal(1)
    share = positive(data.margin_initial, "margin_initial")
    if share > 1:
        raise InvalidValue(f"margin_initial is {share}: it is a share of the position's value")
    return (1 / share).to_integral_value(ROUND_FLOOR)


def statuses(message: wire.Status, pairs: Pairs) -> list[Event]:
    return [
        events.VenueStatus(each.system, "" if each.connection_id is None else str(each.connection_id))
        for each in message.data
    ]


def heartbeats(message: wire.Heartbeat, pairs: Pairs) -> Sequence[Event]:
    return HEARTBEATS
