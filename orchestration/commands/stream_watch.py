"""Tells a person of a stream that should run and does not, or is not well: what has died cannot say so itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestration.commands.keeper_alerts import publish_alert
from orchestration.commands.stream_status import StreamView, read_stream
from orchestration.services import Services
from orchestration.settings_schema import Settings
from orchestration.streamed import streams

UNWELL_SECONDS = 60.0  # before a person is told: a start, or a connection that begins anew, takes less


@dataclass
class StreamWatch:
    """Looks at the stream of the settings; publishes one alert when it is not well, and one when it is again."""

    build: Callable[[], Services] = Services.current
    read: Callable[[Settings, str], StreamView] = read_stream
    monotonic: Callable[[], float] = time.monotonic
    _unwell_since: float | None = None
    _told: bool = False

    def look(self) -> None:
        """Look. StoreUnreachable while PostgreSQL is away."""
        now = self.monotonic()
        services = self.build()
        settings = services.settings
        problem = _problem(self.read(settings, services.dsn)) if streams(settings) else ""
        if not problem:
            if self._told:
                self._tell(services, "info", f"the stream of {settings.market.origin} is well again")
            self._unwell_since, self._told = None, False
            return
        self._unwell_since = now if self._unwell_since is None else self._unwell_since
        if not self._told and now - self._unwell_since >= UNWELL_SECONDS:
            self._tell(services, "error", f"the stream has not been well for a minute: {problem}")
            self._told = True

    def _tell(self, services: Services, severity: str, text: str) -> None:
        publish_alert(services.dsn, "stream", severity, text)


def _problem(view: StreamView) -> str:
    return view.problem or "; ".join(view.facts.get("health", []))
