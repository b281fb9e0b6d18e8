"""A sandbox exchange with its REST API on a free port of this machine, and a client that signs as Kraken asks."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streaming.sandbox.exchange.exchange import Exchange, ExchangeStore
from streaming.sandbox.faults import Faults
from streaming.sandbox.keys import ApiKey, Keys, signature
from streaming.sandbox.market import MarketClock, Tick
from streaming.sandbox.model import Listing
from streaming.sandbox.order_gateway import OrderGateway
from streaming.sandbox.rates import GENEROUS, PRO, RateLimit, Rates, RateTier
from streaming.sandbox.rest import routes
from tests.doubles.clock import Clock
from tests.streaming.sandbox.exchange_setup import TERMS
from trading.fills import Costs
from trading.market import Instrument, Pair
from trading.orders import Side

BTC, XRP, XRP_BTC = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
START = datetime(2023, 11, 18, tzinfo=UTC)
SERVER_START = 1_763_726_400.0  # 2025-11-21 12:00:00
BALANCES = {"USDT": Decimal(100_000), "BTC": Decimal(2), "XRP": Decimal(10_000)}
PRICES = {BTC: Decimal("36500.0"), XRP: Decimal("0.61000"), XRP_BTC: Decimal("0.00001671")}


def listing(pair: Pair, price: str, minimum: str, minimum_cost: str, leverage: str, value: str) -> Listing:
    instrument = Instrument(
        pair=pair,
        price_increment=Decimal(price),
        quantity_increment=Decimal("0.00000001"),
        minimum_quantity=Decimal(minimum),
        minimum_cost=Decimal(minimum_cost),
        taker_fee=Decimal("0.004"),
        maker_fee=Decimal("0.0025"),
        maximum_leverage=Decimal(leverage),
    )
    return Listing(instrument, Costs(0.004, 0.0001, 0.0002), level_value=Decimal(value), levels=50)


LISTINGS = {
    BTC: listing(BTC, "0.1", "0.00005", "0.5", "3", "20000"),
    XRP: listing(XRP, "0.00001", "2", "0.5", "3", "20000"),
    XRP_BTC: listing(XRP_BTC, "0.00000001", "2", "0.00002", "1", "1"),
}

LIMIT = {"pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "volume": "0.5", "price": "30000"}
MARKET = {"pair": "XBTUSDT", "type": "buy", "ordertype": "market", "volume": "0.1"}


class TradeSource:
    """One trade of each pair a minute; prices move up and down around where they began."""

    def __init__(self, minutes: int) -> None:
        self._ticks = [
            Tick(
                pair=pair,
                at=START + timedelta(minutes=minute, seconds=10, milliseconds=number),
                price=price + LISTINGS[pair].instrument.price_increment * ((minute * 7) % 11 - 5),
                quantity=Decimal("0.12345678"),
                side=Side.BUY if minute % 2 else Side.SELL,
                order_type="market" if minute % 3 else "limit",
            )
            for minute in range(minutes)
            for number, (pair, price) in enumerate(PRICES.items())
        ]

    def ticks(self, after: datetime) -> Iterator[Tick]:
        return (tick for tick in self._ticks if tick.at > after)

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        return [tick for tick in self._ticks if tick.pair == pair and tick.at <= until][-count:]

    def first(self) -> datetime:
        return self._ticks[0].at


@dataclass
class RestApi:
    """The REST API on a server of its own, a client of it, and everything behind it that a test controls."""

    client: TestClient
    gateway: OrderGateway
    keys: Keys
    key: ApiKey
    faults: Faults
    rates: Rates
    clock: Clock
    market: MarketClock
    nonce: int = field(default=1_700_000_000_000)

    @property
    def exchange(self) -> Exchange:
        return self.gateway.exchange

    @property
    def url(self) -> str:
        return str(self.client.make_url("")).rstrip("/")

    async def get(self, method: str, **fields: Any) -> dict[str, Any]:
        """Return the whole response to a public request."""
        async with self.client.get(f"/0/public/{method}", params=fields) as response:
            assert response.status == 200
            return await response.json()

    async def ask(self, method: str, key: ApiKey | None = None, **fields: Any) -> dict[str, Any]:
        """Return the whole response to a signed form; a name like close__price is sent as close[price]."""
        self.nonce += 1
        named = {re.sub("(.+)__(.+)", r"\1[\2]", name): value for name, value in fields.items()}
        body = urlencode({"nonce": self.nonce, **named}).encode()
        return await self.send(method, body, str(self.nonce), key)

    async def ask_json(self, method: str, **fields: Any) -> dict[str, Any]:
        self.nonce += 1
        body = json.dumps({"nonce": self.nonce, **fields}).encode()
        return await self.send(method, body, str(self.nonce), content_type="application/json")

    async def send(
        self,
        method: str,
        body: bytes,
        nonce: str,
        key: ApiKey | None = None,
        content_type: str = "application/x-www-form-urlencoded",
    ) -> dict[str, Any]:
        status, _, text = await self.raw(method, body, nonce, key, content_type)
        assert status == 200, text
        return json.loads(text)

    async def raw(
        self,
        method: str,
        body: bytes,
        nonce: str,
        key: ApiKey | None = None,
        content_type: str = "application/x-www-form-urlencoded",
    ) -> tuple[int, str, str]:
        """Return HTTP status, content type and text of the response to a correctly signed request."""
        path, signer = f"/0/private/{method}", key or self.key
        headers = {
            "API-Key": signer.key,
            "API-Sign": signature(path, nonce, body, signer.secret),
            "Content-Type": content_type,
        }
        async with self.client.post(path, data=body, headers=headers) as response:
            return response.status, response.content_type, await response.text(errors="replace")

    async def result(self, method: str, **fields: Any) -> Any:
        """Return the result of a signed request; fail when there was an error."""
        response = await self.ask(method, **fields)
        assert response["error"] == [], response
        return response["result"]

    async def refusal(self, method: str, **fields: Any) -> str:
        response = await self.ask(method, **fields)
        assert list(response) == ["error"], response
        [error] = response["error"]
        return error

    async def place(self, **changes: Any) -> str:
        """Place LIMIT with `changes` and return its id."""
        [order_id] = (await self.result("AddOrder", **{**LIMIT, **changes}))["txid"]
        return order_id

    def trade(self, pair: Pair, price: str, quantity: str = "0.5") -> None:
        """Apply a trade of the market, a second later."""
        at = self.exchange.market_now() + timedelta(seconds=1)
        self.market.advance_to(at)
        self.exchange.apply(Tick(pair, at, Decimal(price), Decimal(quantity), Side.BUY, "market"))

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.exchange.elapse()


@asynccontextmanager
async def serve_rest(
    folder: Path, tier: RateTier = PRO, public: RateLimit = GENEROUS, minutes: int = 180
) -> AsyncIterator[RestApi]:
    clock = Clock(SERVER_START)
    market = MarketClock(START + timedelta(minutes=minutes), 0, clock)
    with (
        closing(ExchangeStore(folder / "exchange.sqlite")) as store,
        closing(Keys(folder / "keys.sqlite", clock)) as keys,
    ):
        exchange = Exchange(LISTINGS, TERMS, "USDT", store, market, clock, TradeSource(minutes))
        exchange.open_account("ann", BALANCES)
        faults, rates = Faults(clock), Rates(tier, clock, public)
        gateway = OrderGateway(exchange, rates, faults, lambda: 0.0, clock)
        application = web.Application()
        application.add_routes(routes(gateway, keys, faults, TERMS, "USDT", clock))
        async with TestClient(TestServer(application)) as client:
            yield RestApi(client, gateway, keys, keys.issue("ann"), faults, rates, clock, market)
