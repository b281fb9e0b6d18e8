"""Notes of runs that failed, one JSON line each in a file of the home; the newest are kept."""

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from trading.ports import FailureNote

KEPT = 200


class FailureNotes:
    """Notes in `path`. A note of a run that is there already changes nothing; a damaged line is passed over."""

    def __init__(self, path: Path, announce: Callable[[FailureNote], None] = lambda note: None) -> None:
        """`announce` tells of each new note before it is kept: where it raises, nothing is noted, so try again."""
        self._path = path
        self._announce = announce

    def add(self, note: FailureNote) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self.newest(KEPT - 1)[::-1]
            if note.run_id in {each.run_id for each in known}:
                return
            self._announce(note)
            draft = self._path.with_suffix(".partial")
            lines = (json.dumps(asdict(each), default=str) for each in (*known, note))
            draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            os.replace(draft, self._path)

    def newest(self, count: int) -> list[FailureNote]:
        """List notes, newest first."""
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        return [note for line in reversed(lines) if (note := _parse(line))][:count]


def _parse(line: str) -> FailureNote | None:
    try:
        values = json.loads(line)
        return FailureNote(**values | {"at": datetime.fromisoformat(values["at"])})
    except (ValueError, TypeError, KeyError):
        return None
