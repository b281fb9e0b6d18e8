"""Which process executes a run, as its tag says."""

import os
import subprocess
import sys

import psutil
import pytest

from orchestration.fast_lane.tags import WORKER_TAG, WorkerProcess


def test_a_process_is_the_one_of_the_tag_though_the_clock_was_set_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags = {WORKER_TAG: str(WorkerProcess.of(os.getpid()))}
    boot = psutil.boot_time()
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot + 1.0)  # NTP has moved it
    worker = WorkerProcess.parse(tags)
    assert worker == WorkerProcess.of(os.getpid())
    assert worker is not None
    assert worker.is_alive()


def test_another_process_with_the_same_id_is_not_it() -> None:
    ours = WorkerProcess.of(os.getpid())
    assert not WorkerProcess(ours.host, ours.process, ours.began - 1).is_alive()


def test_one_that_has_ended_is_not_alive_before_and_after_somebody_has_waited_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        worker = WorkerProcess.of(process.pid)
        assert process.stdout is not None
        process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not worker.is_alive()  # a zombie
    assert not worker.is_alive()
    assert not worker.signal(0)
    with pytest.raises(psutil.NoSuchProcess):
        WorkerProcess.of(process.pid)
