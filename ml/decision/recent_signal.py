"""The most recent clear signal: a demo replays the decisions since then, so that something happens in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading.market import Pair
from trading.signals import Direction, SignalRules, technical_signal


@dataclass(frozen=True, slots=True)
class RecentSignal:
    """Candle closes of one pair, from the one with a signal to the newest, ascending."""

    pair: Pair
    closes: tuple[datetime, ...]


def find_most_recent_signal(
    tables: Mapping[Pair, pl.DataFrame], rules: SignalRules, confidence: float, max_candles: int
) -> RecentSignal | None:
    """Find the pair whose technical signal was last at least `confidence` strong, within `max_candles`.

    `tables` hold features and `close` of the newest candles per pair, sorted. None when no pair had one.
    """
    recent = {pair: table.tail(max_candles) for pair, table in tables.items()}
    signals = [
        RecentSignal(pair, tuple(table["close_time"][index:]))
        for pair, table in recent.items()
        if (index := _last_strong(table.to_dicts(), rules, confidence)) is not None
    ]
    return min(signals, key=lambda signal: len(signal.closes), default=None)


def _last_strong(rows: Sequence[Mapping[str, float]], rules: SignalRules, confidence: float) -> int | None:
    for index in reversed(range(len(rows))):
        signal = technical_signal(rows[index], rows[index]["close"], rules)
        if signal.direction is not Direction.NEUTRAL and signal.strength >= confidence:
            return index
    return None
