"""`marketloom alert test`: one message to each messenger, and what became of it."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from orchestration.alerting import URLS, messengers
from streaming.alerting.messenger import Messenger
from streaming.messages import AlertMessage
from trading.errors import InvalidSettings, MessengerUnreachable


def send_to_all(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Send to all at the same time; a dead one is given up after 20 s. InvalidSettings where no address is set."""
    found = messengers(environment)
    if not found.ready and not found.problems:
        raise InvalidSettings(
            f"{URLS} is not set: write the addresses of your messengers into it, separated by spaces, such as "
            "tgram://TOKEN/CHAT or mailto://USER:PASSWORD@example.org (docs/alerts.md)"
        )
    text = f"This is a test from {os.uname().nodename}. Alerts of Marketloom arrive here."
    message = AlertMessage(
        source="person", kind="test", severity="info", text=text, pair=None, at=datetime.now(UTC)
    )
    with ThreadPoolExecutor(max(len(found.ready), 1)) as pool:
        problems = list(pool.map(lambda each: _send(each, message), found.ready))
    sent = [
        {"messenger": each.name, "sent": not problem, "problem": problem}
        for each, problem in zip(found.ready, problems, strict=True)
    ]
    return {
        "all_sent": not any(problems) and not found.problems,
        "messengers": sent,
        "problems": list(found.problems),
    }


def show(facts: Mapping[str, Any], out: Console) -> None:
    """Print one line per messenger."""
    for each in facts["messengers"]:
        words = "sent" if each["sent"] else f"NOT SENT: {each['problem']}"
        out.print(f"{each['messenger']}: {words}", soft_wrap=True)
    for problem in facts["problems"]:
        out.print(f"NOT SENT: {problem}", soft_wrap=True)


def _send(messenger: Messenger, message: AlertMessage) -> str:
    """Return what went wrong; nothing, when it was sent."""
    try:
        messenger.send(message)
    except MessengerUnreachable as error:
        return str(error)
    return ""
