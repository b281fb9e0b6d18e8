"""Records of the bus as rows of the tape. InvalidMessage for a record that is none of its topic."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from streaming.messages import (
    BOOK,
    OHLCV_RAW,
    TICKER,
    TRADES,
    BookMessage,
    BusMessage,
    CandleMessage,
    TickerMessage,
    TradeMessage,
    decode,
)
from trading.errors import InvalidMessage, InvalidValue
from trading.market import Pair
from trading.ports import Record, TapeTable
from trading.ports.market_data import LEVELS, TAPE_SCHEMAS

TABLES = {
    TRADES: TapeTable.TRADES,
    OHLCV_RAW: TapeTable.CANDLES,
    TICKER: TapeTable.TICKER,
    BOOK: TapeTable.BOOK,
}
_KINDS: Mapping[str, type[BusMessage]] = {
    TRADES: TradeMessage,
    OHLCV_RAW: CandleMessage,
    TICKER: TickerMessage,
    BOOK: BookMessage,
}
_BOOK: Mapping[str, Callable[[Any], list[float]]] = {
    "bid_prices": lambda book: [price for price, _ in book.bids[:LEVELS]],
    "bid_quantities": lambda book: [quantity for _, quantity in book.bids[:LEVELS]],
    "ask_prices": lambda book: [price for price, _ in book.asks[:LEVELS]],
    "ask_quantities": lambda book: [quantity for _, quantity in book.asks[:LEVELS]],
}


def tape_rows(topic: str, records: Sequence[Record]) -> pl.DataFrame:
    """Return a row of the topic's table for each record, in order."""
    schema, kind = TAPE_SCHEMAS[TABLES[topic]], _KINDS[topic]
    messages: list[Any] = [decode(record, kind) for record in records]
    columns: dict[str, list[Any]] = {}
    for name in schema:
        if name == "pair":
            columns[name] = _keys(topic, messages)
        elif made := _BOOK.get(name):
            columns[name] = [made(message) for message in messages]
        else:
            columns[name] = [getattr(message, name) for message in messages]
    try:
        return pl.DataFrame(columns, schema)
    except (pl.exceptions.PolarsError, OverflowError, ValueError, TypeError) as error:
        raise InvalidMessage(topic, f"does not fit the table {TABLES[topic].value}: {error}") from error


def _keys(topic: str, messages: Sequence[Any]) -> list[str]:
    known: dict[str, str] = {}
    for text in {message.pair for message in messages}:
        try:
            known[text] = Pair.parse(text).key
        except InvalidValue as error:
            raise InvalidMessage(topic, str(error)) from error
    return [known[message.pair] for message in messages]
