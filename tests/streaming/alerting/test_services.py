"""Mail to a real server, Telegram and Slack up to the request that apprise makes: what is sent, and no secret told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from streaming.alerting.messenger import AppriseMessenger
from tests.streaming.alerting.alerts import alert
from tests.streaming.alerting.mail_server import MailServer, mail_server
from trading.errors import MessengerUnreachable

PASSWORD = "correct-horse"
BOT, CHAT = "123456789:AAEhBP7cQ2vQ8yq0Zc4Vw9rTtXx1LmNoPqR", "987654321"
HOOK = ("T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ")
ADDRESSES = {"tgram": f"tgram://{BOT}/{CHAT}", "slack": f"slack://{'/'.join(HOOK)}"}


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def mail_to(server: MailServer) -> AppriseMessenger:
    login = f"trader:{PASSWORD}@127.0.0.1:{server.port}"
    return AppriseMessenger("mailto", f"mailto://{login}?from=loom@example.org&to=me@example.org")


def test_a_mail_arrives_with_its_subject_and_its_text(mail: MailServer) -> None:
    mail_to(mail).send(alert(f"halted: 1 < 2, password={PASSWORD}", "drawdown", "error"))
    [message] = mail.messages
    assert mail.recipients == ["me@example.org"]
    assert "loom@example.org" in message["From"]
    assert message["Subject"] == "Marketloom error: drawdown"
    text = message.get_body(("plain", "html"))
    assert text is not None
    assert "halted: 1 < 2" in text.get_content()
    assert PASSWORD not in message.as_string()
    assert mail.logins == [f"\0trader\0{PASSWORD}"]


def test_a_login_that_the_mail_server_refuses_is_told_without_the_password(mail: MailServer) -> None:
    mail.accepts_login = False
    with pytest.raises(MessengerUnreachable) as raised:
        mail_to(mail).send(alert())
    assert mail.messages == []
    assert PASSWORD not in str(raised.value)


@dataclass
class Wire:
    """Answers every request in the place of a server."""

    status: int = 200
    body: str = '{"ok": true}'
    sent: list[tuple[str, str]] = field(default_factory=list)  # address and body

    def post(self, url: str, **request: Any) -> requests.Response:
        self.sent.append((url, str(request.get("data") or json.dumps(request.get("json")))))
        response = requests.Response()
        response.status_code = self.status
        response._content = self.body.encode()
        return response


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()
    monkeypatch.setattr(requests, "post", made.post)
    monkeypatch.setattr(requests, "request", lambda method, url, **request: made.post(url, **request))
    return made


def test_telegram_gets_the_message_for_the_chat(wire: Wire) -> None:
    AppriseMessenger("tgram", ADDRESSES["tgram"]).send(alert("stop filled", "fill", "info"))
    [(url, body)] = wire.sent
    assert url == f"https://api.telegram.org/bot{BOT}/sendMessage"
    assert str(json.loads(body)["chat_id"]) == CHAT
    assert "Marketloom info: fill" in json.loads(body)["text"]
    assert "stop filled" in json.loads(body)["text"]


def test_slack_gets_the_message_at_its_hook(wire: Wire) -> None:
    wire.body = "ok"
    AppriseMessenger("slack", ADDRESSES["slack"]).send(alert("stop filled", "fill", "info"))
    [(url, body)] = wire.sent
    assert url == f"https://hooks.slack.com/services/{'/'.join(HOOK)}"
    assert "Marketloom info: fill" in body
    assert "stop filled" in body


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_text_that_quotes_the_address_is_sent_without_it(wire: Wire, name: str) -> None:
    wire.body = "ok" if name == "slack" else wire.body
    secret = BOT if name == "tgram" else HOOK[2]
    AppriseMessenger(name, ADDRESSES[name]).send(alert(f"could not reach {ADDRESSES[name]} or {secret}"))
    [(_, body)] = wire.sent
    assert secret not in body
    assert "could not reach ***" in body.replace("\\", "")


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_refusal_is_told_without_the_token(wire: Wire, name: str) -> None:
    wire.status, wire.body = 403, f'{{"ok": false, "description": "{BOT} and {HOOK[2]} are unknown"}}'
    with pytest.raises(MessengerUnreachable, match="403") as raised:
        AppriseMessenger(name, ADDRESSES[name]).send(alert())
    secret = BOT if name == "tgram" else HOOK[2]
    assert secret not in str(raised.value)
