"""Files of recorded trades, written by tests."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from streaming.sandbox.market.source import Tick
from streaming.sandbox.market.trades import TradeReplay
from tests.streaming.sandbox.market_cases import BTC, XRP, instrument

TERMS = {BTC: instrument(), XRP: instrument(XRP, "0.00000001")}
ALWAYS = datetime(1990, 1, 1, tzinfo=UTC)
SECOND = 1_700_000_000


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(SECOND + seconds, UTC)


def csv(folder: Path, text: str, name: str = "XBTUSDT.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def lines(trades: list[tuple[int, str, str]]) -> str:
    return "".join(f"{SECOND + second},{price},{quantity}\n" for second, price, quantity in trades)


def played(path: Path, after: datetime = ALWAYS) -> list[Tick]:
    return list(TradeReplay({BTC: [path]}, TERMS).ticks(after))


def parquet(folder: Path, **columns: object) -> Path:
    path = folder / "BTC-USDT.parquet"
    first = {"timestamp": [at(0), at(1)], "price": [100.1, 100.2], "amount": [0.5, 1e-8]}
    pl.DataFrame({**first, **columns}).write_parquet(path)
    return path
