"""Small candle files of every format, written as their vendors write them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl

Row = tuple[datetime, float, float, float, float, float]
START = datetime(2021, 4, 1, tzinfo=UTC)


def rows(count: int, step: timedelta = timedelta(hours=1)) -> list[Row]:
    """Possible candles, each different from the others."""
    return [(START + i * step, 100.0 + i, 102.5 + i, 99.5 + i, 101.25 + i, 3.5 + i) for i in range(count)]


def seconds(row: Row) -> int:
    return int(row[0].timestamp())


def parquet(path: Path, candles: Sequence[Row], time: str = "timestamp") -> None:
    frame(candles, time).with_columns(pl.col(time).cast(pl.Datetime("ms", "UTC"))).write_parquet(path)


def feather(path: Path, candles: Sequence[Row]) -> None:
    frame(candles, "date").with_columns(pl.col("date").cast(pl.Datetime("ns", "UTC"))).write_ipc(path)


def frame(candles: Sequence[Row], time: str) -> pl.DataFrame:
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64())
    return pl.DataFrame(list(candles), schema={time: pl.Datetime("us", "UTC"), **numbers}, orient="row")


def freqtrade_json(path: Path, candles: Sequence[Row]) -> None:
    path.write_bytes(orjson.dumps([[seconds(row) * 1000, *row[1:]] for row in candles]))


def kraken(path: Path, candles: Sequence[Row]) -> None:
    lines(path, [f"{seconds(row)},{numbers(row)},7" for row in candles])


def klines(path: Path, candles: Sequence[Row]) -> None:
    lines(path, [kline(row, str(seconds(row) * 1000)) for row in candles])


def kline(row: Row, stamp: str) -> str:
    return f"{stamp},{numbers(row)},{seconds(row) * 1000 + 3599999},1.5,7,0.5,0.25,0"


def cryptodatadownload(path: Path, candles: Sequence[Row]) -> None:
    head = ["Timestamps are UTC timezone,https://www.CryptoDataDownload.com"]
    head.append("Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT")
    body = [f"{row[0]:%Y-%m-%d %I-%p},BTCUSDT,{numbers(row)},999.5" for row in reversed(candles)]
    lines(path, head + body)


def cryptodatadownload_unix(path: Path, candles: Sequence[Row]) -> None:
    head = ["https://www.CryptoDataDownload.com"]
    head.append("unix,date,symbol,open,high,low,close,Volume USDT,Volume BTC,tradecount")
    body = [
        f"{seconds(row)},{row[0]:%Y-%m-%d %H:%M:%S},BTC/USDT,{numbers(row[:-1])},999.5,{row[-1]},7"
        for row in reversed(candles)
    ]
    lines(path, head + body)


def numbers(row: Sequence[object]) -> str:
    return ",".join(map(str, row[1:]))


def lines(path: Path, text: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in text))


WRITERS: dict[str, Callable[[Path, Sequence[Row]], None]] = {
    "Parquet candles": parquet, "freqtrade Feather": feather, "freqtrade JSON": freqtrade_json,
    "Kraken OHLCVT CSV": kraken, "Binance klines CSV": klines, "CryptoDataDownload CSV": cryptodatadownload,
}  # fmt: skip
