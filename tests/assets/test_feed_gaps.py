"""Feed gaps in the graph: what they do to `ohlcv`, how missing candles are explained, and what they never block."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.features import features
from assets.gap_checks import feed_gaps_are_repaired, gaps_are_classified, newest_bars_are_streamed
from assets.market import ohlcv_from
from assets.tape import market_tape
from ml.decision.clock import HISTORY, ClockReading
from tests.assets.running import no_arrival, partition_range
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryTable
from tests.doubles.streamed import streamed
from tests.ml.decision.trading_day import RULES
from trading.candles import Gap, GapKind
from trading.closed_candles import Basis, ClosedCandle
from trading.feed_gaps import FeedGap, GapState, MissingKind
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.ports import Quote
from trading.simulation.market import SimulatedMarket
from trading.stream_coverage import explain_gap, open_stretches, share

BTC = Pair("BTC", "USDT")
HOUR = timedelta(hours=1)
FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)
MARKET = SimulatedMarket(
    (BTC,), Timeframe.H1, 3, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 10, tzinfo=UTC)
)
MONTHS = ("2024-01-01", "2024-02-01", "2024-03-01")


def gap(
    since: datetime, until: datetime | None, kind: MissingKind = MissingKind.FEED_GAP, number: int = 1
) -> FeedGap:
    return FeedGap("simulated", BTC, since, until, number, number + 9, kind, "connection lost", since)


class World:
    """A streamed month; `without` are the hours that no source has."""

    origin = "simulated"

    def __init__(self, without: Sequence[datetime] = ()) -> None:
        self._without = list(without)
        self.coverage, self.market_data, self.ledger = streamed("simulated", Timeframe.H1)
        self.candles_stored, self.features_stored = MemoryTable(CANDLE_SCHEMA), MemoryTable(None)

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        return MARKET.span(pair)

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        return MARKET.candles(pair, start, end).filter(~pl.col("open_time").is_in(self._without))

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return MARKET.quote_after(pair, time)

    def run(self) -> dg.ExecuteInProcessResult:
        resources: dict[str, Any] = {
            "universe": Universe((BTC,), "USDT", Timeframe.H1, "simulated"),
            "costs": {BTC: Costs(0.0026, 0.0001, 0.0002)},
            "candle_source": self,
            "candle_store": self.candles_stored,
            "feature_store": self.features_stored,
            "bus": MemoryEventLog(),
            "arrival": no_arrival,
            "stream_coverage": self.coverage,
        }
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("pair", [BTC.key])
            return dg.materialize(
                [ohlcv_from(None), features, feed_gaps_are_repaired, gaps_are_classified],
                instance=instance,
                raise_on_error=False,
                resources=resources,
                tags=partition_range(f"{MONTHS[0]}|{BTC.key}", f"{MONTHS[-1]}|{BTC.key}"),
            )


def verdict(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [
        each for each in result.get_asset_check_evaluations() if each.check_name == "feed_gaps_are_repaired"
    ]
    return found


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.market.price_plot", lambda *_: "not drawn")


def test_of_a_dataset_that_is_not_streamed_the_check_says_so() -> None:
    found = verdict(World().run())
    assert found.passed
    assert found.description == "nothing was streamed: no feed could have had a gap"


def test_too_much_that_was_not_repaired_keeps_everything_behind_the_candles_from_running() -> None:
    world = World()
    world.ledger.open([gap(FEBRUARY + HOUR, FEBRUARY + 9 * HOUR)])  # 8 of 696 hours
    result = world.run()
    found = verdict(result)
    assert not found.passed
    assert found.blocking
    assert found.description
    assert "BTC/USDT 2024-02: 1.15%" in found.description
    assert world.features_stored.months(BTC) == []
    assert not result.success


@pytest.mark.parametrize(
    "noted",
    [
        [gap(FEBRUARY + HOUR, FEBRUARY + 7 * HOUR)],  # below the limit
        [gap(FEBRUARY + HOUR, FEBRUARY + 90 * HOUR, MissingKind.MAINTENANCE)],  # the venue was closed
        [
            gap(FEBRUARY + HOUR, FEBRUARY + 5 * HOUR),
            gap(FEBRUARY + 2 * HOUR, FEBRUARY + 6 * HOUR, number=2),  # the same hours count once
        ],
    ],
)
def test_what_is_little_or_was_no_gap_in_the_feed_blocks_nothing(noted: list[FeedGap]) -> None:
    world = World()
    world.ledger.open(noted)
    assert verdict(world.run()).passed
    assert len(world.features_stored.months(BTC)) == 3


def test_a_repaired_gap_blocks_nothing() -> None:
    world = World()
    noted = gap(FEBRUARY + HOUR, FEBRUARY + 90 * HOUR)
    world.ledger.open([noted])
    world.ledger.repaired(noted, FEBRUARY + 91 * HOUR)
    found = verdict(world.run())
    assert found.passed
    assert found.description == "no month has more unrepaired feed gaps than is allowed"


def test_a_gap_that_lasts_counts_as_far_as_candles_are_stored() -> None:
    world = World()
    newest = MARKET.candles(BTC, datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))[
        "close_time"
    ].max()
    assert isinstance(newest, datetime)
    world.ledger.open([gap(newest - 5 * HOUR, None)])
    found = verdict(world.run())
    assert found.metadata["unrepaired_share"].value == {"BTC/USDT 2024-03": pytest.approx(5 / (31 * 24))}


def quiet_candle(opened: datetime) -> ClosedCandle:
    return ClosedCandle(
        "simulated",
        BTC,
        Timeframe.H1,
        opened,
        1.0,
        1.0,
        1.0,
        1.0,
        0.0,
        0,
        None,
        None,
        Basis.TRADES,
        opened + HOUR,
    )


def test_a_materialisation_gives_each_missing_candle_its_reason() -> None:
    missing = [FEBRUARY + number * HOUR for number in (50, 51, 52, 53, 54, 200)]
    world = World(without=missing)
    world.market_data.store([quiet_candle(missing[0])])
    world.ledger.open(
        [
            gap(missing[1] + HOUR / 2, missing[2] + HOUR / 2),
            gap(missing[3] + HOUR / 2, missing[4] + HOUR / 2, MissingKind.MAINTENANCE, number=20),
        ]
    )
    result = world.run()
    shown = {
        event.partition: event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("ohlcv")
    }[f"2024-02-01|{BTC.key}"]
    table = shown["gaps"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [tuple(record.data.values()) for record in table.records if "02-03" in str(record.data)] == [
        ("2024-02-03 02:00", 1, "no_trade"),
        ("2024-02-03 03:00", 2, "feed_gap"),
        ("2024-02-03 05:00", 2, "maintenance"),
    ]
    assert shown["missing_feed_gap"].value == shown["missing_maintenance"].value == 2
    assert shown["missing_no_trade"].value == 1
    assert shown["missing_outage"].value  # what was not streamed is judged as before
    assert shown["unrepaired_gaps"].value == 1
    assert all(
        each.passed
        for each in result.get_asset_check_evaluations()
        if each.check_name == "gaps_are_classified"
    )


def test_what_a_repaired_gap_left_empty_had_no_trade() -> None:
    missing = Gap(FEBRUARY, 3, GapKind.OUTAGE)
    repaired = replace(gap(FEBRUARY, FEBRUARY + 2 * HOUR - HOUR / 60), state=GapState.REPAIRED)
    assert explain_gap(missing, Timeframe.H1, set(), [repaired]) == [
        Gap(FEBRUARY, 2, GapKind.NO_TRADE),
        Gap(FEBRUARY + 2 * HOUR, 1, GapKind.OUTAGE),
    ]


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 30)), max_size=8))
def test_the_unrepaired_share_counts_every_minute_once(found: list[tuple[int, int]]) -> None:
    minute = timedelta(minutes=1)
    gaps = [
        gap(FEBRUARY + (since - 10) * minute, FEBRUARY + (since - 10 + length) * minute, number=number)
        for number, (since, length) in enumerate(found)
    ]
    start, end = FEBRUARY, FEBRUARY + 60 * minute
    covered = {at for since, length in found for at in range(since - 10, since - 10 + length)} & set(
        range(60)
    )
    assert share(open_stretches(gaps, start, end), start, end) == pytest.approx(len(covered) / 60)


def bars(world: World, now: datetime, source: str = "a test") -> dg.AssetCheckEvaluation:
    """Run the check of the tape alone."""
    pairs = (BTC, Pair("XRP", "USDT"))
    defs = dg.Definitions(
        [market_tape()],
        asset_checks=[newest_bars_are_streamed],
        jobs=[dg.define_asset_job("bars", dg.AssetSelection.checks(newest_bars_are_streamed))],
        resources={
            "universe": Universe(pairs, "USDT", Timeframe.H1, "simulated"),
            "stream_coverage": world.coverage,
            "clock": lambda: ClockReading(now, source),
            "rules": RULES,
        },
    )
    with dg.DagsterInstance.ephemeral() as instance:
        [found] = (
            defs.resolve_job_def("bars").execute_in_process(instance=instance).get_asset_check_evaluations()
        )
    return found


def test_the_pair_whose_bars_do_not_come_is_named_and_of_history_nothing_is_expected() -> None:
    world = World()
    assert bars(world, FEBRUARY).description == "nothing was streamed: nothing is expected"
    world.market_data.store(
        [quiet_candle(FEBRUARY), replace(quiet_candle(FEBRUARY), pair=Pair("XRP", "USDT"))]
    )
    fresh = FEBRUARY + HOUR * (1 + RULES.limits.candle_age)
    assert bars(world, fresh).passed
    world.market_data.store([quiet_candle(FEBRUARY + HOUR)])
    late = bars(world, fresh + HOUR / 2)
    assert not late.passed
    assert late.description == "XRP/USDT: 2.5 candles old at 2024-02-01 03:30 UTC, allowed are 2.0"
    assert bars(world, fresh + 9 * HOUR, HISTORY).description == "the dataset has ended: nothing is expected"
