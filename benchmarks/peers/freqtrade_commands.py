"""What freqtrade's commands cost, beside ours of the same purpose; None where its environment is not built."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.environments import FREQTRADE
from benchmarks.user_home import Cost, UserHome, free_port, user_home

PYTHON = str(FREQTRADE.python)
COMMAND = str(FREQTRADE.folder / "bin" / "freqtrade")
FEATHER = """
import sys
import numpy as np, pandas as pd
year = np.load(sys.argv[1])
columns = {name: year[name] for name in ("open", "high", "low", "close")}
date = pd.to_datetime(year["open_time"], unit="us", utc=True)
pd.DataFrame({"date": date, **columns, "volume": np.ones(len(date))}).to_feather(sys.argv[2])
"""


def backtesting() -> Cost | None:
    """Run its back-test loop on a pair's year, as `make bench-peers` does, from the start of the process to its end."""
    if not FREQTRADE.ready:
        return None
    with user_home() as home:
        year = _year(home)
        trades = str(home.folder / "trades.npz")
        return home.run_program([PYTHON, "-m", "benchmarks.peers.freqtrade_engine", str(year), trades])


def list_data() -> Cost | None:
    """List what candles are stored: the same year, in its own format."""
    if not FREQTRADE.ready:
        return None
    with user_home() as home:
        year = _year(home)
        subprocess.run(
            [PYTHON, "-c", FEATHER, str(year), str(home.folder / "BTC_USDT-1m.feather")], check=True
        )
        folder = str(home.folder)
        return home.run_program(
            [COMMAND, "list-data", "--datadir", folder, "--userdir", folder, "--exchange", "kraken", "--show"]
        )


def webserver() -> Cost | None:
    """Serve its UI's API in the mode that needs no exchange, until it answers once."""
    if not FREQTRADE.ready:
        return None
    with user_home() as home:
        home.folder.mkdir()
        port = free_port()
        config = home.folder / "config.json"
        config.write_text(json.dumps(_server_settings(port)))
        command = [COMMAND, "webserver", "--config", str(config), "--userdir", str(home.folder)]
        with home.serve_program(command, f"http://127.0.0.1:{port}/api/v1/ping") as (_, ready):
            return ready


def _server_settings(port: int) -> dict[str, object]:
    return {
        "dry_run": True, "stake_currency": "USDT", "exchange": {"name": "kraken", "pair_whitelist": ["BTC/USDT"]},
        "pairlists": [{"method": "StaticPairList"}],
        "api_server": {
            "enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port, "username": "bench",
            "password": "bench", "jwt_secret_key": "a secret of this measurement alone", "ws_token": "none",
        },
    }  # fmt: skip


def _year(home: UserHome) -> Path:
    home.folder.mkdir(exist_ok=True)
    file = home.folder / "year.npz"
    subprocess.run([sys.executable, "-m", "benchmarks.market", str(file)], check=True, capture_output=True)
    return file
