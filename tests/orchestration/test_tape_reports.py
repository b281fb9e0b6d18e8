"""The stream reports to Dagster: what an observation says, what it makes stale, and that nothing stops the stream."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from assets.market import ohlcv_from
from assets.partitions import Span, within
from assets.tape import MARKET_TAPE
from orchestration.definitions import definitions
from orchestration.observation_log import purge_observations
from orchestration.postgres.embedded import EmbeddedPostgres
from orchestration.settings import load_settings
from orchestration.system import DAGSTER_POSTGRES, reporting_instance
from orchestration.tape_reports import TapeReporter, TapeReports
from tests.assets.running import no_arrival, partition_range
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryTable
from tests.doubles.stores.tape import MemoryTape, tape_rows
from tests.doubles.streamed import nothing_streamed
from trading.closed_candles import Basis, ClosedCandle
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.ports import TapeTable
from trading.simulation.market import SimulatedMarket

BTC, XRP = PAIRS = (Pair("BTC", "USDT"), Pair("XRP", "USDT"))
UNIVERSE = Universe(PAIRS, "USDT", Timeframe.H1, "sandbox")
NOON = datetime(2024, 3, 5, 12, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "origin": "sandbox",
    "account": "main",
    "uptime_seconds": 12.34567,
    "health": [],
    "consumers": {"analytical": {"lag": {"book": 2, "trades": 1}, "records": 9, "failing": ""}},
    "pairs": {
        "BTC/USDT": {
            "price": 68123.456, "spread": 0.1, "age_seconds": {"trade": 0.21, "candle": 0.1}, "book": "verified",
            "refused": {},
        },
        "XRP/USDT": {"price": None, "spread": None, "age_seconds": {}, "book": "not verified", "refused": {}},
    },
}  # fmt: skip
DECISION = {
    "decision_id": "1f0c2ab7-99", "pair": "BTC/USDT", "decided_at": NOON.isoformat(), "action": "HOLD",
    "outcome": "no order",
}  # fmt: skip
STORED: dict[str, Any] = {
    "rows": {"market_data": 7, "tape trades": 0},
    "pairs": {"BTC/USDT": {"gaps": 1, "restatements": 2, "newest_candle": NOON}},
    "decision": DECISION,
    "halts": ["drawdown: 10 % lost"],
}


def candle(
    pair: Pair = BTC, hour: datetime = NOON, close: float = 11.0, known_after: float = 1.0
) -> ClosedCandle:
    return ClosedCandle(
        "sandbox", pair, Timeframe.H1, hour, 10.0, 12.0, 9.0, close, 5.0, 7, 1, 7, Basis.TRADES,
        hour + timedelta(hours=1, seconds=known_after),
    )  # fmt: skip


def stream(tape: MemoryTape, *candles: ClosedCandle) -> None:
    tape.append(TapeTable.CANDLES, tape_rows(*candles), f"{candles[0].pair.key}-{candles[0].known_at}")


def observations(instance: dg.DagsterInstance) -> list[dg.AssetObservation]:
    records = instance.fetch_observations(MARKET_TAPE, limit=100).records
    return [record.asset_observation for record in reversed(records) if record.asset_observation]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("pair", [pair.key for pair in PAIRS])
        yield made


def reporter(instance: dg.DagsterInstance, tape: MemoryTape) -> TapeReporter:
    return TapeReporter(lambda: instance, tape, UNIVERSE, lambda *_: STORED)


def table(seen: dg.AssetObservation, name: str) -> list[dict[str, Any]]:
    value = seen.metadata[name]
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(record.data) for record in value.records]


def test_an_observation_says_what_the_stream_knows(instance: dg.DagsterInstance) -> None:
    tape = MemoryTape()
    stream(tape, candle())
    assert reporter(instance, tape).report(FACTS, NOON + timedelta(hours=1, minutes=1))
    [seen] = observations(instance)
    shown = {name: value.value for name, value in seen.metadata.items()}
    assert {name: shown[name] for name in ("health", "halts", "origin", "uptime_seconds")} == {
        "health": "well", "halts": "drawdown: 10 % lost", "origin": "sandbox", "uptime_seconds": 12.35,
    }  # fmt: skip
    assert shown["last decision"] == "1f0c2ab7 2024-03-05 12:00:00 BTC/USDT HOLD"
    assert {name: shown[f"{name} BTC/USDT"] for name in ("price", "spread", "age", "gaps", "restatements")} == {
        "price": 68123.46, "spread": 0.1, "age": 0.21, "gaps": 1, "restatements": 2,
    }  # fmt: skip
    assert (shown["rows market_data"], shown["rows tape trades"], shown["lag analytical"]) == (7, 0, 3)
    assert "price XRP/USDT" not in shown
    assert table(seen, "pairs") == [
        {
            "pair": "BTC/USDT", "price": "68123.456", "spread": "0.1", "age": "0.21", "gaps": "1", "restatements": "2",
            "book": "verified", "newest_candle": "2024-03-05 12:00",
        },
        dict.fromkeys(("price", "spread", "age", "gaps", "restatements", "newest_candle"), "")
        | {"pair": "XRP/USDT", "book": "not verified"},
    ]  # fmt: skip
    assert table(seen, "consumers") == [{"consumer": "analytical", "lag": "book 2, trades 1", "records": "9"}]
    assert table(seen, "newest bars") == [
        {"pair": "BTC/USDT", "newest bar opened": "2024-03-05 12:00", "age": "1:01:00"},
        {"pair": "XRP/USDT", "newest bar opened": "none yet", "age": ""},
    ]


def test_pairs_take_turns_and_a_month_is_reported_again_only_when_its_candles_changed(
    instance: dg.DagsterInstance,
) -> None:
    tape = MemoryTape()
    stream(tape, candle(BTC))
    stream(tape, candle(XRP))
    made = reporter(instance, tape)
    for minute in range(1, 5):
        assert made.report(FACTS, NOON + timedelta(hours=1, minutes=minute))
    stream(tape, candle(BTC, close=10.5, known_after=300))
    for minute in range(6, 9):
        assert made.report(FACTS, NOON + timedelta(hours=1, minutes=minute))
    btc, xrp = f"2024-03-01|{BTC.key}", f"2024-03-01|{XRP.key}"
    assert [seen.partition for seen in observations(instance)] == [btc, xrp, None, None, btc, None, None]
    versions = [seen.tags["dagster/data_version"] for seen in observations(instance) if seen.partition == btc]
    assert len(set(versions)) == 2


def test_a_restarted_stream_reports_the_same_version_for_the_same_candles(
    instance: dg.DagsterInstance,
) -> None:
    tape = MemoryTape()
    stream(tape, candle())
    for _ in range(2):
        assert reporter(instance, tape).report(FACTS, NOON + timedelta(hours=2))
    first, second = (seen.tags["dagster/data_version"] for seen in observations(instance))
    assert first == second


def test_a_restated_candle_makes_its_month_of_candles_stale_and_no_other(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.market.price_plot", lambda *_: "not drawn")
    span = Span(date(2024, 2, 1), datetime(2024, 4, 1, tzinfo=UTC))
    market = SimulatedMarket(PAIRS, Timeframe.H1, 3, datetime(2024, 2, 1, tzinfo=UTC), span.end or NOON)
    months = [f"{month}|{pair.key}" for month in ("2024-02-01", "2024-03-01") for pair in PAIRS]
    resources = {
        "universe": UNIVERSE,
        "candle_source": market,
        "candle_store": MemoryTable(CANDLE_SCHEMA),
        "bus": MemoryEventLog(),
        "arrival": no_arrival,
        "stream_coverage": nothing_streamed(),
    }

    def store() -> None:
        dg.materialize(
            [ohlcv_from(None).map_asset_specs(within(span))],
            instance=instance,
            tags=partition_range(months[0], months[-1]),
            resources=resources,
        )

    def stale() -> set[str]:
        graph = definitions(load_settings({}), span).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return {key for key in months if resolver.get_status(dg.AssetKey("ohlcv"), key).value == "STALE"}

    store()
    assert stale() == set()  # nothing was streamed
    tape = MemoryTape()
    stream(tape, candle(BTC))
    stream(tape, candle(XRP))
    made = reporter(instance, tape)
    for minute in range(3):
        made.report(FACTS, NOON + timedelta(hours=1, minutes=minute))
    store()
    assert stale() == set()
    stream(tape, candle(XRP, close=10.5, known_after=300))
    for minute in range(10, 13):
        made.report(FACTS, NOON + timedelta(hours=1, minutes=minute))
    assert stale() == {f"2024-03-01|{XRP.key}"}


def test_a_storage_that_is_away_is_no_error_and_is_tried_again(instance: dg.DagsterInstance) -> None:
    answers: list[Any] = [ConnectionRefusedError("no PostgreSQL"), instance]

    def open_instance() -> dg.DagsterInstance:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return instance

    made = TapeReporter(open_instance, MemoryTape(), UNIVERSE, lambda *_: STORED)
    assert not made.report(FACTS, NOON)
    assert made.report(FACTS, NOON)
    assert len(observations(instance)) == 1


def test_whoever_offers_facts_never_waits_although_dagster_hangs() -> None:
    entered, release = threading.Event(), threading.Event()

    def hang() -> dg.DagsterInstance:
        entered.set()
        release.wait(60)
        raise ConnectionError("gone")

    reports = TapeReports(TapeReporter(hang, MemoryTape(), UNIVERSE, lambda *_: STORED), interval=0.0)
    assert reports.offer(FACTS, NOON)
    assert entered.wait(60)
    taken = [reports.offer(FACTS, NOON) for _ in range(10)]
    assert taken == [True, *[False] * 9]  # one waits, nothing piles up
    reports.close(FACTS, NOON, timeout=0.05)
    release.set()


def test_no_more_than_one_event_a_minute_and_one_at_the_end(instance: dg.DagsterInstance) -> None:
    reports = TapeReports(reporter(instance, MemoryTape()))
    assert [reports.offer(FACTS, NOON) for _ in range(5)] == [True, False, False, False, False]
    reports.close(FACTS, NOON, timeout=60)
    assert len(observations(instance)) == 2


@pytest.fixture
def postgres_instance(
    postgres_server: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    for name in (DAGSTER_POSTGRES, "DAGSTER_HOME", "MARKETLOOM_HOME", "DAGSTER_EVENT_BATCH_SIZE"):
        monkeypatch.setenv(name, "")  # restored afterwards
    with reporting_instance(tmp_path, postgres_server.dagster_url) as made:
        yield made


def test_old_observations_are_deleted_but_for_the_newest_of_each_month(
    postgres_instance: dg.DagsterInstance,
) -> None:
    asset = dg.AssetKey("purged")
    for partition in (None, "one", "two"):
        for version in ("a", "b"):
            postgres_instance.report_runless_asset_event(
                dg.AssetObservation(asset, partition=partition, tags={"dagster/data_version": version})
            )
    postgres_instance.report_runless_asset_event(dg.AssetObservation("another"))
    assert purge_observations(postgres_instance, asset, timedelta(hours=1)) == 0
    assert purge_observations(postgres_instance, asset, timedelta(seconds=-60)) == 3
    left = postgres_instance.fetch_observations(asset, limit=10).records
    assert {
        (record.partition_key, record.asset_observation.tags["dagster/data_version"])
        for record in left
        if record.asset_observation
    } == {
        (None, "b"),
        ("one", "b"),
        ("two", "b"),
    }
    assert len(postgres_instance.fetch_observations(dg.AssetKey("another"), limit=10).records) == 1
