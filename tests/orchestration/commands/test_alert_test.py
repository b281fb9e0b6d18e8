"""`marketloom alert test`: what became of a message, per messenger, without any address."""

import json
import socket
from collections.abc import Iterator

import pytest

from orchestration.alerting import URLS
from tests.orchestration.test_cli import run
from tests.streaming.alerting.webhooks import TOKEN, Webhook, webhook


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as server:
        yield server


def dead() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"json://127.0.0.1:{free.getsockname()[1]}/{TOKEN}"


def test_it_arrives_and_says_so(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URLS, hook.url)
    assert run(monkeypatch, capsys, "alert", "test") == (0, "json: sent\n", "")
    [message] = hook.received
    assert message["title"] == "Marketloom info: test"


def test_each_messenger_has_a_line_and_one_that_failed_is_exit_code_1(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URLS, f"{hook.url} {dead()} nothing://{TOKEN}")
    code, printed, problems = run(monkeypatch, capsys, "alert", "test")
    lines = printed.splitlines()
    assert code == 1
    assert lines[0] == "json: sent"
    assert lines[1].startswith("json-2: NOT SENT: A Connection error")
    assert lines[2].startswith(f"NOT SENT: {URLS}, address 3: nothing is no address")
    assert TOKEN not in printed + problems


def test_as_json(hook: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hook.status = 403
    monkeypatch.setenv(URLS, hook.url)
    code, printed, _ = run(monkeypatch, capsys, "alert", "test", "--json")
    facts = json.loads(printed)
    assert code == 1
    assert facts["all_sent"] is False
    [messenger] = facts["messengers"]
    assert (messenger["messenger"], messenger["sent"]) == ("json", False)
    assert "403" in messenger["problem"]


def test_without_an_address_it_says_where_to_write_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(URLS, raising=False)
    code, _, problems = run(monkeypatch, capsys, "alert", "test")
    assert code == 1
    assert f"{URLS} is not set" in problems
