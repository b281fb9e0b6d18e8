"""The market monitor's sensor: what a model says of the state becomes a run at most, and only one of three."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import dagster as dg
import pytest

from ml.agents.monitor import Insight, Look, Monitor, Run, fingerprint
from orchestration.jobs import JOBS as ALL_JOBS
from orchestration.jobs import decide, rebalance
from sensors.monitor import JOBS, monitor_sensors, result_of
from tests.ml.models.scripted import Script, client_of

AT = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
STATE = {"time": "now", "halts": ["drawdown: 10 % lost"]}


def said(**changes: Any) -> str:
    plain = {"severity": "warning", "headline": "Halted", "insight": "Equity fell by 10 %.", "run": None}
    return json.dumps(plain | changes)


def look(text: str) -> Look:
    return Monitor(lambda: client_of(Script(text), Insight)).look(STATE)


class Market:
    def __init__(self, text: str, now: str = "new") -> None:
        self.text, self.now, self.looked = text, now, 0

    def changed(self, cursor: str) -> str:
        return "" if cursor == self.now else self.now

    def look(self) -> tuple[Look, datetime]:
        self.looked += 1
        return look(self.text), AT


def tick(market: Market, cursor: str | None = None) -> dg.SensorResult:
    [sensor] = monitor_sensors(True, 3600, ALL_JOBS)
    context = dg.build_sensor_context(cursor=cursor)
    result = sensor(context, monitor=market)
    assert isinstance(result, dg.SensorResult)
    return result


def skipped(result: dg.SensorResult) -> str:
    assert isinstance(result.skip_reason, dg.SkipReason)
    return str(result.skip_reason.skip_message)


def test_there_is_no_sensor_without_a_model_and_it_is_off_until_a_person_switches_it_on() -> None:
    assert monitor_sensors(False, 3600, ALL_JOBS) == []
    [sensor] = monitor_sensors(True, 3600, ALL_JOBS)
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED


def test_none_of_the_runs_that_it_may_ask_for_sends_an_order() -> None:
    assert set(get_args(Run)) == set(JOBS)
    assert set(JOBS) <= {job.name for job in ALL_JOBS}
    assert not set(JOBS) & {decide.name, rebalance.name}


def test_a_run_is_asked_for_once_an_hour_and_its_state_is_not_looked_at_again() -> None:
    market = Market(said(run="news"))
    [request] = tick(market).run_requests or []
    assert (request.job_name, request.partition_key) == ("news", "2024-05-01")
    [again] = tick(replace_now(market, "newer"), "new").run_requests or []
    assert request.run_key == again.run_key
    assert tick(market, "newer").skip_reason is not None
    assert market.looked == 2


def replace_now(market: Market, now: str) -> Market:
    market.now = now
    return market


def test_a_job_without_days_gets_no_partition() -> None:
    [request] = tick(Market(said(run="judging"))).run_requests or []
    assert (request.job_name, request.partition_key) == ("judging", None)


@pytest.mark.parametrize(
    "text", ["All is well.", said(run="decide"), said(severity="error"), said(extra=1), ""]
)
def test_whatever_else_it_says_asks_for_nothing_and_the_state_is_looked_at_again(text: str) -> None:
    result = tick(Market(text), "old")
    assert not result.run_requests
    assert result.cursor is None
    assert skipped(result).startswith("no insight: ")


def test_an_insight_without_a_run_is_the_reason_to_skip() -> None:
    result = result_of(look(said()), AT, "new")
    assert (result.cursor, skipped(result)) == ("new", "warning: Halted")


def test_what_passes_by_itself_is_no_change() -> None:
    later = STATE | {"time": "later"}
    assert fingerprint(STATE, ("time",)) == fingerprint(later, ("time",))
    assert fingerprint(STATE, ("time",)) != fingerprint(STATE | {"halts": []}, ("time",))
    assert replace(look(said()), problem="") == look(said())
