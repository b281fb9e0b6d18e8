"""The market of a live demo: recorded candles or trades, or the simulator; when it begins, and its pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from orchestration.settings_schema import Settings
from streaming.sandbox.market import TradeReplay
from trading.errors import UnreadableFile
from trading.importers import import_path
from trading.importers.common_window import longest_common_window
from trading.importers.file_names import identity_from_name
from trading.importers.landing_area import LandingArea
from trading.market import Pair, Timeframe, midnight
from trading.ports import CandleSource

TIMEFRAME = Timeframe.M30  # of decisions: at 240 market seconds per second a candle closes each 7.5 s
# Dagster's daemon comes back to a sensor within 5 s (MIN_INTERVAL_LOOP_TIME of dagster._daemon.sensor); another second
# for the evaluation. Of candles that close faster some pass between two evaluations.
MIN_SECONDS_PER_CANDLE = 6.0
HISTORY_DAYS = 12  # before the first decision: the features with the longest warm-up need eleven
HALF_A_MINUTE = timedelta(seconds=30)  # a market begins so long before a candle: the first one is seen whole
# The simulated market of a seed is the same in every run, and so is what the rules of marketloom.toml make of it. With
# neither a champion nor news the technical agent votes alone and needs a confidence of 0.75. Of the first ninety days
# of seed 1 that begin with an entry, so that a short demo has an order, too, this one moves most: 12 % on BTC/USDT,
# 20 % on XRP/USDT. Chosen is the day alone: rules, risk and prices are those of every other day.
SIMULATED_START = datetime(2024, 2, 22, 23, 59, 30, tzinfo=UTC)
SIMULATED_DAYS = 52  # that the simulated market is old then: the day is one of its path
DAY = timedelta(days=1)
MIN_PLAYED = timedelta(hours=6)  # of a recording that decisions are made on
TRADE_FOLDERS = ("trades", "ticks")


@dataclass(frozen=True, slots=True)
class LiveMarket:
    """What the sandbox of a live demo plays."""

    label: str
    pairs: tuple[Pair, ...]
    start: datetime
    history_days: int  # that its exchange has
    source: Mapping[str, str]  # keys of [sandbox]: candles or trades

    @property
    def decides(self) -> bool:
        """Return whether there is history enough for a decision."""
        return self.history_days >= HISTORY_DAYS

    @property
    def stored_since(self) -> datetime:
        """Return where the history begins that decisions need, as far as there is one."""
        return self.start - timedelta(days=min(self.history_days, HISTORY_DAYS))


def too_fast(speed: float) -> str:
    """Return the warning for a market that runs faster than decisions can follow; empty where they can."""
    seconds = TIMEFRAME.duration.total_seconds()
    if seconds / speed >= MIN_SECONDS_PER_CANDLE:
        return ""
    return (
        f"At speed {speed:g} a candle of {TIMEFRAME.value} closes each {seconds / speed:.1f} s, faster than Dagster's "
        f"daemon evaluates a sensor: some candles will have no decision. Up to --speed "
        f"{seconds / MIN_SECONDS_PER_CANDLE:g} each can have one"
    )


def choose_market(data: Path | None, settings: Settings, folder: Path) -> LiveMarket:
    """Choose what is played: candles of a minute in `data`/ohlcv or `data`, else trades; without data the simulator.

    `folder` is for links to the files that are chosen. UnreadableFile when nothing in `data` can be played.
    """
    if data is None:
        seed = settings.sandbox.seed
        return LiveMarket(
            f"SIMULATED market, seed {seed}: not real prices",
            settings.market.pairs,
            SIMULATED_START,
            SIMULATED_DAYS,
            {},
        )
    if not data.is_dir():
        raise UnreadableFile(f"{data} is not a folder: name one that holds candle files, or leave DATA out")
    wanted = settings.market.pairs
    candles = data / "ohlcv" if (data / "ohlcv").is_dir() else data
    if chosen := _candle_files(candles, wanted):
        return _candles(chosen, wanted, folder)
    for name in TRADE_FOLDERS:
        if (data / name).is_dir() and (files := _trade_files(data / name, wanted)):
            return _trades(files, settings, folder)
    if files := _trade_files(data, wanted):
        return _trades(files, settings, folder)
    names = ", ".join(map(str, wanted))
    raise UnreadableFile(
        f"{data} has neither candles of a minute nor trades of {names}: a live demo plays files such as "
        "ohlcv/kraken_BTC-USDT_1m.parquet or trades/XBTUSDT.csv"
    )


def _candle_files(folder: Path, pairs: Sequence[Pair]) -> list[Path]:
    """List the files of one-minute candles, by their names."""
    found = []
    for file in sorted(folder.iterdir()):
        named = identity_from_name(file)
        if file.is_file() and named.timeframe is Timeframe.M1 and named.pair in pairs:
            found.append(file)
    return found


def _candles(files: Sequence[Path], wanted: Sequence[Pair], folder: Path) -> LiveMarket:
    """Play the most volatile day of the longest time for which one venue has candles of the most pairs.

    Where no whole day has history enough before it, what there is is played.
    """
    linked = _links(files, folder / "candles")
    landing = LandingArea(folder / "landing")
    spans: dict[str, list[datetime]] = {}
    pairs: set[Pair] = set()
    for imported in import_path(linked):
        report = imported.report
        if report.pair in wanted and report.pair and report.venue and report.first and report.last:
            landing.add(imported)
            pairs.add(report.pair)
            spans.setdefault(report.venue, []).extend((report.first, report.last + Timeframe.M1.duration))
    kinds = {(venue, Timeframe.M1): (min(times), max(times)) for venue, times in spans.items()}
    window = longest_common_window(landing, kinds, sorted(pairs))
    source, ordered = landing.source(window.venue, Timeframe.M1), _in_order(pairs, wanted)
    label = f"{window.venue} candles of a minute, replayed from"
    if day := _most_volatile_day(source, ordered, window.start + timedelta(days=HISTORY_DAYS), window.end):
        start, days = day - HALF_A_MINUTE, (day - window.start) // DAY
        label = f"{label} {day:%Y-%m-%d}, the most volatile day of the recording"
    else:
        start, days = _begin(window.start, window.end)
        label = f"{label} {start:%Y-%m-%d %H:%M} UTC"
    return LiveMarket(label, ordered, start, days, {"candles": str(linked)})


def _most_volatile_day(
    source: CandleSource, pairs: Sequence[Pair], since: datetime, until: datetime
) -> datetime | None:
    """Return the start of the whole UTC day with the widest ranges of prices, summed over the pairs."""
    first = midnight(since.date()) + (DAY if since != midnight(since.date()) else timedelta())
    ranges = pl.concat(
        source.candles(pair, first, midnight(until.date()))
        .group_by(day=pl.col("open_time").dt.truncate("1d"))
        .agg(width=(pl.col("high").max() / pl.col("low").min()).log(), pairs=pl.lit(1))
        for pair in pairs
    )
    days = ranges.group_by("day").agg(pl.sum("width"), pl.sum("pairs")).filter(pl.col("pairs") == len(pairs))
    return None if days.is_empty() else days.sort("width", "day")["day"][-1]


def _trade_files(folder: Path, pairs: Sequence[Pair]) -> list[Path]:
    suffixes = {".csv", ".parquet"}
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in suffixes
        and identity_from_name(file).pair in pairs
        and identity_from_name(file).timeframe is None
        and _is_playable(file, pairs)
    ]


def _is_playable(file: Path, pairs: Sequence[Pair]) -> bool:
    """Return whether the columns are those of trades: a folder of ticks may hold order books, too."""
    from streaming.sandbox.market.trades import READERS

    try:
        READERS[file.suffix.lower()](file)
        return True
    except UnreadableFile:
        return False


def _trades(files: Sequence[Path], settings: Settings, folder: Path) -> LiveMarket:
    linked = _links(files, folder / "trades")
    instruments = {pair: settings.instrument(pair) for pair in settings.market.pairs}
    replay = TradeReplay.of_path(linked, instruments)
    begins = max(TradeReplay.of_path(linked, {pair: instruments[pair]}).first() for pair in replay.pairs)
    far = datetime(9999, 1, 1, tzinfo=UTC)
    ends = min(replay.history(pair, far, 1)[-1].at for pair in replay.pairs)
    start, days = _begin(begins, ends)
    label = f"recorded trades, replayed from {start:%Y-%m-%d %H:%M} UTC"
    return LiveMarket(
        label, _in_order(replay.pairs, settings.market.pairs), start, days, {"trades": str(linked)}
    )


def _begin(begins: datetime, ends: datetime) -> tuple[datetime, int]:
    """Return the start, and how many whole days of history lie before it: as many as a decision needs, or half."""
    wanted = timedelta(days=HISTORY_DAYS, hours=1)
    start = begins + (wanted if begins + wanted + MIN_PLAYED <= ends else (ends - begins) / 2)
    start = start.replace(minute=0, second=0, microsecond=0) - HALF_A_MINUTE
    return start, max((start - begins) // timedelta(days=1), 1)


def _in_order(found: Sequence[Pair] | set[Pair], wanted: Sequence[Pair]) -> tuple[Pair, ...]:
    return tuple(pair for pair in wanted if pair in found)


def _links(files: Sequence[Path], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file.resolve())
    return folder


def demo_values(values: Mapping[str, Any], market: LiveMarket, ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the settings of a live demo: those of the user, on its own sandbox, with stores of its own home alone."""
    assets = {asset for pair in market.pairs for asset in (pair.base, pair.quote)}
    quote = values["market"]["quote"] if values["market"]["quote"] in assets else market.pairs[0].quote
    changes: dict[str, dict[str, Any]] = {
        "market": {
            "pairs": [str(pair) for pair in market.pairs],
            "quote": quote,
            "timeframe": TIMEFRAME.value,
            "source": "sandbox",
            "until": "",
            "since": "",
            "news": "",
        },
        "venue": {"mode": "sandbox", "capital": _capital(values["venue"]["capital"], assets, quote)},
        "rebalancing": {
            "execute": False,
            "targets": _targets(values["rebalancing"]["targets"], assets, quote),
        },
        "sandbox": {
            "host": "127.0.0.1",
            "port": ports["sandbox"],
            "candles": "",
            "trades": "",
            "start": market.start.replace(tzinfo=None).isoformat(),
            "speed": 0.0,
            "history_days": market.history_days,
            "faults": [],
            # An exchange counts calls by its own seconds. On a market many times as fast, what the tier `starter`
            # allows is used up at once, and decisions wait minutes of the market for their turn.
            "tier": "pro",
            **market.source,
        },
        "stream": {"metrics_host": "127.0.0.1", "metrics_port": 0},
        "bus": {"kind": "postgres"},
        "analytics": {"store": "lake"},
        "hot": {"store": "process"},
        "dagster": {"host": "127.0.0.1", "port": ports["dagster"]},
    }
    return {section: {**content, **changes.get(section, {})} for section, content in values.items()}


def _capital(capital: Mapping[str, Any], assets: set[str], quote: str) -> dict[str, Any]:
    kept = {name: value for name, value in capital.items() if name in {*assets, "total", "rest"}}
    return kept if kept["rest"] in assets else {**kept, "rest": quote}


def _targets(targets: Mapping[str, float], assets: set[str], quote: str) -> dict[str, float]:
    """Give the shares of assets that are not there to the quote currency; they add up to 1 again."""
    kept = {asset: share for asset, share in targets.items() if asset in assets and asset != quote}
    return {quote: round(1 - sum(kept.values()), 10), **kept}
