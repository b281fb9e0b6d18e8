"""Storage for messages that could not be read, for a person to look at: JSON lines in a folder of limited size.

The folder holds a few segments, files of which the oldest is deleted as a whole when there is too much. One writer per
folder. A disk error costs the message, not the process. Messages may hold orders and money: nobody but the owner can
read them.
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

SEGMENTS = 8  # so that at least seven eighths of the limits are in use before anything is dropped
MAX_FRAME_LENGTH = 65_536  # bytes or characters stored of one frame
OWNER_FOLDER, OWNER_FILE = 0o700, 0o600
MAX_LINE_LENGTH = 16 * MAX_FRAME_LENGTH  # an escaped character takes up to twelve bytes


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class QuarantinedMessage:
    """A stored message and why it could not be read."""

    at: datetime
    venue: str
    channel: str  # empty where even that could not be read
    reason: str
    frame: str | bytes  # as it came; its beginning where it was longer than `length`
    length: int  # of the whole frame: characters of text, else bytes


@dataclass(slots=True)
class _Segment:
    path: Path
    count: int
    size: int  # bytes
    torn: bool  # its last line has no end


class Quarantine:
    """At most `count` messages and `size` bytes. `stored`, `dropped` and `lost` count since it was opened."""

    def __init__(
        self, folder: Path, count: int = 10_000, size: int = 64 * 2**20, clock: Callable[[], datetime] = _now
    ) -> None:
        if count < SEGMENTS or size < SEGMENTS * MAX_LINE_LENGTH:
            raise InvalidValue(
                f"a quarantine of {count} messages and {size} bytes: "
                f"at least {SEGMENTS} and {SEGMENTS * MAX_LINE_LENGTH} are needed"
            )
        self.stored = 0
        self.dropped = 0  # the oldest, for newer ones
        self.lost = 0  # that the disk did not take
        self._folder = folder
        self._count, self._size = count // SEGMENTS, size // SEGMENTS
        self._clock = clock
        self._failing = False
        self._segments: list[_Segment] | None = None

    def store(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        """Store a message. Never raises for a disk error: the message is counted as lost and warned about."""
        message = QuarantinedMessage(
            at=self._clock(),
            venue=venue,
            channel=channel[:100],
            reason=reason[:1000],
            frame=frame[:MAX_FRAME_LENGTH],
            length=len(frame),
        )
        line = _encode(message)
        try:
            self._write(line)
        except OSError as error:
            self._record_loss(error)
        else:
            self.stored += 1
            if self._failing:
                logger.info(
                    "quarantine %s can be written again; %d messages were lost", self._folder, self.lost
                )
            self._failing = False

    def messages(self) -> Iterator[QuarantinedMessage]:
        """Return what is stored, oldest first, also by earlier processes. OSError when it cannot be read."""
        for path in _segment_paths(self._folder):
            with path.open("rb") as lines:
                yield from filter(None, map(_decode, lines))

    def _write(self, line: bytes) -> None:
        segments = self._open()
        if not segments or segments[-1].count >= self._count or segments[-1].size + len(line) > self._size:
            self._add_segment(segments)
        segment = segments[-1]
        segment.torn, torn = True, segment.torn
        segment.path.touch(OWNER_FILE)
        with segment.path.open("ab") as file:
            file.write(b"\n" + line if torn else line)
        segment.count, segment.size, segment.torn = segment.count + 1, segment.size + len(line), False

    def _open(self) -> list[_Segment]:
        if self._segments is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(OWNER_FOLDER)  # also one that was there before
            self._segments = [_open_segment(path) for path in _segment_paths(self._folder)]
        return self._segments

    def _add_segment(self, segments: list[_Segment]) -> None:
        while len(segments) >= SEGMENTS:
            segments[0].path.unlink(missing_ok=True)
            self.dropped += segments.pop(0).count
        number = int(segments[-1].path.stem) + 1 if segments else 1
        segments.append(_Segment(self._folder / f"{number:09}.jsonl", count=0, size=0, torn=False))

    def _record_loss(self, error: OSError) -> None:
        self.lost += 1
        if not self._failing:
            logger.warning(
                "quarantine %s cannot be written (%s): unreadable messages are lost until there is room",
                self._folder,
                error,
            )
        self._failing = True
        if isinstance(error, FileNotFoundError):
            self._segments = None  # somebody removed the folder: begin again


def _segment_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdecimal())


def _open_segment(path: Path) -> _Segment:
    path.chmod(OWNER_FILE)
    text = path.read_bytes()
    return _Segment(path, text.count(b"\n"), len(text), torn=text[-1:] not in (b"", b"\n"))


def _encode(message: QuarantinedMessage) -> bytes:
    record: dict[str, Any] = {
        "at": message.at.isoformat(),
        "venue": message.venue,
        "channel": message.channel,
        "reason": message.reason,
        "length": message.length,
    }
    if isinstance(message.frame, str):
        record["text"] = message.frame
    else:
        record["base64"] = b64encode(message.frame).decode()
    return json.dumps(record).encode() + b"\n"  # ASCII: lone surrogates survive as escapes


def _decode(line: bytes) -> QuarantinedMessage | None:
    """Return None for a line that was torn when the disk was full or the process died."""
    try:
        record = json.loads(line)
        frame = record["text"] if "text" in record else b64decode(record["base64"])
        return QuarantinedMessage(
            at=datetime.fromisoformat(record["at"]),
            venue=record["venue"],
            channel=record["channel"],
            reason=record["reason"],
            frame=frame,
            length=record["length"],
        )
    except (ValueError, KeyError, TypeError):
        return None
