"""Messages through apprise to a real server: what arrives, and what becomes of it where the server is dead or slow."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest

from streaming.alerting.messenger import MAX_TEXT, AppriseMessenger
from tests.contracts.bus_contract import wait_until
from tests.streaming.alerting.alerts import alert
from tests.streaming.alerting.webhooks import TOKEN, Webhook, webhook
from trading.errors import InvalidSettings, MessengerUnreachable


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as server:
        yield server


@contextmanager
def every_log() -> Iterator[StringIO]:
    """Collect what a process prints that logs everything it can, as the root logger gets it."""
    root, text = logging.getLogger(), StringIO()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def test_a_message_arrives_with_its_kind_its_severity_and_its_text_as_it_is(hook: Webhook) -> None:
    AppriseMessenger("json", hook.url).send(alert("<b>1 & 2</b>\nhalted", "drawdown", "error"))
    [message] = hook.received
    assert message["title"] == "Marketloom error: drawdown"
    assert message["message"] == "<b>1 & 2</b>\nhalted"
    assert message["type"] == "failure"


def test_secrets_in_a_text_are_not_sent_and_a_long_one_is_cut(hook: Webhook) -> None:
    messenger = AppriseMessenger("json", hook.url, ["kQH5HW/8p1uGOVjb"])
    messenger.send(alert(f"key kQH5HW/8p1uGOVjb, hook {hook.url}"))
    messenger.send(alert("x" * 10_000))
    assert hook.texts == ["key ***, hook ***", "x" * MAX_TEXT]


def test_a_refusal_says_why_without_the_address(hook: Webhook) -> None:
    hook.status = 500
    with every_log() as logged, pytest.raises(MessengerUnreachable, match="500") as raised:
        AppriseMessenger("json", hook.url).send(alert())
    assert TOKEN not in str(raised.value)
    assert TOKEN not in logged.getvalue()


def test_nobody_there_is_an_error_and_the_next_message_may_arrive() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(MessengerUnreachable, match="onnection"):
        AppriseMessenger("json", f"json://127.0.0.1:{port}/{TOKEN}").send(alert())


def test_a_reason_that_names_the_address_is_told_without_it() -> None:
    with pytest.raises(MessengerUnreachable, match=r"JSON notification to \*\*\*") as raised:
        AppriseMessenger("json", f"json://{TOKEN}.invalid/hook").send(alert())  # no such host
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("drips", [False, True])
def test_a_server_that_does_not_end_its_answer_is_left_and_not_asked_again_until_it_does(
    hook: Webhook, drips: bool
) -> None:
    hook.free.clear()
    hook.drips = drips
    messenger = AppriseMessenger("json", hook.url, seconds=0.2)
    with pytest.raises(MessengerUnreachable, match=r"within 0\.2 s"):
        messenger.send(alert())
    with pytest.raises(MessengerUnreachable, match="still busy"):
        messenger.send(alert())
    assert hook.entered.is_set()
    hook.drips = False
    hook.free.set()
    wait_until(lambda: messenger._busy is not None and not messenger._busy.is_alive())
    hook.received.clear()
    messenger._seconds = 60.0
    messenger.send(alert("again"))
    assert hook.texts == ["again"]


@pytest.mark.parametrize("url", [f"nothing://{TOKEN}", f"tgram://{TOKEN}", TOKEN])
def test_an_address_that_apprise_does_not_know_is_named_without_being_shown(url: str) -> None:
    with every_log() as logged, pytest.raises(InvalidSettings, match="tgram is no address") as raised:
        AppriseMessenger("tgram", url)
    assert TOKEN not in str(raised.value)
    assert TOKEN not in logged.getvalue()
