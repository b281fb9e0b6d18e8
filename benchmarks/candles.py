"""Trades one batch after another into proven candles of every timeframe, beside Polars over all of them at once."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from benchmarks.row import Benchmark, Row, medians, row
from streaming.bars import PairCandles
from streaming.events import Trade
from trading.market import Pair, Timeframe
from trading.orders import Side

DATA = Path(__file__).parents[1] / "../shared/data"
TRADES = DATA / "ticks/kraken_BTC-USDT_trades_2023-11.parquet"
VENDOR = {Timeframe.M1: "kraken_BTC-USDT_1m_2023-11", Timeframe.M5: "kraken_BTC-USDT_5m_2023-11"}
PAIR = Pair("BTC", "USDT")
GRACE = timedelta(seconds=1)
BATCHES, ROUNDS, SEEDED = (1, 10, 100), 5, 50_000
Numbers = tuple[float, float, float, float]  # open, high, low, close
Candles = dict[tuple[Timeframe, datetime], Numbers]


def candles_from_trades() -> list[Row]:
    """Measure contiguous ids: real ones that were never given would wait for a repair."""
    return [*_measure("seeded trades, two a second", _seeded()), *(_real() if TRADES.exists() else [])]


def _real() -> list[Row]:
    rows = pl.read_parquet(TRADES).select("side", "price", "amount", "timestamp").iter_rows()
    trades = [Trade(PAIR, number, Side(each[0]), *each[1:]) for number, each in enumerate(rows, 1)]
    return _measure(f"{len(trades):,} real trades", trades, _vendor())


def _vendor() -> Candles:
    """Return the candles that the vendor built of the same trades."""
    found: Candles = {}
    for timeframe, name in VENDOR.items():
        table = pl.read_parquet(DATA / f"ohlcv/{name}.parquet").select(
            "timestamp", "open", "high", "low", "close"
        )
        found |= {(timeframe, opens): tuple(numbers) for opens, *numbers in table.iter_rows()}  # type: ignore[misc]
    return found


def _measure(what: str, trades: Sequence[Trade], vendor: Candles | None = None) -> list[Row]:
    table = pl.DataFrame({"time": [each.at for each in trades], "price": [each.price for each in trades],
                          "quantity": [each.quantity for each in trades]})  # fmt: skip
    calls = {str(size): lambda size=size: _ours(trades, size) for size in BATCHES}
    spent = medians(calls | {"polars": lambda: _batch(table)}, ROUNDS)  # type: ignore[arg-type]
    ours, batch = _ours(trades, 10), _batch(table)
    said = f"{_equal(ours, batch)} Polars'"
    if vendor:
        said += (
            f", {_equal({key: each for key, each in ours.items() if key[0] in VENDOR}, vendor)} the vendor's"
        )
    return [
        row(
            "candles_from_trades", f"{what}, batches of {size}, a checkpoint each, 7 timeframes; {said}",
            len(trades) / spent[str(size)], "trades/s", "Polars' group_by of all trades at once, 7 timeframes",
            len(trades) / spent["polars"], target=">= 50,000 trades/s", packages=("polars", "msgspec"),
        )
        for size in BATCHES
    ]  # fmt: skip


def _equal(ours: Candles, theirs: Candles) -> str:
    return f"{sum(theirs.get(key) == each for key, each in ours.items()):,} of {len(ours):,} candles equal to"


def _ours(trades: Sequence[Trade], size: int) -> Candles:
    candles = PairCandles("kraken", PAIR, tuple(Timeframe), GRACE)
    first = trades[0].at
    candles.restore(first, first)
    candles.add(trades[:1], first)
    for gap in candles.gaps:
        candles.backfill(gap, [], gap.until, first)
    found: Candles = {}
    for index in range(1, len(trades), size):
        batch = trades[index : index + size]
        for each in candles.add(batch, batch[-1].at).candles:
            if each.trades:
                found[each.timeframe, each.open_time] = each.open, each.high, each.low, each.close
        candles.checkpoint()
    return found


def _batch(table: pl.DataFrame) -> Candles:
    found: Candles = {}
    price = pl.col("price")
    for timeframe in Timeframe:
        built = table.group_by(pl.col("time").dt.truncate(timeframe.value), maintain_order=True).agg(
            price.first().alias("open"), price.max().alias("high"), price.min().alias("low"),
            price.last().alias("close"), pl.col("quantity").sum(),
        )  # fmt: skip
        for opens, *numbers, _ in built.iter_rows():
            found[timeframe, opens] = tuple(numbers)  # type: ignore[assignment]
    return found


def _seeded() -> list[Trade]:
    draw, at, trades = random.Random(7), datetime(2026, 1, 1, tzinfo=UTC), []
    for number in range(1, SEEDED + 1):
        at += timedelta(seconds=draw.expovariate(2))
        trades.append(
            Trade(PAIR, number, Side.BUY, round(draw.uniform(99, 101), 1), draw.randint(1, 10**9) / 1e8, at)
        )
    return trades


BENCHMARKS: dict[str, Benchmark] = {"candles_from_trades": lambda: iter(candles_from_trades())}
