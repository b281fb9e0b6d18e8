"""Versions of the weights of votes in memory."""

from datetime import datetime

from trading.errors import InvalidValue


class MemoryWeights:
    def __init__(self) -> None:
        self._versions: list[tuple[datetime, str, str]] = []

    def record(self, version: str, content: str, known_at: datetime) -> None:
        if self._versions and self._versions[-1][0] > known_at:
            raise InvalidValue("weights known later are stored")
        if version not in [each for _, each, _ in self._versions]:
            self._versions.append((known_at, version, content))

    def newest(self, before: datetime) -> str | None:
        return next((content for at, _, content in reversed(self._versions) if at < before), None)

    def history(self) -> list[str]:
        return [content for _, _, content in self._versions]
