"""The live demo as a person types it: everything real, for a minute, with a fill; killed, it leaves no process."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator

import pytest

from tests.end_to_end.demo_home import DemoHome, demo_home

MINUTES_AT_MOST = 15.0  # on a machine that runs other tests meanwhile


@pytest.fixture(scope="module")
def home() -> Iterator[DemoHome]:
    with demo_home() as home:
        yield home


def test_a_minute_of_a_live_market_is_stored_whole_and_traded_on(home: DemoHome) -> None:
    started = home.start("live-demo", "--minutes", "1", "--speed", "120")
    output, _ = started.process.communicate(timeout=60 * MINUTES_AT_MOST)
    assert started.process.returncode == 0, output
    assert "SIMULATED market" in output
    assert "open http://127.0.0.1:" in output
    words = re.search(
        r"Nothing is missing, doubled or different: ([\d,]+) trades, ([\d,]+) candles, ([\d,]+) fills?,",
        output,
    )
    assert words, output
    trades, candles, fills = (int(number.replace(",", "")) for number in words.groups())
    assert trades >= 3 * 4 * 100  # three pairs, four trades a minute, two hours of market time
    assert candles >= 3 * 100
    assert fills >= 1  # of the first decisions, while the market stands: no machine is too slow for it
    assert re.search(r"USDT: filled, buy", output)
    for pair in ("BTC/USDT", "XRP/USDT", "XRP/BTC"):
        assert re.search(rf"│ {pair} +│ +[1-9]", output), output  # decisions
    assert home.processes() == []
    demo = home.folder / "live-demo"
    settings = {"MARKETLOOM_HOME": str(demo), "MARKETLOOM_CONFIG": str(demo / "live-demo.toml")}
    shown = home.run("status", "--json", **settings).json()
    assert len(shown["decisions"]) >= 3
    assert json.dumps(shown["stream"]).count("no stream of sandbox runs") == 1


@pytest.mark.soak
def test_a_whole_day_ends_with_stops_latencies_and_an_explained_difference_to_its_back_test(
    home: DemoHome,
) -> None:
    started = home.start("live-demo")
    output, _ = started.process.communicate(timeout=60 * 2 * MINUTES_AT_MOST)
    assert started.process.returncode == 0, output
    assert "some candles will have no decision" not in output
    stopped = [int(row[4]) for row in rows(output, r"(?:BTC|XRP)/\w+ +│ \d+ .*")]
    assert len(stopped) == 3, output
    assert sum(stopped) >= 1, output
    for stage in ("run created", "run started", "decision committed", "order at the exchange"):
        [row] = rows(output, rf"{stage} .*")
        assert int(row[1]) >= 1, output
        assert float(row[2]) <= float(row[3]) <= float(row[4]) <= float(row[5])
    [unexplained] = rows(output, r"unexplained .*")
    assert unexplained[1:] == ["0"] * 4, output
    [decided] = rows(output, r"candles decided on .*")
    assert all(re.fullmatch(r"[1-9]\d* of 48", cell) for cell in decided[1:4]), output
    [balances] = rows(output, r"balances .*")
    assert balances[2] == balances[3] != "0", output
    assert balances[4:] == ["0"] * 4, output


def rows(output: str, pattern: str) -> list[list[str]]:
    """Return the cells of the table rows whose text after the first border matches."""
    found = re.findall(rf"^│ ({pattern})│$", output, re.MULTILINE)
    return [[cell.strip() for cell in row.split("│")] for row in found]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_live_demo_that_is_stopped_leaves_no_process(home: DemoHome, number: signal.Signals) -> None:
    started = home.start("live-demo", "--minutes", "30")
    started.wait_for("Candles: ")
    os.kill(started.process.pid, number)
    output, _ = started.process.communicate(timeout=120)
    assert "Traceback" not in output
    deadline = time.monotonic() + 60
    while home.processes() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert home.processes() == []
