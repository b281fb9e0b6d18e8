"""This machine's clock is set while a stream runs: time that it dates from is the venue's."""

import os
from pathlib import Path

import pytest

from tests.services import needs
from tests.streaming.faults.faulted_stream import faulted_stream

JUMP = 90  # seconds


@pytest.fixture
def offset_file(tmp_path: Path) -> Path:
    """What a process under libfaketime adds to the clock of this machine: it looks at each reading."""
    file = tmp_path / "offset"
    file.write_text("+0s")
    return file


@pytest.fixture
def shifted(offset_file: Path) -> dict[str, str]:
    """The environment of such a process."""
    needs("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset_file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # nobody can set that one
    }


@pytest.mark.service
def test_the_clock_may_jump_back_and_forth(
    offset_file: Path, shifted: dict[str, str], tmp_path: Path, dsn: str
) -> None:
    with faulted_stream(None, tmp_path, dsn, settings=shifted) as stream:
        for offset in (0, JUMP, -JUMP, 0):
            set_clock(offset_file, offset)
            stream.exchange.arm("disconnect", count=1)  # it also connects anew, and logs when
            stream.play(150)
            stream.wait_until_level()
        stream.settle()
        times = [line["at"] for line in stream.log()]
        assert times != sorted(times), "the process has not seen its clock go back"


def set_clock(file: Path, seconds: int) -> None:
    """In one step: a half-written offset would be another one."""
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}s")
    os.replace(new, file)
