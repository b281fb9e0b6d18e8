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
    started = home.start("live-demo", "--minutes", "1", "--speed", "6")
    output, _ = started.process.communicate(timeout=60 * MINUTES_AT_MOST)
    assert started.process.returncode == 0, output
    assert "SIMULATED market" in output
    words = re.search(
        r"Nothing is missing, doubled or different: (\d+) trades, (\d+) candles, (\d+) fills?,", output
    )
    assert words, output
    trades, candles, fills = map(int, words.groups())
    assert trades >= 3 * 4 * 5  # three pairs, four trades a minute, five minutes of market time
    assert candles >= 3 * 5
    assert fills >= 1  # of the first decisions, while the market stands: no machine is too slow for it
    assert "XRP/USDT: filled, buy" in output
    for pair in ("BTC/USDT", "XRP/USDT", "XRP/BTC"):
        assert re.search(rf"│ {pair} +│ +[1-9]", output), output  # decisions
    assert home.processes() == []
    demo = home.folder / "live-demo"
    settings = {"MARKETLOOM_HOME": str(demo), "MARKETLOOM_CONFIG": str(demo / "live-demo.toml")}
    shown = home.run("status", "--json", **settings).json()
    assert len(shown["decisions"]) >= 3
    assert json.dumps(shown["stream"]).count("no stream of sandbox runs") == 1


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
