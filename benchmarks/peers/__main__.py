"""Compare our back-test with its peers, same machine, same signals, trade by trade: `python -m benchmarks.peers`.

The year of `benchmarks.market` twice: with its stop of 2 %, which gives the speeds, and with one so tight that it
ends every third trade, so that stops, gaps and entry candles are compared by the thousand. Then 100 pairs of windows
at once. A peer whose environment cannot be built or whose run fails is a line in the table, not an error.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import market as markets
from benchmarks.crossings import ema_crossings, signals
from benchmarks.peers import ours
from benchmarks.peers.comparison import compare
from benchmarks.peers.environments import ENVIRONMENTS, FREQTRADE, NAUTILUS, VECTORBT, Environment, build
from benchmarks.peers.protocol import Ledger, Market

ROOT = Path(__file__).parents[2]
LIMIT = 900  # seconds that one peer may take
TIGHT = 0.002
FAST_WINDOWS, SLOW_WINDOWS = range(5, 15), range(20, 70, 5)
CONSOLE = Console(width=170)


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    environment: Environment
    module: str
    arguments: tuple[str, ...]
    explanation: str  # why its trades differ
    sweeps: bool = False


PEERS = (
    Peer("vectorbt rust", VECTORBT, "vectorbt_engine", ("rust",), "", sweeps=True),
    Peer("vectorbt numba", VECTORBT, "vectorbt_engine", ("numba",), "", sweeps=True),
    Peer(
        "backtesting.py", VECTORBT, "backtesting_engine", (),
        "a stop above the close at which it is ordered is refused and stands lower until the trade ends",
    ),
    Peer(
        "NautilusTrader", NAUTILUS, "nautilus_engine", (),
        "a bar has to end with the next open to fill there, so the gap lies in the bar and the stop fills at its price",
    ),
    Peer("freqtrade", FREQTRADE, "freqtrade_engine", (), "a stop that the candle comes back to fills at its price"),
)  # fmt: skip


def main() -> int:
    broken = {environment: problem for environment in ENVIRONMENTS if (problem := build(environment))}
    with tempfile.TemporaryDirectory() as folder:
        files = write_markets(Path(folder))
        answers = compare_all("2 % stop", files["year"], broken, Path(folder), sweep=files["sweep"])
        compare_all(f"{TIGHT:.1%} stop", files["tight"], broken, Path(folder))
        compare_sweeps(files, answers, Path(folder))
    return 0


def compare_all(
    title: str, file: Path, broken: dict[Environment, str], folder: Path, sweep: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Run every engine and print the table; returns the answer of each peer, by name."""
    market = Market.read(file)
    mine = ours.backtest(market)
    table = Table(
        "engine", "seconds", "x ours", "with averages", "x ours", "trades", "equal", "equity apart by", "why",
        title=f"{market.close.size:,} candles, {title}, fee {market.fee:.2%}; {mine.stopped:,} trades are stopped out",
    )  # fmt: skip
    ourselves = (f"{mine.seconds:.4f}", "1", f"{mine.from_prices:.4f}", "1", str(mine.ledger.equity.size))
    table.add_row("Marketloom", *ourselves)
    answers = {}
    for peer in PEERS:
        ledger_file = folder / f"{peer.module}.npz"
        answer = broken.get(peer.environment) or run_peer(peer, file, ledger_file, sweep, folder)
        if isinstance(answer, str):
            table.add_row(peer.name, *["-"] * 7, answer.splitlines()[-1])
            continue
        answers[peer.name] = answer
        agreement = compare(mine, Ledger.read(ledger_file))
        table.add_row(
            f"{peer.name} {answer['version']}",
            *format_seconds(answer["seconds"], mine.seconds),
            *format_seconds(answer.get("seconds_from_prices"), mine.from_prices),
            str(agreement.trades),
            str(agreement.equal),
            f"{agreement.equity:.1e}",
            agreement.explain(peer.explanation),
        )
        facts = {"ours": mine.seconds, "ours_from_prices": mine.from_prices, **asdict(agreement)}
        print(json.dumps(answer | facts))
    CONSOLE.print(table)
    return answers


def run_peer(
    peer: Peer, market: Path, ledger: Path, sweep: Path | None, folder: Path
) -> dict[str, Any] | str:
    """Run a peer in its environment; returns its answer, or in words what went wrong."""
    more = (str(sweep), str(folder / f"{peer.name}.totals.npz")) if sweep and peer.sweeps else ()
    module = f"benchmarks.peers.{peer.module}"
    command = [str(peer.environment.python), "-m", module, str(market), str(ledger), *peer.arguments, *more]
    try:
        finished = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {LIMIT} s"
    if finished.returncode:
        return finished.stderr.strip() or f"ended with {finished.returncode}"
    answer: dict[str, Any] = json.loads(finished.stdout.strip().splitlines()[-1])
    return answer


def compare_sweeps(files: dict[str, Path], answers: dict[str, dict[str, Any]], folder: Path) -> None:
    signals = np.load(files["sweep"])
    pairs = list(zip(signals["fast"].tolist(), signals["slow"].tolist(), strict=True))
    given, from_prices, found = ours.run_sweep(
        Market.read(files["year"]), signals["entries"], signals["exits"], pairs
    )
    trades, equity = found.totals["trades"].to_numpy(), found.totals["final_equity"].to_numpy()
    table = Table(
        "engine", "seconds", "x ours", "with averages", "x ours", "equally many trades", "equity apart by",
        title=f"{trades.size} pairs of windows over {len(signals['entries']):,} candles",
    )  # fmt: skip
    table.add_row("Marketloom", f"{given:.4f}", "1", f"{from_prices:.4f}", "1")
    for name, answer in answers.items():
        if "seconds_sweep" not in answer:
            continue
        theirs = np.load(folder / f"{name}.totals.npz")
        table.add_row(
            name,
            *format_seconds(answer["seconds_sweep"], given),
            *format_seconds(answer["seconds_sweep_from_prices"], from_prices),
            str(int((theirs["trades"] == trades).sum())),
            f"{np.abs(theirs['equity'] / equity - 1).max():.1e}",
        )
        sweeps = {key: value for key, value in answer.items() if key.startswith("seconds_sweep")}
        print(json.dumps({"engine": name, **sweeps, "ours": given, "ours_from_prices": from_prices}))
    CONSOLE.print(table)


def format_seconds(theirs: float | None, mine: float) -> tuple[str, str]:
    return ("-", "-") if theirs is None else (f"{theirs:.4f}", f"{theirs / mine:,.1f}")


def write_markets(folder: Path) -> dict[str, Path]:
    """Write the year, the year with a tight stop, and the signals of every pair of windows."""
    files = {name: folder / f"{name}.npz" for name in ("year", "tight", "sweep")}
    markets.main([str(files["year"])])
    year = dict(np.load(files["year"]))
    np.savez(files["tight"], **year | {"stop": TIGHT})
    fast, slow = np.array([(fast, slow) for fast in FAST_WINDOWS for slow in SLOW_WINDOWS]).T
    pairs = zip(fast.tolist(), slow.tolist(), strict=True)
    columns = [signals(ema_crossings(year["close"], *pair)) for pair in pairs]
    entries, exits = (np.stack(flags, axis=1) for flags in zip(*columns, strict=True))
    entries[-1] = exits[-1] = False  # no open follows
    np.savez(files["sweep"], entries=entries, exits=exits, fast=fast, slow=slow)
    return files


if __name__ == "__main__":
    sys.exit(main())
