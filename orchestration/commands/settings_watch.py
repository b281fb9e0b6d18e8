"""Tells a person of settings that cannot be used: until they are corrected no run is started and nothing is decided."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestration.commands.keeper_alerts import publish_alert
from orchestration.settings import load_settings, settings_stamp
from orchestration.settings_schema import Settings
from orchestration.system import POSTGRES
from trading.errors import InvalidSettings


@dataclass
class SettingsWatch:
    """Reads the settings when they have changed; publishes one alert for a fault, and one when it is corrected."""

    load: Callable[[], Settings] = load_settings
    stamp: Callable[[], object] = settings_stamp
    dsn: str = field(default_factory=lambda: os.environ[POSTGRES])
    _seen: object = None
    _told: str = ""

    def look(self) -> None:
        """Look. StoreUnreachable while PostgreSQL is away: it is told of with the next look."""
        stamp = self.stamp()
        if stamp == self._seen:
            return
        try:
            self.load()
            fault = ""
        except InvalidSettings as error:
            fault = str(error)
        if fault and fault != self._told:
            self._tell(
                "error", f"the settings cannot be used, nothing is decided until they are corrected: {fault}"
            )
        elif self._told and not fault:
            self._tell("info", "the settings can be used again")
        self._seen, self._told = stamp, fault

    def _tell(self, severity: str, text: str) -> None:
        publish_alert(self.dsn, "settings", severity, text)
