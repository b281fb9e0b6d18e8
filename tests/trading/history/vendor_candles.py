"""A market whose candles are known, and what CryptoCompare and Binance would answer about it."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import polars as pl

from tests.trading.history.page_server import Query, Reply

FIRST = datetime(2023, 11, 1, 0, 3, tzinfo=UTC)  # the first minute that traded
MINUTE = timedelta(minutes=1)
NOW = FIRST + 5000 * MINUTE + timedelta(seconds=20)
SECONDS = {"minutes": 60, "hours": 3600, "days": 86400}
Numbers = tuple[float, float, float, float, float]  # open, high, low, close, base volume


def seconds(time: datetime) -> int:
    return int(time.timestamp())


def rows_of(candles: pl.DataFrame) -> list[tuple[int, float, float]]:
    """Open time, open and volume of each candle."""
    return [(seconds(row["open_time"]), row["open"], row["volume"]) for row in candles.iter_rows(named=True)]


class Market:
    """One trade a minute from FIRST until NOW, at a price that tells the minute; none in `silent` minutes."""

    def __init__(self, silent: Iterable[int] = (10, 11, *range(3000, 3400))) -> None:
        self.silent = frozenset(silent)  # minutes after FIRST

    def candles(self, length: int) -> dict[int, Numbers]:
        """By open time in seconds; the last one is not closed."""
        candles: dict[int, Numbers] = {}
        for minute in range((NOW - FIRST) // MINUTE + 1):
            if minute not in self.silent:
                price, time = 100.0 + minute, seconds(FIRST) + 60 * minute
                start = time - time % length
                first, high, low, _, volume = candles.get(start, (price, price, price, price, 0.0))
                candles[start] = (first, max(high, price), min(low, price), price, volume + 1.5)
        return candles

    def closed(self, start: datetime, end: datetime) -> list[tuple[int, float, float]]:
        """Open time, open and volume of the minutes that have closed."""
        return [
            (time, first, volume)
            for time, (first, _, _, _, volume) in self.candles(60).items()
            if seconds(start) <= time < min(seconds(end), seconds(NOW) - 60)
        ]

    def modern(self, path: str, query: Query) -> Reply:
        """`/spot/v1/historical/minutes`: the newest `limit` steps that open at or before to_ts, empty ones left out."""
        unit = path.rsplit("/", 1)[1]
        length = SECONDS[unit] * int(query["aggregate"])
        last = int(query["to_ts"]) // length * length
        shown = [
            modern_candle(query["market"], query["instrument"], unit, time, numbers)
            for time, numbers in self.candles(length).items()
            if last - length * int(query["limit"]) < time <= last
        ]
        return Reply(json.dumps({"Data": shown, "Err": {}}).encode())

    def legacy(self, path: str, query: Query) -> Reply:
        """`/data/v2/histominute`: every step has a candle; those without a trade repeat the last price, or are 0."""
        length = SECONDS[path.removeprefix("/data/v2/histo") + "s"] * int(query["aggregate"])
        last, known = int(query["toTs"]) // length * length, self.candles(length)
        times = range(last - length * int(query["limit"]), last + 1, length)
        shown = [legacy_candle(time, known.get(time, (0.0, 0.0, 0.0, 0.0, 0.0))) for time in times]
        return Reply(legacy_answer(shown))

    def klines(self, path: str, query: Query) -> Reply:
        """Binance: the oldest `limit` candles from startTime on, wherever they begin."""
        length = {"1m": 60, "1h": 3600, "1d": 86400}[query["interval"]]
        since = int(query.get("startTime", "0")) // 1000
        shown = [
            kline(time, numbers, length) for time, numbers in self.candles(length).items() if time >= since
        ]
        return Reply(json.dumps(shown[: int(query["limit"])]).encode())


def modern_candle(market: str, instrument: str, unit: str, time: int, numbers: Numbers) -> dict[str, object]:
    first, high, low, last, volume = numbers
    return {
        "UNIT": unit.removesuffix("s").upper(), "TIMESTAMP": time, "TYPE": "954", "MARKET": market,
        "INSTRUMENT": instrument.replace("-", ""), "MAPPED_INSTRUMENT": instrument, "BASE": "BTC", "QUOTE": "USDT",
        "OPEN": first - 5, "HIGH": high, "LOW": low, "CLOSE": last, "FIRST_TRADE_PRICE": first,
        "HIGH_TRADE_PRICE": high, "LOW_TRADE_PRICE": low, "LAST_TRADE_PRICE": last, "TOTAL_TRADES": 1,
        "VOLUME": volume, "QUOTE_VOLUME": volume * last,
    }  # fmt: skip


def legacy_candle(time: int, numbers: Numbers) -> dict[str, object]:
    first, high, low, last, volume = numbers
    return {
        "time": time, "high": high, "low": low, "open": first, "volumefrom": volume, "volumeto": volume * last,
        "close": last, "conversionType": "direct", "conversionSymbol": "",
    }  # fmt: skip


def legacy_answer(candles: list[dict[str, object]]) -> bytes:
    data = {"Aggregated": False, "TimeFrom": 0, "TimeTo": 0, "Data": candles}
    success = {"Response": "Success", "Message": "", "HasWarning": False, "Type": 100, "RateLimit": {}}
    return json.dumps(success | {"Data": data}).encode()


def kline(time: int, numbers: Numbers, length: int) -> list[object]:
    prices = [f"{number:.8f}" for number in numbers]
    return [time * 1000, *prices, (time + length) * 1000 - 1, "0.0", 1, "0.0", "0.0", "0"]


def exchange_info(*pairs: tuple[str, str]) -> bytes:
    """Binance's list of what it trades, with the fields that ccxt reads."""
    symbols = [
        {
            "symbol": base + quote, "status": "TRADING", "baseAsset": base, "baseAssetPrecision": 8,
            "quoteAsset": quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8, "orderTypes": ["LIMIT", "MARKET"], "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False, "filters": [], "permissions": ["SPOT"], "permissionSets": [["SPOT"]],
        }
        for base, quote in pairs
    ]  # fmt: skip
    return json.dumps({"timezone": "UTC", "serverTime": 0, "rateLimits": [], "symbols": symbols}).encode()
