"""Responses of CryptoCompare's REST interfaces as candles. Pure: bytes in, candles or a typed error out.

Two forms exist. The modern one (data-api) names each candle's trades, so that a candle opens with its own first trade
and a window without a trade is seen to be one. The legacy one (min-api, `histominute` and its kin) fills such windows
with the last price and no volume, and opens a candle with the trade before it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from trading.errors import (
    InvalidMessage,
    MarketloomError,
    NotAuthorised,
    NotStored,
    VenueRefused,
    VenueUnreachable,
)
from trading.history.candle_rows import CandleRow
from trading.history.retries import Throttled

ABSENT_WORDS = ("does not exist", "not found", "no data", "not available", "not integrated")
NO_EARLIER_PATTERN = re.compile(
    r"no (historical )?data\b.*\b(before|prior to|earlier than)\b|\bbefore the first\b"
)


class NoEarlierCandles(NotStored):
    """The vendor says that it has nothing older than what was asked for."""


@dataclass(frozen=True, slots=True)
class CandleResponse:
    """`times`: all open times of the response (seconds since 1970), in its order; `candles`: those that traded."""

    times: list[int]
    candles: list[CandleRow]


class _Error(msgspec.Struct):
    type: int | None = None
    message: str = ""


class _ModernCandle(msgspec.Struct):
    UNIT: str
    TIMESTAMP: int
    OPEN: float
    HIGH: float
    LOW: float
    CLOSE: float
    VOLUME: float
    MARKET: str = ""
    INSTRUMENT: str = ""
    MAPPED_INSTRUMENT: str = ""
    TOTAL_TRADES: int | None = None
    TOTAL_INDEX_UPDATES: int | None = None
    FIRST_TRADE_PRICE: float | None = None
    HIGH_TRADE_PRICE: float | None = None
    LOW_TRADE_PRICE: float | None = None
    LAST_TRADE_PRICE: float | None = None
    FIRST_MESSAGE_VALUE: float | None = None
    HIGH_MESSAGE_VALUE: float | None = None
    LOW_MESSAGE_VALUE: float | None = None
    LAST_MESSAGE_VALUE: float | None = None


class _Modern(msgspec.Struct):
    Data: list[_ModernCandle] | dict[str, Any]
    Err: _Error = msgspec.field(default_factory=_Error)


class _LegacyCandle(msgspec.Struct):
    time: int
    open: float
    high: float
    low: float
    close: float
    volumefrom: float
    volumeto: float
    conversion: str = msgspec.field(default="direct", name="conversionType")


class _LegacyData(msgspec.Struct):
    Data: list[_LegacyCandle] = []


class _Conversion(msgspec.Struct):
    type: str = "direct"


class _Legacy(msgspec.Struct):
    """Both versions: the candles lie under Data (first) or under Data.Data (second)."""

    Response: str = ""
    Message: str = ""
    Type: int | None = None
    Data: list[_LegacyCandle] | _LegacyData = []
    ConversionType: _Conversion = msgspec.field(default_factory=_Conversion)
    Err: _Error = msgspec.field(default_factory=_Error)


def modern_candles(body: bytes, market: str, instrument: str, unit: str, what: str) -> CandleResponse:
    """Decode `/spot/v1/historical` and `/index/cc/v1/historical`. `unit` is MINUTE, HOUR or DAY."""
    response = _decode(body, _Modern, what)
    if response.Err.message or response.Err.type is not None:
        raise translate_refusal(200, response.Err.type, response.Err.message, what)
    if isinstance(response.Data, dict):
        raise InvalidMessage(what, "the answer has neither candles nor an error")
    for candle in response.Data:
        _check_belongs(candle, market, instrument, unit, what)
    traded = [_modern_row(candle) for candle in response.Data if _has_traded(candle)]
    return CandleResponse([candle.TIMESTAMP for candle in response.Data], traded)


def legacy_candles(body: bytes, what: str) -> CandleResponse:
    """Decode `histominute`, `histohour` and `histoday`, first and second version.

    InvalidMessage when any price was made up from other pairs.
    """
    response = _decode(body, _Legacy, what)
    if response.Err.message or response.Err.type is not None:
        raise translate_refusal(200, response.Err.type, response.Err.message, what)
    if response.Response != "Success":
        raise translate_refusal(200, response.Type, response.Message or "no reason given", what)
    candles = response.Data if isinstance(response.Data, list) else response.Data.Data
    _check_direct([response.ConversionType.type, *(candle.conversion for candle in candles)], what)
    traded = [_legacy_row(candle) for candle in candles if candle.volumefrom or candle.volumeto]
    return CandleResponse([candle.time for candle in candles], traded)


def translate_refusal(
    status: int, kind: int | None, message: str, what: str, wait: float | None = None
) -> MarketloomError:
    """Return the error that a refusal means. `kind` is the vendor's number: 99 legacy rate limit, 2 missing key."""
    described = f"{what}: {message[:300]!r} (HTTP {status}, type {kind})"
    words = message.lower()
    if status == 429 or kind == 99 or "rate limit" in words:
        return Throttled(described, wait)
    if status in (401, 403) or any(named in words for named in ("api key", "auth key", "subscription")):
        return NotAuthorised(
            f"{described}; CRYPTOCOMPARE_API_KEY must hold a key of a subscription that includes this data: "
            "https://developers.coindesk.com/settings/api-keys"
        )
    if status >= 500 or status == 408:
        return VenueUnreachable(described)
    if NO_EARLIER_PATTERN.search(words):
        return NoEarlierCandles(f"{described}; choose a later beginning")
    if status == 404 or any(word in words for word in ABSENT_WORDS):
        return NotStored(f"{described}; choose a market and a pair that CryptoCompare has")
    return VenueRefused(described)


