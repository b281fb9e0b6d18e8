"""The messengers of the environment, and the keeper's workers: from a fact in PostgreSQL to a webhook."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.alerting import URLS, AlertWorkers, messengers
from orchestration.commands.keeper import Keeper
from orchestration.services import Services
from orchestration.settings import load_settings
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, AlertMessage, decode
from tests.contracts.bus_contract import wait_until
from tests.streaming.alerting.webhooks import TOKEN, Webhook, webhook
from trading.bus_messages import alert
from trading.errors import StoreUnreachable
from trading.ports import FailureNote

NOW = datetime.now(UTC)


@pytest.fixture
def services(dsn: str, tmp_path: Path) -> Services:
    return Services(load_settings(), tmp_path, dsn)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as server:
        yield server


def note(number: int = 1) -> FailureNote:
    return FailureNote(f"run-{number}", "decide", "BTC-USDT", "StoreUnreachable: the store is away", NOW)


def test_each_messenger_has_a_name_without_its_address_and_a_wrong_one_leaves_the_others() -> None:
    urls = f"json://127.0.0.1/{TOKEN}\n  xml://127.0.0.1/{TOKEN} nothing://{TOKEN} json://127.0.0.1/2{TOKEN} {TOKEN}"
    found = messengers({URLS: urls})
    assert [each.name for each in found.ready] == ["json", "xml", "json-2"]
    assert [problem.split(":")[0] for problem in found.problems] == [
        f"{URLS}, address 3",
        f"{URLS}, address 5",
    ]
    assert TOKEN not in repr(found)


def test_a_run_that_failed_is_an_alert_once_whoever_notes_it_first(services: Services) -> None:
    services.failure_notes.add(note())
    services.failure_notes.add(note())
    reader = PostgresBus(services.dsn).reader([ALERTS], from_start=True)
    [record] = reader.poll(10, 0)
    reader.close()
    message = decode(record, AlertMessage)
    assert (message.kind, message.severity) == ("failed run", "error")
    assert message.text == "decide BTC-USDT: StoreUnreachable: the store is away"


def test_a_failure_that_could_not_be_told_of_is_not_noted_and_can_be_again(tmp_path: Path) -> None:
    away = Services(load_settings(), tmp_path, "postgresql://127.0.0.1:1/nobody")
    with pytest.raises(StoreUnreachable):
        away.failure_notes.add(note())
    assert away.failure_notes.newest(5) == []


def test_the_keeper_tells_a_person_with_no_stream_and_begins_anew_what_has_ended(
    services: Services, hook: Webhook
) -> None:
    workers = AlertWorkers(lambda: services, {URLS: hook.url})
    keeper = Keeper(lambda: False, lambda: None, threading.Event(), also={"alerts": workers.tend})
    keeper.step()
    services.failure_notes.add(note(1))
    wait_until(lambda: len(hook.received) == 1)
    [runner] = workers._runners.values()
    runner._sink.write = _break  # type: ignore[method-assign]
    services.failure_notes.add(note(2))
    wait_until(lambda: not runner.alive)
    keeper.step()
    PostgresBus(services.dsn).publish([alert("stream", "gap", "warning", "trades are missing", NOW)])
    wait_until(lambda: len(hook.received) == 3)
    assert hook.texts[2] == "trades are missing"
    workers.stop()


def _break(records: object) -> None:
    raise SystemError("a bug")


def test_without_an_address_nobody_follows_the_bus_and_the_log_says_so(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        AlertWorkers(lambda: services, {}).tend()
    assert f"{URLS} is not set" in caplog.text
