"""Unreadable messages are kept within bounds, and a disk that refuses costs no more than the message."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.quarantine import LONGEST, LONGEST_LINE, SHELVES, Kept, Quarantine
from trading.errors import InvalidValue

NOW = datetime(2026, 8, 2, 3, 35, 51, 660084, UTC)
SMALLEST = SHELVES * LONGEST_LINE


def opened(folder: Path, count: int = 800, size: int = SMALLEST) -> Quarantine:
    return Quarantine(folder, count, size, clock=lambda: NOW)


def test_a_message_is_kept_with_time_venue_channel_and_reason(tmp_path: Path) -> None:
    quarantine = opened(tmp_path / "new" / "folder")
    quarantine.keep('{"channel":"book"', "kraken", "book", "truncated")
    assert list(quarantine.messages()) == [
        Kept(NOW, "kraken", "book", "truncated", '{"channel":"book"', len('{"channel":"book"'))
    ]
    assert (quarantine.kept, quarantine.dropped, quarantine.lost) == (1, 0, 0)


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(), st.text(st.characters(codec=None, exclude_categories=[])))))
def test_any_frame_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, frames: list[str | bytes]
) -> None:
    quarantine = opened(tmp_path_factory.mktemp("quarantine"))
    for frame in frames:
        quarantine.keep(frame, "venue", "\ud800", "re\nason\u2028")
    assert [kept.frame for kept in quarantine.messages()] == frames


def test_a_long_frame_is_cut_and_says_how_long_it_was(tmp_path: Path) -> None:
    quarantine = opened(tmp_path)
    quarantine.keep("\U0001f4a9" * (LONGEST + 5), "venue", "", "too long")
    [kept] = quarantine.messages()
    assert (len(kept.frame), kept.length) == (LONGEST, LONGEST + 5)


def test_the_oldest_messages_make_room_for_new_ones(tmp_path: Path) -> None:
    quarantine = opened(tmp_path, count=80)
    for number in range(200):
        quarantine.keep(str(number), "venue", "book", "wrong")
        held = [int(kept.frame) for kept in quarantine.messages()]
        assert held == list(range(quarantine.dropped, number + 1))
        assert len(held) <= 80
    assert (quarantine.kept, quarantine.dropped) == (200, 120)


def test_the_folder_never_outgrows_its_bytes(tmp_path: Path) -> None:
    quarantine = opened(tmp_path, count=10**6)
    for _ in range(200):
        quarantine.keep(bytes(LONGEST), "venue", "book", "wrong")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= SMALLEST
    assert quarantine.dropped == 200 - sum(1 for _ in quarantine.messages()) > 0


def test_a_new_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    for number in range(100):
        opened(tmp_path, count=80).keep(str(number), "venue", "book", "wrong")
    held = [int(kept.frame) for kept in opened(tmp_path).messages()]
    assert held == list(range(100 - len(held), 100))
    assert 70 <= len(held) <= 80


def test_a_full_disk_is_warned_about_once_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine = opened(tmp_path)
    quarantine.keep("before", "venue", "book", "wrong")
    write = Path.open

    def full(path: Path, mode: str = "r") -> object:
        if "a" in mode:
            with write(path, mode) as file:
                file.write(b'{"at": "torn')  # what fitted
            raise OSError(28, "No space left on device")
        return write(path, mode)

    with monkeypatch.context() as patched, caplog.at_level(logging.INFO):
        patched.setattr(Path, "open", full)
        quarantine.keep("during", "venue", "book", "wrong")
        quarantine.keep("during", "venue", "book", "wrong")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(tmp_path) in caplog.text
    assert "No space left on device" in caplog.text
    with caplog.at_level(logging.INFO):
        quarantine.keep("after", "venue", "book", "wrong")
    assert "2 messages were lost" in caplog.text
    assert [kept.frame for kept in quarantine.messages()] == ["before", "after"]
    assert (quarantine.kept, quarantine.lost) == (2, 2)


def test_a_line_torn_by_a_killed_process_does_not_spoil_the_next(tmp_path: Path) -> None:
    opened(tmp_path).keep("before", "venue", "book", "wrong")
    [shelf] = tmp_path.iterdir()
    with shelf.open("ab") as file:
        file.write(b'{"at": "2026-08')
    opened(tmp_path).keep("after", "venue", "book", "wrong")
    assert [kept.frame for kept in opened(tmp_path).messages()] == ["before", "after"]


def test_a_folder_that_cannot_be_made_costs_only_the_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    quarantine = opened(tmp_path / "file" / "folder")
    quarantine.keep("message", "venue", "book", "wrong")
    assert (quarantine.kept, quarantine.lost) == (0, 1)
    assert "cannot be written" in caplog.text


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    quarantine = opened(tmp_path / "folder")
    quarantine.keep("first", "venue", "book", "wrong")
    for path in (tmp_path / "folder").iterdir():
        path.unlink()
    (tmp_path / "folder").rmdir()
    quarantine.keep("lost", "venue", "book", "wrong")
    quarantine.keep("kept", "venue", "book", "wrong")
    assert [kept.frame for kept in quarantine.messages()] == ["kept"]
    assert "cannot be written" in caplog.text


def test_nobody_but_the_owner_can_read_what_may_be_orders_and_money(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "quarantine"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "000000001.jsonl").touch(0o644)
    (folder / "000000001.jsonl").chmod(0o644)
    quarantine = opened(folder, count=SHELVES)
    for _ in range(3):
        quarantine.keep("fill", "venue", "executions", "wrong")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes.pop("quarantine") == 0o700
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(("count", "size"), [(0, SMALLEST), (SHELVES, 1000)])
def test_bounds_that_hold_nothing_are_refused(tmp_path: Path, count: int, size: int) -> None:
    with pytest.raises(InvalidValue):
        opened(tmp_path, count, size)
