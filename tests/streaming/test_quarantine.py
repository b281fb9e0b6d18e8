"""Unreadable messages are stored within limits, and a disk error costs no more than the message."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.quarantine import MAX_FRAME_LENGTH, MAX_LINE_LENGTH, SEGMENTS, Quarantine, QuarantinedMessage
from trading.errors import InvalidValue

NOW = datetime(2026, 8, 2, 3, 35, 51, 660084, UTC)
SMALLEST = SEGMENTS * MAX_LINE_LENGTH


def quarantine_in(folder: Path, count: int = 800, size: int = SMALLEST) -> Quarantine:
    return Quarantine(folder, count, size, clock=lambda: NOW)


def test_a_message_is_stored_with_time_venue_channel_and_reason(tmp_path: Path) -> None:
    quarantine = quarantine_in(tmp_path / "new" / "folder")
    quarantine.store('{"channel":"book"', "kraken", "book", "truncated")
    assert list(quarantine.messages()) == [
        QuarantinedMessage(NOW, "kraken", "book", "truncated", '{"channel":"book"', len('{"channel":"book"'))
    ]
    assert (quarantine.stored, quarantine.dropped, quarantine.lost) == (1, 0, 0)


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(), st.text(st.characters(codec=None, exclude_categories=[])))))
def test_any_frame_is_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, frames: list[str | bytes]
) -> None:
    quarantine = quarantine_in(tmp_path_factory.mktemp("quarantine"))
    for frame in frames:
        quarantine.store(frame, "venue", "\ud800", "re\nason\u2028")
    assert [message.frame for message in quarantine.messages()] == frames


def test_a_long_frame_is_truncated_with_its_length_stored(tmp_path: Path) -> None:
    quarantine = quarantine_in(tmp_path)
    quarantine.store("\U0001f4a9" * (MAX_FRAME_LENGTH + 5), "venue", "", "too long")
    [message] = quarantine.messages()
    assert (len(message.frame), message.length) == (MAX_FRAME_LENGTH, MAX_FRAME_LENGTH + 5)


def test_the_oldest_messages_are_dropped_for_new_ones(tmp_path: Path) -> None:
    quarantine = quarantine_in(tmp_path, count=80)
    for number in range(200):
        quarantine.store(str(number), "venue", "book", "wrong")
        numbers = [int(message.frame) for message in quarantine.messages()]
        assert numbers == list(range(quarantine.dropped, number + 1))
        assert len(numbers) <= 80
    assert (quarantine.stored, quarantine.dropped) == (200, 120)


def test_the_folder_never_exceeds_its_size(tmp_path: Path) -> None:
    quarantine = quarantine_in(tmp_path, count=10**6)
    for _ in range(200):
        quarantine.store(bytes(MAX_FRAME_LENGTH), "venue", "book", "wrong")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= SMALLEST
    assert quarantine.dropped == 200 - sum(1 for _ in quarantine.messages()) > 0


def test_a_new_process_continues_the_folder_of_the_last_one(tmp_path: Path) -> None:
    for number in range(100):
        quarantine_in(tmp_path, count=80).store(str(number), "venue", "book", "wrong")
    numbers = [int(message.frame) for message in quarantine_in(tmp_path).messages()]
    assert numbers == list(range(100 - len(numbers), 100))
    assert 70 <= len(numbers) <= 80


def test_a_full_disk_is_warned_about_once_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine = quarantine_in(tmp_path)
    quarantine.store("before", "venue", "book", "wrong")
    write = Path.open

    def full(path: Path, mode: str = "r") -> object:
        if "a" in mode:
            with write(path, mode) as file:
                file.write(b'{"at": "torn')  # what fitted
            raise OSError(28, "No space left on device")
        return write(path, mode)

    with monkeypatch.context() as patched, caplog.at_level(logging.INFO):
        patched.setattr(Path, "open", full)
        quarantine.store("during", "venue", "book", "wrong")
        quarantine.store("during", "venue", "book", "wrong")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(tmp_path) in caplog.text
    assert "No space left on device" in caplog.text
    with caplog.at_level(logging.INFO):
        quarantine.store("after", "venue", "book", "wrong")
    assert "2 messages were lost" in caplog.text
    assert [message.frame for message in quarantine.messages()] == ["before", "after"]
    assert (quarantine.stored, quarantine.lost) == (2, 2)


def test_a_line_torn_by_a_killed_process_does_not_damage_the_next(tmp_path: Path) -> None:
    quarantine_in(tmp_path).store("before", "venue", "book", "wrong")
    [segment] = tmp_path.iterdir()
    with segment.open("ab") as file:
        file.write(b'{"at": "2026-08')
    quarantine_in(tmp_path).store("after", "venue", "book", "wrong")
    assert [message.frame for message in quarantine_in(tmp_path).messages()] == ["before", "after"]


def test_a_folder_that_cannot_be_made_costs_only_the_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    quarantine = quarantine_in(tmp_path / "file" / "folder")
    quarantine.store("message", "venue", "book", "wrong")
    assert (quarantine.stored, quarantine.lost) == (0, 1)
    assert "cannot be written" in caplog.text


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    quarantine = quarantine_in(tmp_path / "folder")
    quarantine.store("first", "venue", "book", "wrong")
    for path in (tmp_path / "folder").iterdir():
        path.unlink()
    (tmp_path / "folder").rmdir()
    quarantine.store("lost", "venue", "book", "wrong")
    quarantine.store("kept", "venue", "book", "wrong")
    assert [message.frame for message in quarantine.messages()] == ["kept"]
    assert "cannot be written" in caplog.text


def test_only_the_owner_can_read_stored_messages(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "quarantine"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "000000001.jsonl").touch(0o644)
    (folder / "000000001.jsonl").chmod(0o644)
    quarantine = quarantine_in(folder, count=SEGMENTS)
    for _ in range(3):
        quarantine.store("fill", "venue", "executions", "wrong")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes.pop("quarantine") == 0o700
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(("count", "size"), [(0, SMALLEST), (SEGMENTS, 1000)])
def test_limits_that_are_too_small_are_refused(tmp_path: Path, count: int, size: int) -> None:
    with pytest.raises(InvalidValue):
        quarantine_in(tmp_path, count, size)