def refusal_reason(body: bytes) -> tuple[int | None, str]:
    """Read the vendor's number and words from the body of a refused request; empty words where it has none."""
    try:
        response = msgspec.json.decode(body, type=dict[str, Any])
        error = response.get("Err") or {}
        kind, words = error.get("type", response.get("Type")), error.get("message", response.get("Message"))
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return None, ""
    return kind if isinstance(kind, int) else None, str(words or "")


def _decode(body: bytes, kind: type[Any], what: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessage(what, f"not an answer with candles: {error}") from error


def _check_belongs(candle: _ModernCandle, market: str, instrument: str, unit: str, what: str) -> None:
    named = (
        candle.MARKET or market,
        candle.MAPPED_INSTRUMENT or candle.INSTRUMENT or instrument,
        candle.UNIT,
    )
    if (named[0].lower(), *named[1:]) != (market.lower(), instrument, unit):
        raise InvalidMessage(what, f"asked for {unit} candles of {instrument} on {market}, got {named}")


def _has_traded(candle: _ModernCandle) -> bool:
    counts = [count for count in (candle.TOTAL_TRADES, candle.TOTAL_INDEX_UPDATES) if count is not None]
    return any(counts) if counts else candle.VOLUME != 0


def _modern_row(candle: _ModernCandle) -> CandleRow:
    """OPEN is the price before the candle, and need not lie between its HIGH and LOW: its own trades come first."""
    return (
        candle.TIMESTAMP * 1_000_000,
        _first_present(candle.FIRST_TRADE_PRICE, candle.FIRST_MESSAGE_VALUE, candle.OPEN),
        _first_present(candle.HIGH_TRADE_PRICE, candle.HIGH_MESSAGE_VALUE, candle.HIGH),
        _first_present(candle.LOW_TRADE_PRICE, candle.LOW_MESSAGE_VALUE, candle.LOW),
        _first_present(candle.LAST_TRADE_PRICE, candle.LAST_MESSAGE_VALUE, candle.CLOSE),
        candle.VOLUME,
    )


def _first_present(*prices: float | None) -> float:
    return next(price for price in prices if price is not None)


def _legacy_row(candle: _LegacyCandle) -> CandleRow:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return (candle.time * 1_000_000, *prices, candle.volumefrom)


def _check_direct(kinds: Iterable[str], what: str) -> None:
    if made_up := {kind for kind in kinds if kind != "direct"}:
        raise InvalidMessage(
            what,
            f"prices are made up by conversion {sorted(made_up)}: the pair does not trade there directly",
        )
