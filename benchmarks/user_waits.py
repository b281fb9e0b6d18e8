"""What a user waits for: real processes from the command, or the click, to the end, and the memory of all of them.

Everything runs in a home folder of its own that is removed afterwards. `demo_quick` and `demo_full` begin with an
empty one. The others share one: three pairs, a year of simulated minutes with news, filled by `demo_minutes`. Runs
are launched in the UI of a running `marketloom dev`, whose memory is counted with theirs; they decide for an account
that has no history, and train a policy of another seed than the demo's, so that nothing is there already.

Of the peers only freqtrade has commands; vectorbt and NautilusTrader are libraries (`make bench-peers` compares their
engines). Its environment is the one of `make bench-peers`; without it, the peer is named as missing.
"""

import atexit
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial

from benchmarks.peers.freqtrade_commands import backtesting, list_data, webserver
from benchmarks.row import Benchmark, Row, row
from benchmarks.user_home import Cost, ServedUi, UserHome, user_home

YEAR = 2023
MINUTES = {
    "MARKETLOOM__MARKET__TIMEFRAME": "1m",
    "MARKETLOOM__SIMULATOR__START": f"{YEAR}-01-01",
    "MARKETLOOM__SIMULATOR__END": f"{YEAR + 1}-01-01",
}
FRESH = {"MARKETLOOM__VENUE__ACCOUNT": "waits", "MARKETLOOM__POLICY__SEED": "2"}
NONE = "none: no peer has a command for it"
Peer = tuple[str, Callable[[], Cost | None]]
_cleanup = ExitStack()
atexit.register(_cleanup.close)


def demo_quick() -> Cost:
    with user_home() as home:
        return home.run("demo", "--quick")


def demo_full() -> Cost:
    with user_home() as home:
        return home.run("demo")


def demo_minutes() -> Cost:
    return _filled()[1]


def backtest() -> Cost:
    return _filled()[0].run("backtest", "--pair", "BTC/USDT")


def status() -> Cost:
    return _filled()[0].run("status")


def ui_ready() -> Cost:
    return _served().ready


def features() -> Cost:
    first, last = f"{YEAR}-01-01|BTC-USDT", f"{YEAR}-12-01|XRP-BTC"
    return _served().launch("history", "features", first=first, last=last)


def scoring() -> Cost:
    first, last = f"{YEAR}-12-01", f"{YEAR}-12-31"
    return _served().launch("daily_performance", "model_performance", first=first, last=last)


def training() -> Cost:
    return _served().launch("learning", "ppo_policy", key=f"{YEAR}-12-01|BTC-USDT")


def decision() -> Cost:
    return _served().launch("decide", "decision", key="BTC-USDT")


@cache
def _filled() -> tuple[UserHome, Cost]:
    """Fill a home with the year of minutes, once for all that need it."""
    home = _cleanup.enter_context(user_home(MINUTES))
    return home, home.run("demo", "--quick")


@cache
def _served() -> ServedUi:
    return _cleanup.enter_context(_filled()[0].serve(FRESH))


def _waits(
    name: str, what: str, measure: Callable[[], Cost], target: str, peer: Peer | None
) -> Iterator[Row]:
    cost = measure()
    named, theirs = _beside(*peer) if peer else (NONE, None)
    yield row(
        name, what, cost.seconds, "s", named, theirs and theirs.seconds, target=target, packages=("dagster",)
    )
    memory = f"most memory of all its processes: {what}"
    yield row(name, memory, cost.mebibytes, "MiB", named, theirs and theirs.mebibytes, target="none")


def _beside(named: str, measure: Callable[[], Cost | None]) -> tuple[str, Cost | None]:
    """Measure the peer. One that is missing or fails is named, and ends nothing."""
    try:
        theirs = measure()
    except (RuntimeError, subprocess.SubprocessError) as error:
        return f"{named}: failed: {error}", None
    return (named, theirs) if theirs else (f"{named}: not installed, run `make bench-peers` once", None)


BACKTESTING: Peer = ("freqtrade: one back-test of a pair's year of minutes, without a report", backtesting)
LIST_DATA: Peer = ("freqtrade list-data, a pair's year of minutes", list_data)
WEBSERVER: Peer = ("freqtrade webserver, to its first answer", webserver)
WAITS: tuple[tuple[str, str, Callable[[], Cost], str, Peer | None], ...] = (
    ("demo_quick", "demo --quick, hours of 21 months", demo_quick, "< 120 s", None),
    ("demo_full", "demo, hours of 21 months", demo_full, "none", None),
    ("demo_minutes", "demo --quick, a year of minutes", demo_minutes, "none", None),
    ("backtest", "backtest --pair BTC/USDT, a year of minutes", backtest, "< 3 s", BACKTESTING),
    ("status", "status, a year of minutes stored", status, "none", LIST_DATA),
    ("ui_ready", "dev, to the first page answered", ui_ready, "none", WEBSERVER),
    ("features", "a run of features, a year of minutes, three pairs", features, "none", None),
    ("scoring", "a run of model_performance, a month of minutes, three pairs", scoring, "< 3 s", None),
    ("training", "a run of ppo_policy, one fold, six months of minutes", training, "none", None),
    ("decision", "a run of decision, one pair, minutes", decision, "none", None),
)  # fmt: skip
BENCHMARKS: dict[str, Benchmark] = {
    f"user_waits/{name}": partial(_waits, f"user_waits/{name}", what, measure, target, peer)
    for name, what, measure, target, peer in WAITS
}
