"""Missing candles as a materialisation of `ohlcv` shows them: each stretch with its reason, and what is unrepaired."""

from datetime import date, datetime
from typing import Any

import dagster as dg
import polars as pl

from trading.candles import Gap, GapKind, gaps
from trading.market import Pair, Universe, month_start, next_month
from trading.stream_coverage import StreamCoverage, share


def gap_metadata(
    candles: pl.DataFrame, pair: Pair, universe: Universe, coverage: StreamCoverage
) -> dict[str, Any]:
    """Return each missing interval with its reason, and how many candles each reason explains."""
    found = coverage.explained(pair, gaps(candles, universe.timeframe, universe.origin))
    counts = {kind: sum(gap.candles for gap in found if gap.kind is kind) for kind in GapKind}
    return {
        "gaps": dg.MetadataValue.table(
            [_gap_record(gap) for gap in found], dg.TableSchema.from_name_type_dict(_GAP_COLUMNS)
        ),
        **{f"missing_{kind.value}": count for kind, count in counts.items()},
    }


def feed_metadata(
    coverage: StreamCoverage, pair: Pair, month: date, candles: pl.DataFrame
) -> dict[str, float | int]:
    start, end = month_start(month), month_start(next_month(month))
    stretches = coverage.unrepaired(pair, start, known_end(candles, end))
    return {"unrepaired_gaps": len(stretches), "unrepaired_share": share(stretches, start, end)}


def known_end(candles: pl.DataFrame, end: datetime) -> datetime:
    """Return until when the month is stored: a gap that still lasts is counted as far as that."""
    newest = candles["close_time"].max()
    return min(newest, end) if isinstance(newest, datetime) else end


_GAP_COLUMNS = {"first_missing": "time (UTC)", "candles": "whole number", "kind": "text"}


def _gap_record(gap: Gap) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "first_missing": f"{gap.first_missing:%Y-%m-%d %H:%M}",
            "candles": gap.candles,
            "kind": gap.kind.value,
        }
    )
