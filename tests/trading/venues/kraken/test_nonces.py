import os
import subprocess
import sys
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.threads import at_once
from trading.errors import UnreadableFile, UnusableHome
from trading.venues.kraken.authentication import Nonces

MANY = 300
PROGRAM = f"""
import sys
from pathlib import Path
from trading.venues.kraken.authentication import Nonces
nonces = Nonces(Path(sys.argv[1]), "key")
print(*(nonces.next() for _ in range({MANY})))
"""


def test_a_nonce_is_the_time_in_microseconds(tmp_path: Path) -> None:
    assert Nonces(tmp_path, "key", clock=lambda: 1_700_000_000_000_000).next() == 1_700_000_000_000_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=20))
def test_nonces_rise_whatever_the_clock_does_and_in_spite_of_restarts(
    tmp_path_factory: pytest.TempPathFactory, times: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("nonces")
    given_out = [Nonces(folder, "key", clock=lambda now=now: now).next() for now in times]  # type: ignore[misc]
    assert all(one < other for one, other in pairwise(given_out))
    assert all(nonce >= now for nonce, now in zip(given_out, times, strict=True))


def test_two_processes_at_once_never_get_the_same_nonce_and_each_sees_them_rise(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    each = [[int(nonce) for nonce in output.split()] for output in outputs]
    assert [len(nonces) for nonces in each] == [MANY, MANY]
    assert all(nonces == sorted(nonces) for nonces in each)
    assert len(set(each[0]) | set(each[1])) == 2 * MANY


def test_threads_of_one_process_never_get_the_same_nonce(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path, "key", clock=lambda: 5)
    given_out = at_once(lambda count: [nonces.next() for _ in range(count)], [50] * 4)
    assert sorted(chain(*given_out)) == list(range(5, 205))


def test_a_power_cut_after_the_rename_finds_the_whole_nonce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, renamed = list[str](), os.replace

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        done.append(f"{path.name} {path.read_text() if path.is_file() else ''}".strip())

    def replaced(source: Path, target: Path) -> None:
        renamed(source, target)
        done.append(f"renamed to {target.name}")

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr("os.replace", replaced)
    Nonces(tmp_path, "key", clock=lambda: 9).next()
    assert done == ["key.nonce.writing 9", "renamed to key.nonce", tmp_path.name]


def test_keys_do_not_share_nonces(tmp_path: Path) -> None:
    assert Nonces(tmp_path, "one", clock=lambda: 9).next() == 9
    assert Nonces(tmp_path, "other", clock=lambda: 9).next() == 9


@pytest.mark.parametrize("text", ["", "12x", "-5", "1.5", "١٢"])
def test_a_damaged_file_is_named_and_no_nonce_is_guessed(tmp_path: Path, text: str) -> None:
    (tmp_path / "key.nonce").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile, match=r"key\.nonce"):
        Nonces(tmp_path, "key").next()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UnusableHome, match="file"):
        Nonces(tmp_path / "file", "key").next()
