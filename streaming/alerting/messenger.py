"""Sends one message to one address through apprise: Telegram, Slack, mail, a webhook ... (https://appriseit.com)."""

import logging
import threading
from collections.abc import Collection
from typing import Protocol

import apprise

from streaming.alerting.redaction import redact, secrets_of_urls
from streaming.messages import AlertMessage
from trading.errors import InvalidSettings, MessengerUnreachable

SECONDS = (
    20.0  # for one message; apprise itself waits 4 s for a connection, and 4 s for each part of an answer
)
MAX_TEXT = 1500  # characters, which one message of nearly every messenger holds; it stands in `marketloom tail` in full
TYPES = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING}


class Messenger(Protocol):
    """Where alerts of one address go."""

    @property
    def name(self) -> str:
        """Name it without its address: in it lies a secret."""

    def send(self, alert: AlertMessage) -> None:
        """Send it, or raise MessengerUnreachable, without any secret in the words."""


class AppriseMessenger:
    """One address of apprise's. A server that never ends its answer holds up nobody but this messenger."""

    def __init__(self, name: str, url: str, secrets: Collection[str] = (), seconds: float = SECONDS) -> None:
        """`secrets` are taken out of whatever is sent or raised, and so is all of the address.

        InvalidSettings, which does not show the address, for one that apprise does not know.
        """
        self.name = name
        self._secrets = frozenset(secrets) | secrets_of_urls([url])
        self._seconds = seconds
        self._busy: threading.Thread | None = None
        _keep_addresses_out_of_logs()
        # So it sends in the calling thread. Its own threads are waited for at the end of the process.
        asset = apprise.AppriseAsset(
            app_id="Marketloom", app_desc="Marketloom", async_mode=False, service_timeout=0
        )
        self._service = apprise.Apprise(asset=asset)
        if not self._service.add(url):
            raise InvalidSettings(
                f"{name} is no address that apprise knows: see https://appriseit.com/services"
            )

    def send(self, alert: AlertMessage) -> None:
        if self._busy is not None and self._busy.is_alive():
            raise MessengerUnreachable("it is still busy with the message before")
        problems = ["it gave no answer"]
        self._busy = threading.Thread(
            target=self._deliver, args=(alert, problems), name=f"alert-{self.name}", daemon=True
        )
        self._busy.start()
        self._busy.join(self._seconds)
        if self._busy.is_alive():
            raise MessengerUnreachable(f"it did not take the message within {self._seconds:g} s")
        if problems:
            raise MessengerUnreachable(redact("; ".join(problems), self._secrets))

    def _deliver(self, alert: AlertMessage, problems: list[str]) -> None:
        """Send, and replace `problems` by what went wrong: by nothing, when all went well."""
        try:
            result = self._service.notify(
                title=redact(_title(alert), self._secrets),
                body=redact(alert.text, self._secrets)[:MAX_TEXT],
                notify_type=TYPES.get(alert.severity, apprise.NotifyType.FAILURE),
                body_format=apprise.NotifyFormat.TEXT,
            )
            found = [entry.message for entry in result.logs()] or ["it refused the message"]
            problems[:] = [] if result else found
        except Exception as error:  # a plug-in of apprise's may raise anything
            problems[:] = [f"{type(error).__name__}: {error}"]


def _title(alert: AlertMessage) -> str:
    return " ".join(filter(None, (f"Marketloom {alert.severity}: {alert.kind}", alert.pair)))


def _keep_addresses_out_of_logs() -> None:
    """Let nobody print what apprise and its HTTP client log: it quotes addresses. What went wrong is raised instead."""
    log = logging.getLogger("apprise")
    log.propagate = False
    log.setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.INFO)
