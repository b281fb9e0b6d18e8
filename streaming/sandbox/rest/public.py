"""The public methods: what anybody may ask about the market (docs.kraken.com, Market Data)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from streaming.sandbox.formatting import format_rfc1123, format_rfc3339
from streaming.sandbox.market.tape import INTERVALS
from streaming.sandbox.model import Listing, Refused
from streaming.sandbox.rest import shapes
from streaming.sandbox.rest.api import RestApi
from streaming.sandbox.rest.envelope import PublicFunction
from streaming.sandbox.rest.names import asset_name, pair_key
from streaming.sandbox.rest.parameters import Parameters, invalid
from trading.market import Pair

MAX_TRADES = 1000
MAX_LEVELS = 500
DEFAULT_LEVELS = 100
ALL_LEVELS = 10**9
GROUPED_DEPTHS = (10, 25, 100, 250, 1000)  # levels of GroupedBook; the first is the default
GROUPINGS = (1, 5, 10, 25, 50, 100, 250, 500, 1000)  # increments of one of its levels
CURSOR_FROM = 10**11  # smaller numbers are seconds until the year 5138, larger ones nanoseconds
NANOSECONDS = 10**9
LAST_CURSOR = 2**63 - 1


def server_time(api: RestApi, _: Parameters) -> dict[str, Any]:
    now = api.skewed_time()
    return {"unixtime": int(now.timestamp()), "rfc1123": format_rfc1123(now)}


def system_status(api: RestApi, _: Parameters) -> dict[str, Any]:
    return {"status": api.system_status().value, "timestamp": format_rfc3339(api.skewed_time())}


def assets(api: RestApi, given: Parameters) -> dict[str, Any]:
    _check_class(given, "aclass")
    names = given.id_list("asset", 100)
    wanted = [api.names.asset(name) for name in names] if names else api.names.assets
    return {asset_name(asset).key: shapes.asset_json(asset) for asset in dict.fromkeys(wanted)}


def asset_pairs(api: RestApi, given: Parameters) -> dict[str, Any]:
    _check_class(given, "aclass_base")
    part = given.one_of("info", ("info", "leverage", "fees", "margin"), "info")
    return {pair_key(pair): _pair_part(api, pair, api.listing(pair), part) for pair in _pairs(api, given)}


def ticker(api: RestApi, given: Parameters) -> dict[str, Any]:
    if "pair" in given:
        return {pair_key(pair): _ticker(api, pair) for pair in _pairs(api, given)}
    return {pair_key(pair): _ticker(api, pair) for pair in api.exchange.listings if _has_traded(api, pair)}


def candles(api: RestApi, given: Parameters) -> dict[str, Any]:
    """Return candles; `last` is the newest that is over: as `since` it brings those that were not, then."""
    pair = api.names.pair(given.required("pair"))
    interval = given.integer("interval", 1, max(INTERVALS), 1)
    if interval not in INTERVALS:
        raise invalid("interval")
    bars = api.exchange.tape(pair).filled_bars(interval, api.exchange.market_now(), _since(given))
    if not bars:
        raise Refused("EService:Unavailable")  # nothing was ever traded
    last = int(bars[-1].open_time.timestamp()) - interval * 60
    instrument = api.instrument(pair)
    return {pair_key(pair): [shapes.candle_json(instrument, bar) for bar in bars], "last": last}


def trades(api: RestApi, given: Parameters) -> dict[str, Any]:
    pair = api.names.pair(given.required("pair"))
    count = given.integer("count", 1, MAX_TRADES, MAX_TRADES)
    tape = api.exchange.tape(pair)
    if "since" in given:
        prints, last = tape.since(_cursor(given), count)
    else:
        prints, last = tape.newest(count), tape.cursor
    return shapes.trades_json(api.instrument(pair), prints, last)


def depth(api: RestApi, given: Parameters) -> dict[str, Any]:
    pair = api.names.pair(given.required("pair"))
    count = given.integer("count", 1, MAX_LEVELS, DEFAULT_LEVELS)
    return shapes.depth_json(api.instrument(pair), api.exchange.book(pair, count))


def grouped_book(api: RestApi, given: Parameters) -> dict[str, Any]:
    pair = api.names.pair(given.required("pair"))
    depth = int(given.one_of("depth", map(str, GROUPED_DEPTHS), str(GROUPED_DEPTHS[0])))
    grouping = int(given.one_of("grouping", map(str, GROUPINGS), str(GROUPINGS[0])))
    return shapes.grouped_json(api.instrument(pair), api.exchange.book(pair, ALL_LEVELS), depth, grouping)


def spreads(api: RestApi, given: Parameters) -> dict[str, Any]:
    """Return changes of the best prices; `last` as `since` brings those from that second on once more."""
    pair = api.names.pair(given.required("pair"))
    since = _since(given)
    found = [each for each in api.exchange.spreads(pair) if since is None or each.at >= since]
    rows = [shapes.spread_json(api.instrument(pair), each) for each in found]
    last = rows[-1][0] if rows else int((since or api.exchange.market_now()).timestamp())
    return {pair_key(pair): rows, "last": last}


CALLS: Mapping[str, PublicFunction] = {
    "Time": server_time,
    "SystemStatus": system_status,
    "Assets": assets,
    "AssetPairs": asset_pairs,
    "Ticker": ticker,
    "OHLC": candles,
    "Trades": trades,
    "Depth": depth,
    "GroupedBook": grouped_book,
    "Spread": spreads,
}


def _pairs(api: RestApi, given: Parameters) -> tuple[Pair, ...]:
    """Those asked for, or all."""
    return api.names.pairs(given.text("pair")) if "pair" in given else tuple(api.exchange.listings)


def _pair_part(api: RestApi, pair: Pair, listing: Listing, part: str) -> dict[str, Any]:
    if part == "leverage":
        return shapes.leverage_json(listing)
    if part == "fees":
        return shapes.fees_json(listing)
    if part == "margin":
        return shapes.margin_json(api.terms)
    return shapes.asset_pair_json(listing, api.pair_status(pair), api.terms)


def _ticker(api: RestApi, pair: Pair) -> dict[str, Any]:
    return shapes.ticker_json(api.instrument(pair), api.exchange.summary(pair))


def _has_traded(api: RestApi, pair: Pair) -> bool:
    return api.exchange.tape(pair).last_price is not None


def _since(given: Parameters) -> datetime | None:
    return given.epoch_time("since") if "since" in given else None


def _cursor(given: Parameters) -> int:
    """Seconds (with a fraction) or nanoseconds since 1970, whichever the size of the number says."""
    if "." in given.text("since"):
        since = given.amount("since")
        if since is None or not 0 <= since < CURSOR_FROM:
            raise invalid("since")
        return int(since * NANOSECONDS)
    whole = given.integer("since", 0, LAST_CURSOR)
    return whole if whole >= CURSOR_FROM else whole * NANOSECONDS


def _check_class(given: Parameters, name: str) -> None:
    if given.text(name, "currency") != "currency":
        raise Refused("EQuery:Unknown asset" if name == "aclass" else "EQuery:Unknown asset pair")
