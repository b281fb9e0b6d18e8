"""Votes and candles that tests of the track record are told with."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from trading.market import Pair, Timeframe
from trading.ports import VOTE_SCHEMA

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
HOUR = timedelta(hours=1)
FIRST = datetime(2024, 3, 1, tzinfo=UTC)  # the first candle opens
RULES, CHAT = "rules/1", "anthropic/claude-haiku-4-5"


def candles(opens: Sequence[float]) -> pl.DataFrame:
    times = [FIRST + number * HOUR for number in range(len(opens))]
    return pl.DataFrame({"open_time": times, "open": [float(each) for each in opens]}).with_columns(
        pl.col("open_time").cast(pl.Datetime("us", "UTC"))
    )


def vote(candle: int, action: str | None, confidence: float = 0.5, **changes: Any) -> Mapping[str, Any]:
    """A vote on the candle with this number, counted from 0."""
    return {
        "decision_id": f"{candle}", "closed_at": FIRST + (candle + 1) * HOUR, "pair": str(BTC), "agent": "technical",
        "model": RULES, "action": action, "confidence": confidence, "shadow": False, "usd": 0.0, **changes,
    }  # fmt: skip


def table(*votes: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(votes, schema=VOTE_SCHEMA)


FRAME = Timeframe.H1
