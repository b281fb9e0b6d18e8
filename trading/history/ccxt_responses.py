"""What ccxt makes of a venue's candles, compared with what the venue sent: ccxt drops what it cannot read.

A page of HTML, an answer of another kind and a candle without a time all become "no candles" there. Could not read is
not nothing there.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trading.errors import InvalidMessage
from trading.history.candle_rows import Row

Parse = Callable[[Any], Any]


def candle_rows(parsed: Any, raw: Any, parse: Parse, what: str) -> list[Row]:
    """`parsed`: ccxt's candles; `raw`: the JSON they come from; `parse`: ccxt's reading of one of its entries."""
    if not isinstance(parsed, list):
        raise InvalidMessage(what, f"expected a list of candles, got {type(parsed).__name__}")
    if not parsed and not any(isinstance(node, list) or node in ({}, "", None) for node in _nodes(raw)):
        raise InvalidMessage(what, f"not an answer with candles: {raw!r:.200}")
    sent: list[Any] = max(filter(_holds_entries, _nodes(raw)), key=len, default=[])
    if len(sent) > len(parsed):
        _dropped_for_their_time_only(sent, parse, what)
    return [_row(entry, what) for entry in parsed]


def _dropped_for_their_time_only(sent: Sequence[Any], parse: Parse, what: str) -> None:
    for entry in sent:
        if isinstance(entry, list | dict) and not _is_time(parse(entry)):
            raise InvalidMessage(what, f"not a candle: {entry!r:.200}")


def _is_time(candle: Any) -> bool:
    return isinstance(candle, Sequence) and len(candle) > 0 and _is_number(candle[0]) and candle[0] > 0


def _holds_entries(node: Any) -> bool:
    return isinstance(node, list) and any(isinstance(entry, list | dict) for entry in node)


def _row(entry: Any, what: str) -> Row:
    """Milliseconds, open, high, low, close and base volume."""
    if not isinstance(entry, Sequence) or len(entry) < 6 or not all(map(_is_number, entry[:6])):
        raise InvalidMessage(what, f"not a candle: {entry!r:.200}")
    time, *numbers = entry[:6]
    if time != int(time):
        raise InvalidMessage(what, f"not a time in milliseconds: {time!r}")
    first, high, low, last, volume = map(float, numbers)
    return int(time) * 1000, first, high, low, last, volume


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nodes(document: Any) -> Iterator[Any]:
    """Every value of a JSON document; an answer that is no JSON at all (ccxt: None) has none."""
    waiting = [] if document is None else [document]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
