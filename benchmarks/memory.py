"""What weighing votes by their record brings: the technical agent on recorded candles, back-tested with it and without.

The folder of candle files is `OHLCV_DATA`, by default ../shared/data/ohlcv beside the checkout; every file of hourly
candles in it that spans half a year or more is used. Weights are made anew each week of the votes until then, by the
code and settings that weigh live. No policy and no news take part: there are none of that time.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from benchmarks.row import Benchmark, Row, row
from ml.agents.panel import TECHNICAL
from ml.agents.technical import MODEL
from ml.agents.vote_weights import WeightVersions, weights_of_rows
from ml.agents.votes import ACTIONS
from ml.decision_history import AgentHistory, DecisionHistory
from ml.track_record.board import BoardMaker
from ml.track_record.cut_off import CutOffs
from ml.track_record.weighing import Weigher
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from tests.doubles.stores import MemoryTable, MemoryWeights
from trading.backtest import Bars, run
from trading.importers.candle_files import read_candle_file
from trading.indicators import feature_table
from trading.market import Pair, Timeframe, month_of
from trading.ports import VOTE_SCHEMA

_DATA = Path(__file__).parents[1] / "../shared/data/ohlcv"
FRAME, WEEK = Timeframe.H1, timedelta(days=7)
SHORTEST = timedelta(days=180)


class Recorded:
    """The votes that live decisions would have recorded."""

    def __init__(self, votes: pl.DataFrame) -> None:
        self._votes = votes

    def read(self, start: datetime, end: datetime) -> pl.DataFrame:
        return self._votes.filter(pl.col("closed_at") >= start, pl.col("closed_at") < end)


def by_record() -> Iterator[Row]:
    """Back-test the technical agent on each file, by its record and with every vote alike, net of all costs."""
    settings = load_settings()
    folder = Path(os.environ.get("OHLCV_DATA", _DATA))
    for path in sorted(folder.glob("*_1h_*.parquet")):
        imported = read_candle_file(path)
        pair, candles = imported.report.pair, imported.candles
        if pair not in settings.instruments or candles["open_time"][-1] - candles["open_time"][0] < SHORTEST:
            continue
        yield _row(path.stem, pair, candles, settings)


def _row(name: str, pair: Pair, candles: pl.DataFrame, settings: Settings) -> Row:
    features = feature_table(candles, FRAME)
    table = candles.join(
        features.drop("close_time", "known_at"), on="open_time", how="left", maintain_order="left"
    )
    decisions = DecisionHistory(MemoryTable(None), settings.decision_rules, FRAME)
    alike = decisions.technical(table)
    versions = _learn(pair, table, alike, settings)
    models = pl.Series([MODEL]).new_from_index(0, table.height)
    records = weights_of_rows(versions.runs(table["close_time"]), TECHNICAL, models, table["regime"])
    weighed = replace(alike, flat=tuple(each.weighed(records) for each in alike.flat))
    rules, bars = settings.account_rules(pair), Bars.of(table)
    with_it, without = (
        run(bars, decisions.plan(pair, table, each), rules).totals for each in (weighed, alike)
    )
    return row(
        f"memory/{name}",
        f"{table.height} candles; no vote on {(records == 0).mean():.0%} of them; trades {with_it.trades}; earned",
        with_it.total_return,
        "share of the equity, net",
        f"every vote alike: {without.trades} trades, {without.total_return:+.2%}",
        None,
        target="none: a judge without skill should cost less",
    )


def _learn(pair: Pair, table: pl.DataFrame, agents: AgentHistory, settings: Settings) -> WeightVersions:
    [votes] = agents.flat
    recorded = pl.DataFrame(
        {
            "decision_id": [f"{number}" for number in range(table.height)],
            "closed_at": table["close_time"],
            "pair": f"{pair}",
            "agent": TECHNICAL,
            "model": MODEL,
            "action": [ACTIONS[code].value if code >= 0 else None for code in votes.actions],
            "confidence": votes.confidences,
            "shadow": False,
            "usd": 0.0,
        },
        schema=VOTE_SCHEMA,
    )
    stores = MemoryTable(None), MemoryTable(None)
    for (month,), rows in table.group_by(pl.col("open_time").dt.truncate("1mo"), maintain_order=True):
        assert isinstance(month, datetime)
        for store in stores:
            store.write(pair, month_of(month), rows)
    maker = BoardMaker(Recorded(recorded), *stores, (pair,), FRAME, {}, CutOffs({}))
    weigher, versions = Weigher(maker, settings.memory), WeightVersions(MemoryWeights())
    at = table["close_time"][0] + WEEK
    while at < table["close_time"][-1]:
        versions.record(weigher.weights(at, versions.at(at)))
        at += WEEK
    return versions


BENCHMARKS: dict[str, Benchmark] = {"memory": by_record}
