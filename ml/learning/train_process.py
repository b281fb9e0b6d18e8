"""Training as its own process: `python -m ml.learning.train_process REQUEST.json`.

A training takes all of a core and a lot of memory, and can be stopped at any moment; it ends when its parent does.
Exit code 0: the bundle is written; 1: it failed; 2: the request can never succeed; 128 + signal: stopped, no bundle.
Progress goes to Dagster Pipes when there is one, else to standard output, one JSON object per line.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

Report = Callable[[Mapping[str, Any]], None]
PROGRESS = (
    "{frames} of {total_frames} frames, mean reward {mean_reward:.3g}, {frames_per_second:.0f} frames/s"
)
NICENESS = 10  # decisions on the same machine go first
PARENT = "MARKETLOOM_TRAINING_PARENT"  # the process id of who started this; it may be gone before we can ask
SECONDS_BETWEEN_LOOKS = 0.5


class TrainingStopped(BaseException):
    """Raised by a signal. A BaseException, so that nothing below `main` handles it as an error."""


class StopSignal:
    """The signal that stopped this training, remembered: libraries swallow or rename what a handler raises."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def disarm(self) -> None:
        """Ignore signals from now on: a bundle that is being written, and a clean-up, are not interrupted."""
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        self.check()

    def check(self) -> None:
        """Raise TrainingStopped again when a signal was received."""
        if self.received:
            raise TrainingStopped

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self.disarm()


def main(arguments: list[str]) -> int:
    """Train as the request file says and return the exit code."""
    stop = StopSignal()
    try:
        stop.install()
        _end_with_parent()
        if len(arguments) != 1:
            return _fail("usage: python -m ml.learning.train_process REQUEST.json", 2)
        return _run(Path(arguments[0]), stop)
    except BaseException:
        if stop.received is None:
            raise
        return _fail(f"training stopped by {stop.received.name}: no new policy", 128 + stop.received)


def describe_end(message: str) -> str:
    """Describe how a training process ended; `message` is Dagster's, which ends with the exit code."""
    code = int(message.split()[-1])
    if code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        return f"it was stopped by {signal.Signals(code - 128).name}"
    if code < 0:
        by_system = ", which the system sends where memory runs out" if -code == signal.SIGKILL else ""
        return f"it was killed by {signal.Signals(-code).name}{by_system}"
    return "its request can never succeed" if code == 2 else f"it failed (exit code {code})"


def _end_with_parent() -> None:
    """Stop as by SIGTERM once the parent has gone: nobody would read the result, and a core would be taken."""
    parent = int(os.environ.get(PARENT, os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def _run(path: Path, stop: StopSignal) -> int:
    # Imported late: a signal that comes while torch loads must already find its handler.
    from ml.learning.training_job import run_request
    from ml.learning.training_request import TrainingRequest
    from trading.errors import MarketloomError, Permanent

    os.nice(NICENESS)
    with _reporter() as report:
        try:
            run_request(TrainingRequest.read(path), report, stop.check, stop.disarm)
        except MarketloomError as error:
            report({"event": "failed", "reason": str(error)})
            return _fail(f"{type(error).__name__}: {error}", 2 if isinstance(error, Permanent) else 1)
    return 0


def _fail(message: str, code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr, flush=True)
    return code


@contextmanager
def _reporter() -> Iterator[Report]:
    from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        yield lambda event: print(json.dumps(event), flush=True)
        return
    with open_dagster_pipes() as pipes:

        def report(event: Mapping[str, Any]) -> None:
            match event["event"]:
                case "progress":
                    pipes.log.info(PROGRESS.format_map(event))
                case "failed":
                    pipes.log.error(event["reason"])
                case _:
                    pipes.report_custom_message(dict(event))

        yield report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
