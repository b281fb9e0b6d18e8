"""`marketloom sandbox`: the exchange of the settings on this machine, and what it has in its books."""

import asyncio
import fcntl
import json
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestration.embedded import prepare_home
from orchestration.sections import Settings
from orchestration.settings import home_folder, load_settings
from streaming.sandbox.config import SandboxConfig
from streaming.sandbox.exchange.export import Form, export, write_export
from streaming.sandbox.market import CandleReplay, TickSource, TradeReplay
from streaming.sandbox.model import Listing, Prices
from streaming.sandbox.server import EXCHANGE_FILE, Opening, Running, SandboxServer
from trading.account import Account, opening_balances
from trading.errors import InvalidSettings, InvalidValue, NotStored, UnreadableFile
from trading.importers import import_path
from trading.importers.coverage import longest_common_window
from trading.importers.landing import Landing
from trading.margin.terms import MarginTerms
from trading.market import Instrument, Pair, Timeframe
from trading.portfolio import rate
from trading.simulation.market import SimulatedMarket

Instruments = Mapping[Pair, Instrument]
MARKET_FILE, LOCK_FILE = "market.json", "lock"
CALL_LEVEL = Decimal("0.8")  # support.kraken.com 203325763
ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)
FAR = timedelta(days=3650)  # a simulated market is made as it is needed: its end only has to be far


def sandbox_folder(home: Path) -> Path:
    return home / "sandbox"


