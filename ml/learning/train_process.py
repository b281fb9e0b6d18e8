"""Training as its own process: `python -m ml.learning.train_process REQUEST.json`.

A training takes all of a core and a lot of memory, and can be stopped at any moment. Exit code 0: the
bundle is written; 2: the request can never succeed; 128 + signal: stopped, no bundle. Progress goes to
Dagster Pipes when there is one, else to standard output, one JSON object per line.
"""

import json
import os
import signal
import sys
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


class TrainingStopped(BaseException):
    """Raised by a signal. A BaseException, so that nothing below `main` handles it as an error."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


def main(arguments: list[str]) -> int:
    """Train as the request file says and return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        if len(arguments) != 1:
            return _fail("usage: python -m ml.learning.train_process REQUEST.json", 2)
        return _run(Path(arguments[0]))
    except TrainingStopped as stopped:
        return _fail(f"training stopped by {stopped.signal.name}: no new policy", 128 + stopped.signal)


def _stop(number: int, frame: FrameType | None) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
    raise TrainingStopped(number)


def _run(path: Path) -> int:
    # Imported late: a signal that comes while torch loads must already find its handler.
    from ml.learning.training_job import run_request
    from ml.learning.training_request import TrainingRequest
    from trading.errors import MarketloomError, Permanent

    os.nice(NICENESS)
    with _reporter() as report:
        try:
            run_request(TrainingRequest.read(path), report)
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
