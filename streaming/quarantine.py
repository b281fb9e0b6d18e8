"""Messages that nobody could read, kept for a person: JSON lines in a folder that never outgrows its bounds.

They lie in a few shelves, files of which the oldest is thrown away as a whole when there is too much. One writer per
folder. A disk that refuses costs the message, not the process. They may hold orders and money: nobody but the owner
can read them.
"""

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trading.errors import InvalidValue

logger = logging.getLogger(__name__)

SHELVES = 8  # so that at least seven eighths of the bounds are in use before anything is dropped
LONGEST = 65_536  # bytes or characters kept of one frame
OWNER_FOLDER, OWNER_FILE = 0o700, 0o600
LONGEST_LINE = 16 * LONGEST  # an escaped character takes up to twelve bytes


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Kept:
    at: datetime
    venue: str
    channel: str  # empty where even that could not be read
    reason: str
    frame: str | bytes  # as it came; its beginning where it was longer than `length`
    length: int  # of the whole frame: characters of text, else bytes


@dataclass(slots=True)
class _Shelf:
    path: Path
    count: int
    size: int  # bytes
    torn: bool  # its last line has no end


class Quarantine:
    """At most `count` messages and `size` bytes. `kept`, `dropped` and `lost` count since it was opened."""

    def __init__(
        self, folder: Path, count: int = 10_000, size: int = 64 * 2**20, clock: Callable[[], datetime] = _now
    ) -> None:
        if count < SHELVES or size < SHELVES * LONGEST_LINE:
            raise InvalidValue(
                f"a quarantine of {count} messages and {size} bytes: "
                f"at least {SHELVES} and {SHELVES * LONGEST_LINE} are needed"
            )
        self.kept = 0
        self.dropped = 0  # the oldest, for newer ones
        self.lost = 0  # that the disk did not take
        self._folder = folder
        self._count, self._size = count // SHELVES, size // SHELVES
        self._clock = clock
        self._refused = False
        self._shelves: list[_Shelf] | None = None

    def keep(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        """Never raises for what the disk does: a message that cannot be written is counted and warned about."""
        line = _line(Kept(self._clock(), venue, channel[:100], reason[:1000], frame[:LONGEST], len(frame)))
        try:
            self._write(line)
        except OSError as error:
            self._lose(error)
        else:
            self.kept += 1
            if self._refused:
                logger.info(
                    "quarantine %s can be written again; %d messages were lost", self._folder, self.lost
                )
            self._refused = False

    def messages(self) -> Iterator[Kept]:
        """What is kept, oldest first, also by earlier processes. OSError when the folder cannot be read."""
        for path in _paths(self._folder):
            with path.open("rb") as lines:
                yield from filter(None, map(_kept, lines))

    def _write(self, line: bytes) -> None:
        shelves = self._opened()
        if not shelves or shelves[-1].count >= self._count or shelves[-1].size + len(line) > self._size:
            self._add(shelves)
        shelf = shelves[-1]
        shelf.torn, torn = True, shelf.torn
        shelf.path.touch(OWNER_FILE)
        with shelf.path.open("ab") as file:
            file.write(b"\n" + line if torn else line)
        shelf.count, shelf.size, shelf.torn = shelf.count + 1, shelf.size + len(line), False

    def _opened(self) -> list[_Shelf]:
        if self._shelves is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(OWNER_FOLDER)  # also one that was there before
            self._shelves = [_counted(path) for path in _paths(self._folder)]
        return self._shelves

    def _add(self, shelves: list[_Shelf]) -> None:
        while len(shelves) >= SHELVES:
            shelves[0].path.unlink(missing_ok=True)
            self.dropped += shelves.pop(0).count
        number = int(shelves[-1].path.stem) + 1 if shelves else 1
        shelves.append(_Shelf(self._folder / f"{number:09}.jsonl", 0, 0, False))

    def _lose(self, error: OSError) -> None:
        self.lost += 1
        if not self._refused:
            logger.warning(
                "quarantine %s cannot be written (%s): unreadable messages are lost until there is room",
                self._folder,
                error,
            )
        self._refused = True
        if isinstance(error, FileNotFoundError):
            self._shelves = None  # somebody removed the folder: begin again


def _paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdecimal())


def _counted(path: Path) -> _Shelf:
    path.chmod(OWNER_FILE)
    text = path.read_bytes()
    return _Shelf(path, text.count(b"\n"), len(text), torn=text[-1:] not in (b"", b"\n"))


def _line(kept: Kept) -> bytes:
    record: dict[str, Any] = {
        "at": kept.at.isoformat(),
        "venue": kept.venue,
        "channel": kept.channel,
        "reason": kept.reason,
        "length": kept.length,
    }
    if isinstance(kept.frame, str):
        record["text"] = kept.frame
    else:
        record["base64"] = b64encode(kept.frame).decode()
    return json.dumps(record).encode() + b"\n"  # ASCII: lone surrogates survive as escapes


def _kept(line: bytes) -> Kept | None:
    """None for a line that was torn when the disk was full or the process died."""
    try:
        record = json.loads(line)
        frame = record["text"] if "text" in record else b64decode(record["base64"])
        at = datetime.fromisoformat(record["at"])
        return Kept(at, record["venue"], record["channel"], record["reason"], frame, record["length"])
    except (ValueError, KeyError, TypeError):
        return None