def serve(changes: Mapping[str, Any], fresh: bool, out: Console) -> None:
    """Run until Ctrl-C or SIGTERM. `changes` are keys of [sandbox]; `fresh` moves an older sandbox aside."""
    settings = load_settings()
    config = replace(settings.sandbox, **changes)
    folder = sandbox_folder(prepare_home(home_folder()))
    folder.mkdir(exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with _alone(folder):
        if fresh:
            _move_aside(folder)
        opening = _opening(settings, config, folder)
        asyncio.run(_run(SandboxServer(config, opening, folder), out))


def books() -> dict[str, list[dict[str, Any]]]:
    """Orders, fills, balances and what led to them, of the sandbox of this home, whether it runs or not."""
    return export(_store())


def write_books(folder: Path, form: Form) -> dict[str, int]:
    """The same as one file per table; rows of each."""
    return write_export(_store(), folder, form)


def parse_form(text: str) -> Form:
    try:
        return Form(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is no format: choose one of {', '.join(Form)}") from None


def _store() -> Path:
    store = sandbox_folder(home_folder()) / EXCHANGE_FILE
    if not store.exists():
        raise NotStored(
            f"{store} is not there: no sandbox has run with this home, start `marketloom sandbox`"
        )
    return store


async def _run(server: SandboxServer, out: Console) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.run(stop, lambda running: _greet(running, out))


def _greet(running: Running, out: Console) -> None:
    exchange = running.exchange
    out.print(f"sandbox exchange on {running.url}, WebSocket v2 on ws{running.url.removeprefix('http')}/v2")
    out.print(
        f"market time {exchange.market_now():%Y-%m-%d %H:%M:%S} UTC; {', '.join(map(str, exchange.listings))}"
    )
    out.print(f"account {running.key.account}: {_amounts(exchange.balances(running.key.account))}")
    out.print(f"API key    {running.key.key}", soft_wrap=True, highlight=False)
    out.print(f"API secret {running.key.secret}", soft_wrap=True, highlight=False)
    out.print(f"faults, time and books: {running.url}/admin/status ; Ctrl-C stops it, and it remembers")


def _amounts(balances: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{amount:f} {asset}" for asset, amount in sorted(balances.items()))


# --- what it shows ---------------------------------------------------------------------------------------------


def _opening(settings: Settings, config: SandboxConfig, folder: Path) -> Opening:
    instruments = {
        pair: replace(settings.instrument(pair), maximum_leverage=Decimal(config.leverage))
        for pair in settings.market.pairs
    }
    source, start = _market(config, instruments, folder)
    prices = {pair: ticks[-1].price for pair in instruments if (ticks := source.history(pair, start, 1))}
    if not prices:
        raise NotStored(f"no pair has a price by {start:%Y-%m-%d %H:%M} UTC: choose a later [sandbox] start")
    listed = {pair: instruments[pair] for pair in prices}
    quote = settings.market.quote
    account = _account(settings, prices)
    return Opening(
        source=source,
        start=start,
        resumes=config.is_replay,
        listings={
            pair: Listing(
                instrument, settings.costs(pair), _level_value(config, pair, quote, prices), config.levels
            )
            for pair, instrument in listed.items()
        },
        quote=quote,
        terms=_terms(settings, config),
        balances=lambda now: opening_balances(account, {**prices, **now}),
    )


def _account(settings: Settings, prices: Prices) -> Account:
    """The capital of the settings, as far as it can be priced here: a replay need not have every pair."""
    capital, quote = settings.venue.capital, settings.market.quote
    priced = {quote, *(asset for pair in prices for asset in (pair.base, pair.quote))}
    fixed = {asset: amount for asset, amount in capital.fixed.items() if asset in priced}
    return Account("", quote, capital.total, fixed, capital.rest if capital.rest in priced else quote)


def _level_value(config: SandboxConfig, pair: Pair, quote: str, prices: Prices) -> Decimal:
    """In the pair's own quote currency."""
    return config.level_value / rate(pair.quote, quote, prices)


def _terms(settings: Settings, config: SandboxConfig) -> MarginTerms:
    margin = settings.margin
    liquidation = Decimal(str(margin.liquidation_level))
    return MarginTerms(
        opening_fee=Decimal(str(margin.opening_fee)),
        rollover_fee=Decimal(str(margin.rollover_fee)),
        rollover_every=timedelta(hours=margin.rollover_hours),
        call_level=max(CALL_LEVEL, liquidation),
        liquidation_level=liquidation,
        leverage=Decimal(config.leverage),
    )


def _market(config: SandboxConfig, instruments: Instruments, folder: Path) -> tuple[TickSource, datetime]:
    """What is played, and from when; the same market as before in this folder, or InvalidSettings."""
    if not config.is_replay:
        return _simulated(config, instruments, folder)
    kind, play = ("trades", _trades) if config.trades else ("candles", _candles)
    path = Path(config.trades or config.candles).expanduser()
    if not path.exists():
        raise UnreadableFile(f"{path} does not exist: name a file or folder of {kind} to replay")
    source, begins, ends = play(path, instruments, folder)
    _same_market(folder, {kind: str(path.resolve())})
    past = min(timedelta(days=config.history_days), (ends - begins) / 2)
    return source, config.started_at or begins + past


def _trades(path: Path, instruments: Instruments, folder: Path) -> tuple[TickSource, datetime, datetime]:
    """And the time in which there are trades of every pair."""
    source = TradeReplay.of_path(path, instruments)
    begins = max(TradeReplay.of_path(path, {pair: instruments[pair]}).first() for pair in source.pairs)
    ends = min(source.history(pair, ALWAYS, 1)[-1].at for pair in source.pairs)
    return source, begins, ends


def _candles(path: Path, instruments: Instruments, folder: Path) -> tuple[TickSource, datetime, datetime]:
    """The longest time for which one venue has candles of all pairs that are there."""
    landing = Landing(folder / "candles")
    spans: dict[tuple[str, Timeframe], list[datetime]] = {}
    pairs: set[Pair] = set()
    refused = []
    for imported in import_path(path):
        report = imported.report
        pair, venue, timeframe, last = report.pair, report.venue, report.timeframe, report.last
        if report.refused_reason:
            refused.append(report.refused_reason)
        elif pair in instruments and pair and venue and timeframe and report.first and last:
            landing.add(imported)
            pairs.add(pair)
            spans.setdefault((venue, timeframe), []).extend((report.first, last + timeframe.duration))
    if not pairs:
        names = ", ".join(map(str, instruments))
        raise UnreadableFile("\n".join([f"{path} has no candles of {names}", *refused]))
    kinds = {kind: (min(times), max(times)) for kind, times in spans.items()}
    window = longest_common_window(landing, kinds, sorted(pairs))
    candles = landing.source(window.venue, window.timeframe)
    played = {pair: instruments[pair] for pair in sorted(pairs)}
    return CandleReplay(candles, played, window.timeframe), window.start, window.end


def _simulated(config: SandboxConfig, instruments: Instruments, folder: Path) -> tuple[TickSource, datetime]:
    """A market that goes on while nobody looks: its beginning is kept, so that it stays the same one."""
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date(), time(), UTC) - timedelta(days=config.history_days)
    known = _same_market(folder, {"seed": config.seed}, {"begins": midnight.isoformat()})
    begins = datetime.fromisoformat(known["begins"])
    market = SimulatedMarket(tuple(instruments), Timeframe.M1, config.seed, begins, now + FAR)
    return CandleReplay(market, instruments, Timeframe.M1), now


def _same_market(
    folder: Path, identity: Mapping[str, Any], first: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What was noted when this sandbox began; InvalidSettings when that was another market."""
    noted = folder / MARKET_FILE
    if not noted.exists():
        draft = noted.with_suffix(".writing")
        draft.write_text(json.dumps({**identity, **(first or {})}))
        os.replace(draft, noted)
    known: dict[str, Any] = json.loads(noted.read_text())
    if {key: known.get(key) for key in identity} != dict(identity):
        raise InvalidSettings(
            f"the sandbox in {folder} has traded on another market ({_words(known)}): start this one "
            f"({_words(identity)}) with --fresh, which moves the old one aside, or set MARKETLOOM_HOME elsewhere"
        )
    return known


def _words(market: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in market.items())


# --- its folder ------------------------------------------------------------------------------------------------


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidSettings(
                f"a sandbox runs on {folder} already: use it, stop it, or set MARKETLOOM_HOME elsewhere"
            ) from None
        yield


def _move_aside(folder: Path) -> None:
    """The old books stay, in a folder that says when they were put away."""
    old = [
        path for path in folder.iterdir() if path.name != LOCK_FILE and not path.name.startswith("before-")
    ]
    if not old:
        return
    aside = folder / f"before-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    aside.mkdir()
    for path in old:
        path.rename(aside / path.name)
