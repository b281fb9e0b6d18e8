"""Prices of a file against what is stored: quotes the wrong way round or in another unit are refused.

A pair has one price at one time, and three pairs among three assets agree: XRP/USDT = XRP/BTC x BTC/USDT.
"""

import math
from collections.abc import Iterator, Sequence
from typing import cast

import polars as pl

from trading.errors import InvalidCandles
from trading.importers.import_report import ImportedFile
from trading.market import Pair
from trading.ports import CandleSource

MAX_SAME_TIME = 1.5  # ratio at one time: vendors of a venue differ by 1 %, triangles by a few in a crash
MAX_NEIGHBOURS = 100.0  # ratio of the nearest candles apart in time: Bitcoin took three years for it
NEIGHBOURS = 24  # candles whose median counts: a single flash low says nothing


def check_price_level(imported: ImportedFile, stored: CandleSource, pairs: Sequence[Pair]) -> None:
    """Raise InvalidCandles where the prices contradict those that the pair has, or makes in a triangle with others.

    `pairs` are those that are stored.
    """
    pair = cast(Pair, imported.report.pair)
    if pair in pairs:
        _check_own_level(imported, stored.candles(pair, *stored.span(pair)))
    for detour in _detours(pair, pairs):
        _check_triangle(imported, stored, pair, detour)


def _check_own_level(imported: ImportedFile, own: pl.DataFrame) -> None:
    new = imported.candles
    both = new.join(own, on="open_time", suffix="_stored")
    if both.height:
        limit, new_level, old_level = MAX_SAME_TIME, _level(both["close"]), _level(both["close_stored"])
    else:
        limit = MAX_NEIGHBOURS
        before, after = (own.filter(side) for side in _sides(new))
        new_level = _level(new["close"].head(NEIGHBOURS) if before.height else new["close"].tail(NEIGHBOURS))
        old_level = _level(
            before["close"].tail(NEIGHBOURS) if before.height else after["close"].head(NEIGHBOURS)
        )
    if abs(math.log(new_level / old_level)) > math.log(limit):
        raise InvalidCandles(
            f"{imported.report.path} has prices around {new_level:.8g} where candles around {old_level:.8g} are "
            f"stored: are they of that pair, not inverted, and in the same unit? Remove the wrong one of the two"
        )


def _sides(new: pl.DataFrame) -> tuple[pl.Expr, pl.Expr]:
    first = pl.lit(new["open_time"][0])
    return pl.col("open_time") < first, pl.col("open_time") > first


def _level(closes: pl.Series) -> float:
    return cast(float, closes.median())


def _detours(pair: Pair, stored: Sequence[Pair]) -> Iterator[tuple[Pair, Pair]]:
    """Yield two stored pairs that lead from base to quote over a third asset, whichever way round they are quoted."""
    for first in stored:
        third = {first.base: first.quote, first.quote: first.base}.get(pair.base)
        yield from (
            (first, second)
            for second in stored
            if third and {second.base, second.quote} == {third, pair.quote}
        )


def _check_triangle(
    imported: ImportedFile, stored: CandleSource, pair: Pair, detour: tuple[Pair, Pair]
) -> None:
    first, second = detour
    joined = imported.candles.select("open_time", pl.col("close").log().alias(str(pair)))
    for leg in detour:
        closes = stored.candles(leg, *stored.span(leg)).select(
            "open_time", pl.col("close").log().alias(str(leg))
        )
        joined = joined.join(closes, on="open_time")
    if joined.is_empty():
        return
    signs = {
        pair: -1,
        first: 1 if first.base == pair.base else -1,
        second: 1 if second.quote == pair.quote else -1,
    }
    terms = {leg: sign * pl.col(str(leg)) for leg, sign in signs.items()}
    if _fits(joined, sum(terms.values(), pl.lit(0.0))):
        return
    levels = ", ".join(f"{leg} around {math.exp(_level(joined[str(leg)])):.8g}" for leg in signs)
    inverted = [leg for leg in terms if _fits(joined, sum(terms.values(), -2 * terms[leg]))]
    hint = f"; {inverted[0]} would fit the other way round" if len(inverted) == 1 else ""
    raise InvalidCandles(
        f"{imported.report.path} makes a triangle that cannot be: {levels}{hint}. Remove the wrong one of the three"
    )


def _fits(joined: pl.DataFrame, deviation: pl.Expr) -> bool:
    return abs(_level(joined.select(deviation).to_series())) <= math.log(MAX_SAME_TIME)
