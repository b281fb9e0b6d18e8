"""Results and errors of ccxt, checked against the response of the venue: ccxt drops what it cannot read.

A page of HTML, a response of another kind and a candle without a time all become "no candles" in ccxt. Could not read
is not nothing there.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trading.errors import (
    OFFLINE_ADVICE,
    InvalidMessage,
    MarketloomError,
    NotAuthorised,
    NotStored,
    VenueRefused,
    VenueUnreachable,
)
from trading.history.candle_rows import CandleRow
from trading.history.retries import Throttled

Parse = Callable[[Any], Any]


def ccxt_library() -> Any:
    """Import ccxt: it takes seconds, and most processes never need it. It has no types."""
    return importlib.import_module("ccxt")


def translate_error(error: Exception, what: str) -> MarketloomError:
    """Translate one of ccxt's errors (`ccxt.BaseError`); `what` says what was asked for."""
    ccxt = ccxt_library()
    message = f"{what}: {type(error).__name__} {str(error)[:300]!r}"
    match error:
        case ccxt.AuthenticationError():
            return NotAuthorised(f"{message}; candles need no key: the venue may not serve this place")
        case ccxt.RateLimitExceeded() | ccxt.DDoSProtection():
            return Throttled(message, None)
        case ccxt.BadSymbol():
            return NotStored(message)
        case ccxt.BadResponse():
            return InvalidMessage(what, f"{type(error).__name__} {str(error)[:300]!r}")
        case ccxt.OperationFailed():
            return VenueUnreachable(f"{message}; {OFFLINE_ADVICE}")
        case _:
            return VenueRefused(message)


def candle_rows(parsed: Any, raw: Any, parse: Parse, what: str) -> list[CandleRow]:
    """Return ccxt's candles `parsed`, if none of `raw` was dropped; `parse` is ccxt's reading of one entry of `raw`.

    `raw` is the JSON that they come from.
    """
    if not isinstance(parsed, list):
        raise InvalidMessage(what, f"expected a list of candles, got {type(parsed).__name__}")
    if not parsed and not any(isinstance(node, list) or node in ({}, "", None) for node in _nodes(raw)):
        raise InvalidMessage(what, f"not an answer with candles: {raw!r:.200}")
    sent: list[Any] = max(filter(_has_entries, _nodes(raw)), key=len, default=[])
    if len(sent) > len(parsed):
        _check_dropped(sent, parse, what)
    return [_to_row(entry, what) for entry in parsed]


def _check_dropped(sent: Sequence[Any], parse: Parse, what: str) -> None:
    """InvalidMessage unless ccxt dropped entries for their time alone, as it may."""
    for entry in sent:
        if isinstance(entry, list | dict) and not _has_time(parse(entry)):
            raise InvalidMessage(what, f"not a candle: {entry!r:.200}")


def _has_time(candle: Any) -> bool:
    return isinstance(candle, Sequence) and len(candle) > 0 and _is_number(candle[0]) and candle[0] > 0


def _has_entries(node: Any) -> bool:
    return isinstance(node, list) and any(isinstance(entry, list | dict) for entry in node)


def _to_row(entry: Any, what: str) -> CandleRow:
    """`entry`: milliseconds, open, high, low, close and base volume."""
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
    """Every value of a JSON document; a response that is no JSON at all (ccxt: None) has none."""
    waiting = [] if document is None else [document]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
