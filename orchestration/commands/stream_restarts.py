"""Keeps a stream running below `marketloom dev`: `python -m orchestration.commands.stream_restarts`.

A stream that ends begins again, soon where it had run for a while, with longer and longer pauses where it had not: its
checkpoints are in the database, and what it missed is repaired. Nothing else of `dev` ends with it: the account's
keeper has to go on, whatever the venue's stream does. While another process streams to the same database, this one
waits to take its place.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from orchestration.commands.supervisor import end_with_parent, how_it_ended
from streaming.recorder.exit_codes import ExitCode

COMMAND = (sys.executable, "-m", "orchestration.cli", "stream")
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0  # seconds; doubles
SETTLED = 60.0  # seconds after which an end is not the same trouble as the one before
ADVICE = {
    ExitCode.SETTINGS: "correct what it says; it is read again at the next attempt",
    ExitCode.ALREADY_RUNS: "this one waits until the other has ended",
    ExitCode.REFUSED: "see what the venue says",
    ExitCode.LEASE_LOST: "this one waits until the other has ended",
    ExitCode.UNAVAILABLE: "it is tried again",
}


@dataclass
class Restarts:
    """Runs the command again and again until `stop`."""

    stop: threading.Event
    command: Sequence[str] = COMMAND
    pause: Callable[[float], bool] | None = None  # waits; True when it is to stop
    monotonic: Callable[[], float] = time.monotonic
    process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        wait, pause = self.pause or self.stop.wait, FIRST_PAUSE
        while not self.stop.is_set():
            began = self.monotonic()
            code = self._run_once()
            if self.stop.is_set():
                return
            if self.monotonic() - began > SETTLED:
                pause = FIRST_PAUSE
            _log(code, pause)
            if wait(pause):
                return
            pause = min(2 * pause, MAX_PAUSE)

    def end(self) -> None:
        """Stop the stream, which makes durable what it has received."""
        self.stop.set()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def _run_once(self) -> int:
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent())
        if self.stop.is_set():  # the signal came between the two
            self.process.terminate()
        return self.process.wait()


def _log(code: int, pause: float) -> None:
    advice = ADVICE[ExitCode(code)] if code in ADVICE else "its last words are above"
    line = {
        "event": f"the stream {how_it_ended(code)}",
        "advice": advice,
        "again_in_seconds": pause,
        "logger": "stream.restarts",
        "level": "error",
        "at": datetime.now(UTC).isoformat(),
    }
    print(json.dumps(line), flush=True)


def main(command: Sequence[str] = ()) -> int:
    """Keep the stream of the settings running until SIGTERM, or any other command."""
    restarts = Restarts(threading.Event(), command or COMMAND)

    def leave(number: int, frame: FrameType | None) -> None:
        restarts.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    restarts.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
