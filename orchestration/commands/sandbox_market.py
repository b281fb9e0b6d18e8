"""The market of a sandbox, from the settings: a replay of candles or trades, or a simulated market; and its terms."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestration.settings_schema import Settings
from streaming.sandbox.config import SandboxConfig
from streaming.sandbox.market import CandleReplay, TickSource, TradeReplay
from streaming.sandbox.model import Listing, Prices
from streaming.sandbox.server import Opening
from trading.account import Account, opening_balances
from trading.atomic_files import replace_file
from trading.errors import InvalidSettings, InvalidValue, NotStored, UnreadableFile
from trading.importers import import_path
from trading.importers.common_window import longest_common_window
from trading.importers.landing_area import LandingArea
from trading.margin.terms import MarginTerms
from trading.market import Instrument, Pair, Timeframe, midnight
from trading.portfolio import rate
from trading.simulation.market import SimulatedMarket

Instruments = Mapping[Pair, Instrument]
Identity = Mapping[str, Any]
MARKET_FILE = "market.json"
CALL_LEVEL = Decimal("0.8")  # support.kraken.com 203325763
ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)
FAR = timedelta(days=3650)  # a simulated market is made as it is needed: its end only has to be far


def sandbox_opening(settings: Settings, config: SandboxConfig, folder: Path) -> Opening:
    instruments = {
        pair: replace(settings.instrument(pair), maximum_leverage=Decimal(config.leverage))
        for pair in settings.market.pairs
    }
    source, start, identity = _market(config, instruments, folder)
    prices = {pair: ticks[-1].price for pair in instruments if (ticks := source.history(pair, start, 1))}
    if not prices:
        raise NotStored(f"no pair has a price by {start:%Y-%m-%d %H:%M} UTC: choose a later [sandbox] start")
    listed = {pair: instruments[pair] for pair in prices}
    quote = settings.market.quote
    account = _account(settings, prices)
    replace_file(folder / MARKET_FILE, json.dumps(identity).encode())
    return Opening(
        source=source,
        start=start,
        resumes=not config.goes_on_alone,
        listings={
            pair: Listing(
                instrument,
                settings.costs(pair),
                _level_value(config, pair, quote, prices),
                config.levels,
                config.seed,
            )
            for pair, instrument in listed.items()
        },
        quote=quote,
        terms=_terms(settings, config),
        balances=lambda now: opening_balances(account, {**prices, **now}),
    )


def _account(settings: Settings, prices: Prices) -> Account:
    """Return the capital of the settings, as far as it can be priced here: a replay need not have every pair."""
    capital, quote = settings.venue.capital, settings.market.quote
    priced = {quote, *(asset for pair in prices for asset in (pair.base, pair.quote))}
    fixed = {asset: amount for asset, amount in capital.fixed.items() if asset in priced}
    return Account("", quote, capital.total, fixed, capital.rest if capital.rest in priced else quote)


def _level_value(config: SandboxConfig, pair: Pair, quote: str, prices: Prices) -> Decimal:
    """Return the value of a book level in the pair's own quote currency."""
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


def _market(
    config: SandboxConfig, instruments: Instruments, folder: Path
) -> tuple[TickSource, datetime, Identity]:
    """Return the tick source, its start and its identity; InvalidSettings when the folder has another market."""
    if not config.is_replay:
        return _simulator(config, instruments, folder)
    kind, play = ("trades", _trades) if config.trades else ("candles", _candles)
    path = Path(config.trades or config.candles).expanduser()
    if not path.exists():
        raise UnreadableFile(f"{path} does not exist: name a file or folder of {kind} to replay")
    identity = {kind: str(path.resolve())}
    _check_same_market(folder, identity)
    source, begins, ends = play(path, instruments, folder)
    start = config.started_at or begins + min(timedelta(days=config.history_days), (ends - begins) / 2)
    if not begins <= start < ends:
        raise InvalidValue(
            f"start is {start:%Y-%m-%d %H:%M} UTC: {path} can be played from {begins:%Y-%m-%d %H:%M} "
            f"to {ends:%Y-%m-%d %H:%M} UTC"
        )
    return source, start, identity


def _trades(path: Path, instruments: Instruments, folder: Path) -> tuple[TickSource, datetime, datetime]:
    """Build a replay of trades, with the time in which there are trades of every pair."""
    source = TradeReplay.of_path(path, instruments)
    begins = max(TradeReplay.of_path(path, {pair: instruments[pair]}).first() for pair in source.pairs)
    ends = min(source.history(pair, ALWAYS, 1)[-1].at for pair in source.pairs)
    return source, begins, ends


def _candles(path: Path, instruments: Instruments, folder: Path) -> tuple[TickSource, datetime, datetime]:
    """Build a replay of the longest time for which one venue has candles of all pairs that are there."""
    landing = LandingArea(folder / "candles")
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


def _simulator(
    config: SandboxConfig, instruments: Instruments, folder: Path
) -> tuple[TickSource, datetime, Identity]:
    """Build the simulated market; its beginning is stored, so that a later start continues the same market."""
    start = config.started_at or datetime.now(UTC)
    earliest = midnight(start.date()) - timedelta(days=config.history_days)
    known = _check_same_market(folder, {"seed": config.seed})
    begins = datetime.fromisoformat(known.get("begins", earliest.isoformat()))
    market = SimulatedMarket(tuple(instruments), Timeframe.M1, config.seed, begins, start + FAR)
    identity = {"seed": config.seed, "begins": begins.isoformat()}
    return CandleReplay(market, instruments, Timeframe.M1), start, identity


def _check_same_market(folder: Path, identity: Identity) -> Identity:
    """Return the identity stored when this sandbox began, empty before; InvalidSettings when it is another."""
    noted = folder / MARKET_FILE
    known: Identity = json.loads(noted.read_text()) if noted.exists() else {}
    if known and {key: known.get(key) for key in identity} != dict(identity):
        raise InvalidSettings(
            f"the sandbox in {folder} has traded on another market ({_describe(known)}): start this one "
            f"({_describe(identity)}) with --fresh, which moves the old one aside, or set MARKETLOOM_HOME elsewhere"
        )
    return known


def _describe(market: Identity) -> str:
    return ", ".join(f"{key} {value}" for key, value in market.items())
