"""One small text that several processes read and replace, one at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trading.errors import UnreadableFile, UnusableHome


class LockedFile:
    """A kill or a power cut at any moment leaves the text before or the text after, never half of one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        return self._path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file: threads and processes wait for each other. UnusableHome when the folder cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnusableHome(f"{self._path.parent} cannot be written: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def read(self) -> str | None:
        """Read the text; None while it was never written."""
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableFile(f"{self._path} cannot be read: {error}") from error

    def replace(self, text: str) -> None:
        """Replace the text, durably and as a whole. UnusableHome when it cannot be written: the old text stays."""
        temporary = self._path.with_name(f"{self._path.name}.writing")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # a rename that survives a power cut must not point at an empty file
            os.replace(temporary, self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise UnusableHome(
                f"{self._path} cannot be written ({error.strerror or error}): free space or mend the permissions; "
                "what it held before is still there"
            ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
