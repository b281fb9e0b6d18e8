"""The stream below `dev` begins again whatever ends it, and ends with its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from orchestration.commands.stream_restarts import FIRST_PAUSE, MAX_PAUSE, Restarts

ROOT = Path(__file__).parents[3]


def ends_with(code: int) -> list[str]:
    return [sys.executable, "-c", f"raise SystemExit({code})"]


def pauses(codes: int, code: int = 70) -> list[float]:
    """How long it waits after each of so many ends."""
    waited: list[float] = []

    def pause(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) == codes

    Restarts(threading.Event(), ends_with(code), pause).run()
    return waited


def test_a_stream_that_ends_begins_again_with_longer_and_longer_pauses() -> None:
    assert pauses(4) == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]


def test_after_it_ran_for_a_while_it_begins_again_soon() -> None:
    now = iter([0.0, 1.0, 1.0, 2.0, 2.0, 4000.0])
    waited: list[float] = []

    def pause(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) == 3

    Restarts(threading.Event(), ends_with(70), pause, lambda: next(now)).run()
    assert waited == [FIRST_PAUSE, 2 * FIRST_PAUSE, FIRST_PAUSE]


@pytest.mark.parametrize(
    ("code", "advice"),
    [(2, "correct what it says"), (3, "waits until the other has ended"), (-9, "last words")],
)
def test_every_end_is_a_line_of_the_log_that_says_what_to_do(
    code: int, advice: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if code < 0:
        killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        Restarts(threading.Event(), killed, lambda _: True).run()
    else:
        pauses(1, code)
    line = capfd.readouterr().out
    assert advice in line
    assert '"level": "error"' in line


def test_pauses_have_an_upper_bound() -> None:
    assert max(pauses(8, code=0)) <= MAX_PAUSE


STREAM = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True); "
    "signal.pause()"
)


@contextmanager
def parent() -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """The process that keeps a stream running, and that stream."""
    command = [sys.executable, "-m", "orchestration.commands.stream_restarts", sys.executable, "-c", STREAM]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        [child] = psutil.Process(process.pid).children()
        try:
            yield process, child
        finally:
            process.kill()


def test_a_signal_ends_the_stream_first_and_then_its_parent() -> None:
    with parent() as (process, child):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not child.is_running()


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere nobody tells a child that its parent was killed"
)
def test_a_parent_that_is_killed_takes_its_stream_along() -> None:
    with parent() as (process, child):
        process.kill()
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.02)
