"""One running sandbox: exchange, market, keys and faults behind one port."""

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from aiohttp import web

from streaming.sandbox.admin import Admin
from streaming.sandbox.browser_guard import browser_guard
from streaming.sandbox.config import SandboxConfig
from streaming.sandbox.exchange.exchange import Exchange
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.faults import Faults, from_json
from streaming.sandbox.keys import ApiKey, Keys
from streaming.sandbox.market import MarketClock, TickPlayer, TickSource
from streaming.sandbox.model import Listing
from streaming.sandbox.order_gateway import OrderGateway
from streaming.sandbox.rates import TIERS, Rates
from streaming.sandbox.rest import routes
from streaming.sandbox.websocket import WebSocketApi
from trading.errors import InvalidSettings
from trading.margin.terms import MarginTerms
from trading.market import Pair

LOG = logging.getLogger("marketloom.sandbox")
ACCOUNT = "demo"  # the one that a new sandbox opens
EXCHANGE_FILE, KEYS_FILE = "exchange.sqlite", "keys.sqlite"
GRACE = 1.0  # seconds that open requests have when it stops


@dataclass(frozen=True, slots=True)
class Opening:
    """What a sandbox shows, and what it begins with."""

    source: TickSource
    start: datetime  # market time of a new sandbox
    resumes: bool  # a replay goes on where it stopped; a simulated market has gone on meanwhile
    listings: Mapping[Pair, Listing]
    quote: str  # margin is counted in it
    terms: MarginTerms
    balances: Callable[
        [Mapping[Pair, Decimal]], Mapping[str, Decimal]
    ]  # of the first account, at these prices


@dataclass(frozen=True, slots=True)
class Running:
    """What a user needs to know of a sandbox that listens."""

    url: str
    key: ApiKey
    exchange: Exchange
    faults: Faults
    player: TickPlayer


class SandboxServer:
    """Everything that it must not forget lies in `folder`."""

    def __init__(self, config: SandboxConfig, opening: Opening, folder: Path) -> None:
        self._config = config
        self._opening = opening
        self._folder = folder
        self._exchange_file = folder / EXCHANGE_FILE

    async def run(self, stop: asyncio.Event, ready: Callable[[Running], None]) -> None:
        """Run until `stop` is set. Raise InvalidSettings when it cannot listen; an error of the market ends it."""
        with self._stores() as (store, keys):
            exchange, clock = self._exchange(store)
            self._open_first_account(exchange)
            key = next(iter(keys.keys(ACCOUNT)), None) or keys.issue(ACCOUNT)
            faults = self._faults()
            gateway = self._gateway(exchange, faults)
            api = WebSocketApi(exchange, gateway, keys, faults, time.time)
            player = TickPlayer(
                self._opening.source, clock, exchange.apply, exchange.elapse, api.wait_for_clients
            )
            admin = Admin(exchange, self._exchange_file, keys, faults, player, time.time)
            application = web.Application(middlewares=[browser_guard(self._config.host)])
            application.add_routes(
                routes(gateway, keys, faults, self._opening.terms, self._opening.quote, time.time)
            )
            api.mount(application)
            admin.mount(application)
            async with self._listening(application) as url:
                ready(Running(url, key, exchange, faults, player))
                await player.play(stop)

    @contextmanager
    def _stores(self) -> Iterator[tuple[ExchangeStore, Keys]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        store = ExchangeStore(self._exchange_file)
        try:
            keys = Keys(self._folder / KEYS_FILE, time.time)
            try:
                yield store, keys
            finally:
                keys.close()
        finally:
            store.close()

    def _exchange(self, store: ExchangeStore) -> tuple[Exchange, MarketClock]:
        """Catch up with a market that has gone on meanwhile; any other goes on where it stopped.

        So does one that stands still, and one that ran ahead of the time at which it would begin now.
        """
        opening, speed, saved = self._opening, self._config.speed, store.position()
        clock = MarketClock(opening.start, speed, time.time)
        resumes = saved is not None and (opening.resumes or not speed or saved > opening.start)
        if resumes and saved:
            clock.rebase(saved)
        exchange = Exchange(
            opening.listings, opening.terms, opening.quote, store, clock, time.time, opening.source
        )
        if not resumes:
            exchange.catch_up()
        elif goes_on := exchange.resume_from:
            clock.rebase(goes_on)
        return exchange, clock

    def _open_first_account(self, exchange: Exchange) -> None:
        if exchange.accounts():
            return
        prices = {
            pair: last for pair in exchange.listings if (last := exchange.tape(pair).last_price) is not None
        }
        exchange.open_account(ACCOUNT, self._opening.balances(prices))

    def _faults(self) -> Faults:
        faults = Faults(time.time)
        for entry in self._config.faults:
            faults.arm(from_json(entry))
        return faults

    def _gateway(self, exchange: Exchange, faults: Faults) -> OrderGateway:
        config = self._config
        chance = random.Random(config.seed)

        def latency() -> float:
            return (config.latency_ms + chance.random() * config.latency_jitter_ms) / 1000

        return OrderGateway(exchange, Rates(TIERS[config.tier], time.time), faults, latency, time.time)

    @asynccontextmanager
    async def _listening(self, application: web.Application) -> AsyncIterator[str]:
        """Yield the URL."""
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=GRACE)
        await runner.setup()
        try:
            yield await self._listen(runner)
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> str:
        host, port = self._config.host, self._config.port
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise InvalidSettings(
                f"cannot listen on {host}:{port}: {_reason(error)}; is another sandbox running? Stop it, or choose "
                "another port with --port or [sandbox] port"
            ) from None
        address = runner.addresses[0]
        return f"http://{address[0]}:{address[1]}"


def _reason(error: OSError) -> str:
    """asyncio wraps the system's words in a sentence of its own, with the address once more."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
