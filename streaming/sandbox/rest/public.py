"""The public methods: what anybody may ask about the market (docs.kraken.com, Market Data)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from streaming.sandbox.formatting import format_rfc1123, format_rfc3339
from streaming.sandbox.market.tape import INTERVALS
from streaming.sandbox.model import Listing, Refused
from streaming.sandbox.rest import shapes
from streaming.sandbox.rest.api import Face
from streaming.sandbox.rest.envelope import PublicCall
from streaming.sandbox.rest.names import asset_name, pair_key
from streaming.sandbox.rest.parameters import Parameters, invalid
from trading.market import Pair

MOST_TRADES = 1000
MOST_LEVELS = 500
USUAL_LEVELS = 100
CURSOR_FROM = 10**11  # smaller numbers are seconds until the year 5138, larger ones nanoseconds
NANOSECONDS = 10**9
LAST_CURSOR = 2**63 - 1


def server_time(face: Face, _: Parameters) -> dict[str, Any]:
    now = face.told_time()
    return {"unixtime": int(now.timestamp()), "rfc1123": format_rfc1123(now)}


def system_status(face: Face, _: Parameters) -> dict[str, Any]:
    return {"status": face.system_status().value, "timestamp": format_rfc3339(face.told_time())}


def assets(face: Face, given: Parameters) -> dict[str, Any]:
    _check_class(given, "aclass")
    names = given.ids("asset", 100)
    wanted = [face.names.asset(name) for name in names] if names else face.names.assets
    return {asset_name(asset).key: shapes.asset(asset) for asset in dict.fromkeys(wanted)}


def asset_pairs(face: Face, given: Parameters) -> dict[str, Any]:
    _check_class(given, "aclass_base")
    part = given.one_of("info", ("info", "leverage", "fees", "margin"), "info")
    return {pair_key(pair): _pair_part(face, pair, face.listing(pair), part) for pair in _pairs(face, given)}


def ticker(face: Face, given: Parameters) -> dict[str, Any]:
    if "pair" in given:
        return {pair_key(pair): _ticker(face, pair) for pair in _pairs(face, given)}
    return {pair_key(pair): _ticker(face, pair) for pair in face.exchange.listings if _has_traded(face, pair)}


def candles(face: Face, given: Parameters) -> dict[str, Any]:
    """`last` is the newest candle that is over; with it as `since` come those that were not, then."""
    pair = face.names.pair(given.required("pair"))
    interval = given.whole("interval", 1, max(INTERVALS), 1)
    if interval not in INTERVALS:
        raise invalid("interval")
    bars = face.exchange.tape(pair).filled_bars(interval, face.exchange.market_now(), _since(given))
    if not bars:
        raise Refused("EService:Unavailable")  # nothing was ever traded
    last = int(bars[-1].open_time.timestamp()) - interval * 60
    instrument = face.instrument(pair)
    return {pair_key(pair): [shapes.candle(instrument, bar) for bar in bars], "last": last}


def trades(face: Face, given: Parameters) -> dict[str, Any]:
    pair = face.names.pair(given.required("pair"))
    count = given.whole("count", 1, MOST_TRADES, MOST_TRADES)
    tape = face.exchange.tape(pair)
    if "since" in given:
        prints, last = tape.since(_cursor(given), count)
    else:
        prints, last = tape.newest(count), tape.cursor
    return shapes.trades(face.instrument(pair), prints, last)


def depth(face: Face, given: Parameters) -> dict[str, Any]:
    pair = face.names.pair(given.required("pair"))
    count = given.whole("count", 1, MOST_LEVELS, USUAL_LEVELS)
    return shapes.depth(face.instrument(pair), face.exchange.book(pair, count))


CALLS: Mapping[str, PublicCall] = {
    "Time": server_time,
    "SystemStatus": system_status,
    "Assets": assets,
    "AssetPairs": asset_pairs,
    "Ticker": ticker,
    "OHLC": candles,
    "Trades": trades,
    "Depth": depth,
}


def _pairs(face: Face, given: Parameters) -> tuple[Pair, ...]:
    """Those asked for, or all."""
    return face.names.pairs(given.text("pair")) if "pair" in given else tuple(face.exchange.listings)


def _pair_part(face: Face, pair: Pair, listing: Listing, part: str) -> dict[str, Any]:
    if part == "leverage":
        return shapes.pair_leverage(listing)
    if part == "fees":
        return shapes.pair_fees(listing)
    if part == "margin":
        return shapes.pair_margin(face.terms)
    return shapes.asset_pair(listing, face.pair_status(pair), face.terms)


def _ticker(face: Face, pair: Pair) -> dict[str, Any]:
    return shapes.ticker(face.instrument(pair), face.exchange.summary(pair))


def _has_traded(face: Face, pair: Pair) -> bool:
    return face.exchange.tape(pair).last_price is not None


def _since(given: Parameters) -> datetime | None:
    return given.moment("since") if "since" in given else None


def _cursor(given: Parameters) -> int:
    """Seconds (with a fraction) or nanoseconds since 1970, whichever the size of the number says."""
    if "." in given.text("since"):
        since = given.number("since")
        if since is None or not 0 <= since < CURSOR_FROM:
            raise invalid("since")
        return int(since * NANOSECONDS)
    whole = given.whole("since", 0, LAST_CURSOR)
    return whole if whole >= CURSOR_FROM else whole * NANOSECONDS


def _check_class(given: Parameters, name: str) -> None:
    if given.text(name, "currency") != "currency":
        raise Refused("EQuery:Unknown asset" if name == "aclass" else "EQuery:Unknown asset pair")
