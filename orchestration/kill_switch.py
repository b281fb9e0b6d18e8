"""The kill switch: a file in the home folder. While it is there, no entry is sent, whoever asks for it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trading.atomic_files import replace_file

FILE_NAME = "KILL"
BY_HAND = "the file KILL lies in the home folder"


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """Works without PostgreSQL and without this program: `touch KILL` in the home folder pulls it too."""

    home: Path

    @property
    def path(self) -> Path:
        return self.home / FILE_NAME

    def requested(self) -> str:
        """Return why trading must stop; empty while the switch is not pulled.

        A file that cannot be read counts as pulled: nobody puts one there for nothing.
        """
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"{BY_HAND} and cannot be read: {error}"
        return text.splitlines()[0][:300] if text else BY_HAND

    def pull(self, by: str, reason: str) -> str:
        """Leave the file, durably, with who pulled it and why; returns these words. UnusableHome when it cannot be."""
        words = f"pulled by {by} at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {reason}"
        replace_file(self.path, f"{words}\n".encode())
        return words

    def release(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
