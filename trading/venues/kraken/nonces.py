"""Numbers that only rise, for one API key, in all processes and after every restart."""

import time
from collections.abc import Callable
from pathlib import Path

from trading.errors import UnreadableFile
from trading.venues.kraken.locked_file import LockedFile


def microseconds() -> int:
    return time.time_ns() // 1000


class Nonces:
    """Microseconds since 1970, or one more than the last nonce where the clock is not ahead of it."""

    def __init__(self, folder: Path, fingerprint: str, clock: Callable[[], int] = microseconds) -> None:
        self._file = LockedFile(folder / f"{fingerprint}.nonce")
        self._clock = clock

    def next(self) -> int:
        """UnreadableFile when the last nonce cannot be known any more."""
        with self._file.locked():
            nonce = max(self._last() + 1, self._clock())
            self._file.replace(str(nonce))
        return nonce

    def _last(self) -> int:
        text = self._file.read()
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit()):
            raise UnreadableFile(
                f"{self._file.path} does not hold the last nonce: remove it (Kraken refuses a nonce that is too low)"
            )
        return int(text)
