"""The kill switch is a file: anybody can put it there, and one that cannot be read counts as pulled."""

import os
import signal
from pathlib import Path

from orchestration.commands.dev import kill_signal
from orchestration.kill_switch import BY_HAND, KillSwitch


def test_without_the_file_nothing_is_requested(tmp_path: Path) -> None:
    assert KillSwitch(tmp_path).requested() == ""


def test_who_pulled_it_and_why_can_be_read_by_another_process(tmp_path: Path) -> None:
    KillSwitch(tmp_path).pull("ada", "the feed is wrong")
    words = KillSwitch(tmp_path).requested()
    assert words.startswith("pulled by ada at ")
    assert words.endswith(" UTC: the feed is wrong")


def test_an_empty_file_made_by_hand_pulls_it(tmp_path: Path) -> None:
    (tmp_path / "KILL").touch()
    assert KillSwitch(tmp_path).requested() == BY_HAND


def test_a_file_that_cannot_be_read_pulls_it(tmp_path: Path) -> None:
    (tmp_path / "KILL").mkdir()
    assert "cannot be read" in KillSwitch(tmp_path).requested()


def test_bytes_that_are_no_text_pull_it(tmp_path: Path) -> None:
    (tmp_path / "KILL").write_bytes(b"\xff\xfe\x00")
    assert KillSwitch(tmp_path).requested()


def test_released_it_is_gone_and_can_be_released_again(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path)
    switch.pull("ada", "x")
    switch.release()
    switch.release()
    assert switch.requested() == ""


def test_a_signal_to_dev_pulls_it(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with kill_signal(tmp_path):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert "pulled by a signal" in KillSwitch(tmp_path).requested()
    assert signal.getsignal(signal.SIGUSR1) is before
