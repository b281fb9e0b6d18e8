"""The benchmark of recoveries kills what runs in the moment of the kill, and never takes nothing for a kill."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.recovery import killing


@contextmanager
def running(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with these words in its command line, which has begun to run."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_what_was_started_after_the_kill_was_prepared_is_killed(tmp_path: Path) -> None:
    kill = killing("the stream", tmp_path)
    with running("orchestration.cli stream") as process, running("something else") as other:
        kill()
        assert process.wait() == -signal.SIGKILL
        assert other.poll() is None


def test_a_kill_of_nothing_is_an_error(tmp_path: Path) -> None:
    with running("orchestration.cli stream") as process:
        kill = killing("the stream", tmp_path)
        process.kill()
        process.wait()
        with pytest.raises(RuntimeError, match="nothing was killed"):
            kill()
