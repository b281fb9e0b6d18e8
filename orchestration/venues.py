"""Venues that orders go to, built from [venue] mode."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.settings_schema import Settings
from orchestration.sources import sandbox_time
from trading.api_keys import KeyState
from trading.errors import NotAuthorised
from trading.fills import Costs
from trading.market import Instrument, Pair
from trading.ports import CandleSource, Journal, Venue
from trading.venues.paper import PaperVenue

if TYPE_CHECKING:
    from trading.venues.kraken import KrakenClient


def paper_venue(
    settings: Settings, journal: Journal, source: CandleSource, instruments: Mapping[Pair, Instrument]
) -> Venue:
    costs: dict[Pair, Costs] = {pair: settings.costs(pair) for pair in settings.market.pairs}
    return PaperVenue(journal, source, instruments, costs)


def sandbox_venue(settings: Settings, home: Path, journal: Journal, keys: KeyState) -> Venue:
    """Build the client that trades on Kraken, with the sandbox's address and key."""
    from trading.venues.kraken.venue import KrakenVenue

    return KrakenVenue(
        sandbox_client(settings, home, keys),
        journal,
        settings.account,
        entry_age=settings.risk.candle_age * settings.market.timeframe.duration,
        market_now=sandbox_time(settings.sandbox.url, None),
    )


def sandbox_balances(settings: Settings, home: Path, keys: KeyState) -> Mapping[str, Decimal]:
    """Read the present balances of the sandbox's account."""
    with sandbox_client(settings, home, keys) as client:
        return client.balance()


def sandbox_client(settings: Settings, home: Path, keys: KeyState) -> "KrakenClient":
    """Build a client of the sandbox. NotAuthorised when no sandbox has run with this home: there is no key."""
    from streaming.sandbox.keys import Keys
    from streaming.sandbox.server import ACCOUNT, KEYS_FILE
    from trading.venues.kraken import Credentials, KrakenClient, RateLimit, Tier

    store = home / "sandbox" / KEYS_FILE
    issued = Keys(store).keys(ACCOUNT) if store.exists() else ()
    if not issued:
        raise NotAuthorised(f"{store} has no key: start `marketloom sandbox` with this home first")
    return KrakenClient(
        home / "sandbox" / "client",
        Credentials(issued[0].key, issued[0].secret),
        settings.sandbox.url,
        Tier(settings.sandbox.tier).allowance,
        RateLimit(60, 30.0),
        keys=keys,
    )
