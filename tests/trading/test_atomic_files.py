import errno
import os
import threading
from pathlib import Path

import pytest

from trading.atomic_files import replace_file
from trading.errors import UnusableHome


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)


def test_the_folder_is_made_and_the_content_is_there_whole(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file.json"
    replace_file(file, b"first")
    replace_file(file, memoryview(b"second"))
    assert file.read_bytes() == b"second"
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_is_a_sentence_and_changes_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "file.json"
    replace_file(file, b"before")
    request.getfixturevalue("full_disk")
    with pytest.raises(UnusableHome, match=r"file\.json: cannot write: No space left.*Free disk space"):
        replace_file(file, b"after")
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UnusableHome, match="taken"):
        replace_file(tmp_path / "taken" / "file.json", b"x")


def test_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    contents = [bytes([number]) * 200_000 for number in range(8)]
    writers = [threading.Thread(target=replace_file, args=(tmp_path / "file", each)) for each in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (tmp_path / "file").read_bytes() in contents
