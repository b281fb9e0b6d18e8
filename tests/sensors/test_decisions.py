"""The sensor on an ephemeral instance: real evaluations, the cursor as Dagster keeps it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.sensor import MIN_INTERVAL_LOOP_TIME
from dagster._grpc.client import DEFAULT_SENSOR_GRPC_TIMEOUT

from ml.decision.decision_id import decision_id
from sensors.decision_runs import GIVEN_UP_AFTER, PAUSES
from sensors.decisions import LONG_POLL_SECONDS, Cursor, decision_sensor, decision_sensors, shards
from tests.doubles.event_log import MemoryEventLog
from trading.account import Account
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.market import Pair, Timeframe, Universe
from trading.stores.failure_notes import FailureNotes

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
UNIVERSE = Universe((BTC, XRP, CROSS), "USDT", Timeframe.H1, "binance")
ACCOUNT = Account("paper-main-binance", "USDT", Decimal(2100), {}, "BTC")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NO_NOTES = FailureNotes(Path("/nowhere/failures.jsonl"))  # a note that is not expected fails
LOCATION = RegisteredCodeLocationOrigin("marketloom")
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(LOCATION, "__repository__"), "decide")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("pair", [pair.key for pair in UNIVERSE.pairs])
        yield made


@pytest.fixture
def bus() -> MemoryEventLog:
    return MemoryEventLog()


def close(bus: MemoryEventLog, pair: Pair, at: datetime, dataset: str = UNIVERSE.dataset) -> None:
    record = candle_closed(dataset, pair, at)
    bus.publish(CANDLE_CLOSED, record.key, record.values)


@pytest.fixture
def notes(tmp_path: Path) -> FailureNotes:
    return FailureNotes(tmp_path / "failures.jsonl")


def evaluate(
    bus: MemoryEventLog,
    instance: dg.DagsterInstance,
    cursor: str | None = None,
    notes: FailureNotes | None = None,
    patience: float = 0.0,
) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    result: Any = decision_sensor("all", UNIVERSE.pairs, patience)(
        context, bus=bus, universe=UNIVERSE, account=ACCOUNT, failure_notes=notes or NO_NOTES
    )
    assert isinstance(result, dg.SensorResult)
    return result


def partitions(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or []]


def launch(
    instance: dg.DagsterInstance,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.QUEUED,
) -> dg.DagsterRun:
    """What the daemon makes of a request."""
    key = {"dagster/partition": request.partition_key} if request.partition_key else {}
    run = dg.DagsterRun(
        job_name="decide", tags={**request.tags, **key}, status=status, remote_job_origin=ORIGIN
    )
    instance.add_run(run)
    return run


def test_a_closed_candle_asks_for_one_run_keyed_by_the_decision_id(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON)
    [request] = evaluate(bus, instance).run_requests or []
    assert request.partition_key == "BTC-USDT"
    assert request.run_key == decision_id(ACCOUNT.name, BTC, NOON)


def test_pairs_whose_candles_closed_together_have_a_run_each(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    for pair in UNIVERSE.pairs:
        close(bus, pair, NOON)
    requests = evaluate(bus, instance).run_requests or []
    assert {each.partition_key: each.run_key for each in requests} == {
        pair.key: decision_id(ACCOUNT.name, pair, NOON) for pair in UNIVERSE.pairs
    }
    repeated = evaluate(bus, instance).run_requests or []
    assert [each.run_key for each in repeated] == [each.run_key for each in requests]


def test_an_evaluation_waits_for_its_candle_and_returns_at_once(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(evaluate, bus, instance, patience=600.0)
        close(bus, Pair("ETH", "USDT"), NOON)  # not ours: it waits on
        assert not waiting.done()
        close(bus, BTC, NOON)
        assert partitions(waiting.result(timeout=120)) == ["BTC-USDT"]


def test_an_evaluation_without_a_candle_ends_just_before_dagster_looks_at_its_sensors() -> None:
    assert 0.4 <= -LONG_POLL_SECONDS % MIN_INTERVAL_LOOP_TIME <= 0.8
    assert LONG_POLL_SECONDS < DEFAULT_SENSOR_GRPC_TIMEOUT


def test_each_pair_has_a_sensor_that_asks_for_nothing_else(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    for pair in UNIVERSE.pairs:
        close(bus, pair, NOON)
    sensors = decision_sensors(UNIVERSE.pairs)
    assert [each.name for each in sensors] == [
        "decision_sensor_btc_usdt",
        "decision_sensor_xrp_usdt",
        "decision_sensor_xrp_btc",
    ]
    found: Any = sensors[1](
        dg.build_sensor_context(instance=instance),
        bus=bus,
        universe=UNIVERSE,
        account=ACCOUNT,
        failure_notes=NO_NOTES,
    )
    assert partitions(found) == ["XRP-USDT"]


@pytest.mark.parametrize("count", [0, 1, 3, 8, 9, 300])
def test_many_pairs_share_a_few_sensors(count: int) -> None:
    pairs = [Pair(f"A{number}", "USDT") for number in range(count)]
    found = shards(pairs)
    assert sorted(pair for shard in found for pair in shard) == sorted(pairs)
    assert len(found) == min(count, 8)
    assert len({sensor.name for sensor in decision_sensors(pairs)}) == len(found)


def test_of_several_closed_candles_of_a_pair_only_the_newest_is_decided_on(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    for hour in range(3):
        close(bus, BTC, NOON + hour * HOUR)
    [request] = evaluate(bus, instance).run_requests or []
    assert request.run_key == decision_id(ACCOUNT.name, BTC, NOON + 2 * HOUR)


@pytest.mark.parametrize(
    "status",
    [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED],
)
def test_while_a_run_of_a_pair_waits_only_the_other_pairs_are_asked_for(
    bus: MemoryEventLog, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    close(bus, BTC, NOON)
    first = evaluate(bus, instance)
    [request] = first.run_requests or []
    launch(instance, request, status)
    close(bus, BTC, NOON + HOUR)
    close(bus, XRP, NOON + HOUR)
    assert partitions(evaluate(bus, instance, first.cursor)) == ["XRP-USDT"]


def test_the_newest_candle_that_closed_meanwhile_is_asked_for_once_the_run_has_ended(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON)
    first = evaluate(bus, instance)
    [request] = first.run_requests or []
    run = launch(instance, request)
    cursor = first.cursor
    for hour in (1, 2):  # each seen by an evaluation of its own
        close(bus, BTC, NOON + hour * HOUR)
        waiting = evaluate(bus, instance, cursor)
        assert not waiting.run_requests
        assert "BTC-USDT" in str(waiting.skip_reason)
        cursor = waiting.cursor
    instance.report_run_failed(run)
    [request] = evaluate(bus, instance, cursor).run_requests or []
    assert request.run_key == decision_id(ACCOUNT.name, BTC, NOON + 2 * HOUR)


def test_a_range_of_pairs_that_a_person_has_launched_keeps_each_of_them_waiting(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    span = {
        f"dagster/asset_partition_range_{end}": UNIVERSE.pairs[at].key
        for end, at in (("start", 0), ("end", 2))
    }
    instance.add_run(
        dg.DagsterRun(
            job_name="decide", tags=span, status=dg.DagsterRunStatus.STARTED, remote_job_origin=ORIGIN
        )
    )
    for pair in UNIVERSE.pairs:
        close(bus, pair, NOON)
    assert not evaluate(bus, instance).run_requests


def test_a_run_that_was_never_queued_holds_nobody_up_for_ever(
    bus: MemoryEventLog, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(bus, BTC, NOON)
    [request] = evaluate(bus, instance).run_requests or []
    launch(instance, request, dg.DagsterRunStatus.NOT_STARTED)
    monkeypatch.setattr("sensors.decision_runs.MAX_UNQUEUED", timedelta(0))
    monkeypatch.setattr("sensors.decision_runs.PAUSES", (timedelta(0),))
    [again] = evaluate(bus, instance).run_requests or []
    assert again.run_key != request.run_key  # Dagster starts nothing for a key that a run has


def test_a_pair_that_dagster_does_not_know_yet_stays_due(bus: MemoryEventLog) -> None:
    close(bus, BTC, NOON)
    with dg.DagsterInstance.ephemeral() as empty:
        before = evaluate(bus, empty)
        assert not before.run_requests
        empty.add_dynamic_partitions("pair", ["BTC-USDT"])
        assert evaluate(bus, empty, before.cursor).run_requests


def test_a_candle_whose_run_succeeded_is_not_asked_for_again(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON)
    first = evaluate(bus, instance)
    [request] = first.run_requests or []
    launch(instance, request, dg.DagsterRunStatus.SUCCESS)
    second = evaluate(bus, instance, first.cursor)
    assert not second.run_requests
    assert second.skip_reason is not None
    third = evaluate(bus, instance, second.cursor)
    assert third.cursor == second.cursor
    assert not third.run_requests


def test_a_request_that_made_no_run_is_repeated_under_the_same_key(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON)
    first = evaluate(bus, instance)
    [repeated] = evaluate(bus, instance, first.cursor).run_requests or []
    assert [repeated.run_key] == [each.run_key for each in first.run_requests or []]


def fail(instance: dg.DagsterInstance, run: dg.DagsterRun, ago: timedelta = timedelta(0)) -> None:
    """End the run without success; `ago` puts its end into the past."""
    instance.report_run_failed(run)
    ended = (datetime.now(UTC) - ago).timestamp()
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE runs SET end_time = ? WHERE run_id = ?", (ended, run.run_id))


def test_a_failed_run_is_asked_for_again_after_a_pause_under_a_new_key(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON)
    first = evaluate(bus, instance)
    [request] = first.run_requests or []
    run = launch(instance, request, dg.DagsterRunStatus.STARTED)
    fail(instance, run, ago=-timedelta(hours=1))
    waiting = evaluate(bus, instance, first.cursor)
    assert not waiting.run_requests  # it failed a moment ago
    fail(instance, run, ago=PAUSES[0])
    [again] = evaluate(bus, instance, waiting.cursor).run_requests or []
    assert again.partition_key == request.partition_key
    assert again.run_key == f"{decision_id(ACCOUNT.name, BTC, NOON)}/2"


def test_the_pause_grows_and_after_the_last_attempt_the_candle_is_noted_as_given_up(
    bus: MemoryEventLog, instance: dg.DagsterInstance, notes: FailureNotes
) -> None:
    close(bus, BTC, NOON)
    cursor, keys = None, set()
    for attempt in range(GIVEN_UP_AFTER):
        result = evaluate(bus, instance, cursor)
        [request] = result.run_requests or []
        keys.add(request.run_key)
        run = launch(instance, request, dg.DagsterRunStatus.STARTED)
        if attempt < len(PAUSES):
            fail(instance, run, ago=PAUSES[attempt] - timedelta(hours=1))
            assert not evaluate(bus, instance, result.cursor).run_requests
            fail(instance, run, ago=PAUSES[attempt] + (len(PAUSES) - attempt) * HOUR)
        else:
            fail(instance, run)
        cursor = result.cursor
    assert len(keys) == GIVEN_UP_AFTER
    for _ in range(2):
        end = evaluate(bus, instance, cursor, notes)
        assert not end.run_requests
    [note] = notes.newest(5)
    assert (note.partition, note.job) == ("BTC-USDT", "decide")
    assert note.reason.startswith("given up: 3 runs")
    close(bus, BTC, NOON + HOUR)
    [later] = evaluate(bus, instance, end.cursor).run_requests or []
    assert later.run_key == decision_id(ACCOUNT.name, BTC, NOON + HOUR)
    assert sorted(PAUSES) == list(PAUSES)


def test_a_newer_candle_takes_the_place_of_one_whose_run_failed(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON)
    first = evaluate(bus, instance)
    [request] = first.run_requests or []
    fail(instance, launch(instance, request, dg.DagsterRunStatus.STARTED))
    close(bus, BTC, NOON + HOUR)
    [newer] = evaluate(bus, instance, first.cursor).run_requests or []
    assert newer.run_key == decision_id(ACCOUNT.name, BTC, NOON + HOUR)


def test_a_cursor_that_is_reset_loses_no_candle_and_repeats_no_history(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    for hour in range(3):
        close(bus, BTC, NOON + hour * HOUR)
    close(bus, XRP, NOON)
    first = evaluate(bus, instance)
    for request in first.run_requests or []:
        run = launch(instance, request, dg.DagsterRunStatus.STARTED)
        if request.partition_key == "BTC-USDT":
            fail(instance, run, ago=PAUSES[0])
    [again] = evaluate(bus, instance, None).run_requests or []
    assert again.tags["marketloom/candle.BTC-USDT"] == (NOON + 2 * HOUR).isoformat()
    launch(instance, again, dg.DagsterRunStatus.SUCCESS)
    assert not evaluate(bus, instance, None).run_requests


def test_a_cursor_of_an_earlier_version_goes_on_where_it_was(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON)
    close(bus, XRP, NOON)
    [request] = evaluate(bus, instance, cursor="1").run_requests or []
    assert request.partition_key == "XRP-USDT"


def test_candles_of_another_dataset_and_of_pairs_that_are_not_traded_are_passed_over(
    bus: MemoryEventLog, instance: dg.DagsterInstance
) -> None:
    close(bus, BTC, NOON, dataset="simulated-1h")
    close(bus, Pair("ETH", "USDT"), NOON)
    first = evaluate(bus, instance)
    assert not first.run_requests
    close(bus, BTC, NOON)
    [request] = evaluate(bus, instance, first.cursor).run_requests or []
    assert request.partition_key == "BTC-USDT"


def test_a_candle_that_is_announced_by_the_stream_and_by_ohlcv_is_asked_for_once() -> None:
    bus, universe = MemoryEventLog(), UNIVERSE
    pair = universe.pairs[0]
    closes = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (10, 11)]

    def announce(close: datetime) -> None:
        event = candle_closed(universe.dataset, pair, close)
        bus.publish(CANDLE_CLOSED, event.key, event.values)

    announce(closes[1])
    cursor = Cursor().advance(bus.read(CANDLE_CLOSED, 0), universe)
    assert set(cursor.due) == {pair.key}
    decided = Cursor.parse(str(cursor.without([pair.key])))
    announce(closes[1])  # `ohlcv` has stored it, too
    announce(closes[0])  # an older one, restated or announced late
    assert not decided.advance(bus.read(CANDLE_CLOSED, decided.offset), universe).due
    announce(closes[1] + timedelta(hours=1))
    assert decided.advance(bus.read(CANDLE_CLOSED, decided.offset), universe).due
