"""Killed, stopped, refused: a clear message, a non-zero exit code, and the next run works without manual cleaning."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.demo_home import DemoHome, demo_home, free_port, receipts
from tests.processes import command_line
from tests.services import needs

ONE_PAIR = {
    "MARKETLOOM__MARKET__PAIRS": '["BTC/USDT"]',
    "MARKETLOOM__VENUE__CAPITAL": '{total = 2000, USDT = 1000, rest = "BTC"}',
    "MARKETLOOM__REBALANCING__TARGETS": "{USDT = 0.5, BTC = 0.5}",
}
SMALL_RUN = {"MARKETLOOM__POLICY__TOTAL_TIMESTEPS": "4096", **ONE_PAIR}


@pytest.fixture
def home() -> Iterator[DemoHome]:
    with demo_home() as each:
        yield each


def test_killed_then_stopped_it_says_so_and_the_next_run_works(home: DemoHome) -> None:
    _postgres_is_killed_among_the_features(home)
    _ctrl_c_in_the_middle_of_a_training(home)
    finished = home.run("demo", "--quick", **SMALL_RUN)
    assert finished.code == 0, finished.text
    assert len(receipts(home)) >= 3
    assert _unfinished_runs(home) == []


def _postgres_is_killed_among_the_features(home: DemoHome) -> None:
    demo = home.start("demo", "--quick", **SMALL_RUN)
    demo.wait_for("Candles and features")
    os.kill(int((home.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    ended = demo.end()
    assert ended.code == 1, ended.text
    assert "PostgreSQL" in ended.text
    assert "run the same command again" in ended.text or "nothing committed is lost" in ended.text
    assert "Traceback" not in ended.text


def _ctrl_c_in_the_middle_of_a_training(home: DemoHome) -> None:
    """Which is the run after a killed server: it gets this far."""
    endless = home.start("demo", MARKETLOOM__POLICY__TOTAL_TIMESTEPS="1000000", **ONE_PAIR)
    endless.wait_for("Policies: ")
    _wait_for_a_training(home)
    endless.interrupt()
    ended = endless.end()
    assert ended.code == 130, ended.text
    assert "run the same command again" in ended.text
    assert "Traceback" not in ended.text
    assert list((home.folder / "policies").rglob("manifest.json")) == []
    assert home.processes() == []


def _wait_for_a_training(home: DemoHome) -> None:
    for _ in range(600):
        for process in home.processes():
            if "train_process" in command_line(process) and _catches_sigterm(process.pid):
                return
        time.sleep(0.1)
    pytest.fail("no training began")


def _catches_sigterm(process_id: int) -> bool:
    """Tell whether the program is past the start of Python, which answers Ctrl-C with a trace."""
    if not Path("/proc/self/status").exists():  # not Linux
        return True
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:  # it has just ended
        return False
    caught = int(re.search(r"(?m)^SigCgt:\s*(\w+)", status).group(1), 16)  # type: ignore[union-attr]
    return bool(caught & 1 << (signal.SIGTERM - 1))


def _unfinished_runs(home: DemoHome) -> list[str]:
    unfinished: list[str] = home.python(
        "print(json.dumps([r.run_id for r in instance.get_runs() if not r.is_finished]))"
    )
    return unfinished


@pytest.mark.service
def test_dev_shows_the_asset_graph_in_a_browser_and_leaves_nothing_behind(
    home: DemoHome, tmp_path: Path
) -> None:
    chromium = needs("chromium")
    port = free_port()
    served = home.start("dev", MARKETLOOM__DAGSTER__PORT=str(port))
    served.wait_for(f"open http://127.0.0.1:{port}")
    groups = ("market", "features", "news", "learning", "trading")
    address = f"http://127.0.0.1:{port}/asset-groups"
    for _ in range(LOOKS):
        seen = _page(chromium, address, tmp_path)
        if all(group in seen for group in groups):
            break
    served.interrupt()
    ended = served.end()
    assert (ended.code, ended.text) == (0, "stopped")
    assert home.processes() == []
    assert [group for group in groups if group not in seen] == []


def _page(chromium: str, address: str, profile: Path) -> str:
    """As the browser shows it after half a minute of its own time, which ends early when the machine is busy."""
    command = [chromium, *BROWSER, f"--user-data-dir={profile}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout


LOOKS = 5
BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
           "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=30000")  # fmt: skip


def test_a_port_in_use_is_named_with_the_way_out(home: DemoHome) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = home.run("dev", MARKETLOOM__DAGSTER__PORT=str(port))
    assert ended.code == 1
    assert f"127.0.0.1:{port}" in ended.text
    assert "MARKETLOOM__DAGSTER__PORT" in ended.text


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(home: DemoHome) -> None:
    home.folder.write_text("a file where the folder should be")
    ended = home.run("demo", "--quick")
    assert ended.code == 1
    assert str(home.folder) in ended.text
    assert "MARKETLOOM_HOME" in ended.text


def test_a_typo_in_the_settings_stops_every_command_with_file_and_key(home: DemoHome) -> None:
    home.config.write_text(home.config.read_text().replace("position_cap", "position_cup"))
    for command in (["demo"], ["status"], ["dev"], ["doctor"]):
        ended = home.run(*command)
        assert ended.code == 1
        assert str(home.config) in ended.text
        assert "position_cup is not a known key" in ended.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.parquet", b"PAR1 not really", "broken.parquet"),
        ("empty.csv", b"", "is empty"),
        ("people.csv", b"name,age\nada,36\n", "Known formats"),
    ],
)
def test_an_unreadable_file_is_refused_by_name(
    home: DemoHome, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = home.run("import", str(tmp_path / name))
    assert ended.code == 1
    assert message in ended.text
    [refused] = home.run("import", str(tmp_path / name), "--json").json()
    assert refused["refused_reason"]
    assert refused["rows_stored"] == 0
