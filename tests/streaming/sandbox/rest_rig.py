"""A sandbox exchange with its REST API on a free port of this machine, and a client that signs as Kraken asks."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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
from trading.fills import Costs
from trading.margin.terms import MarginTerms
from trading.market import Instrument, Pair
from trading.orders import Side

BTC, XRP, XRP_BTC = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
START = datetime(2023, 11, 18, tzinfo=UTC)
SERVER_START = 1_763_726_400.0  # 2025-11-21 12:00:00
BALANCES = {"USDT": Decimal(100_000), "BTC": Decimal(2), "XRP": Decimal(10_000)}
TERMS = MarginTerms(
    opening_fee=Decimal("0.0002"),
    rollover_fee=Decimal("0.0002"),
    rollover_every=timedelta(hours=4),
    call_level=Decimal("0.8"),
    liquidation_level=Decimal("0.4"),
    leverage=Decimal(3),
)
PRICES = {BTC: Decimal("36500.0"), XRP: Decimal("0.61000"), XRP_BTC: Decimal("0.00001671")}


def listing(pair: Pair, price: str, least: str, least_cost: str, leverage: str, value: str) -> Listing:
    instrument = Instrument(
        pair=pair,
        price_increment=Decimal(price),
        quantity_increment=Decimal("0.00000001"),
        minimum_quantity=Decimal(least),
        minimum_cost=Decimal(least_cost),
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


class Clock:
    """Server time, moved by hand."""

    def __init__(self) -> None:
        self.now = SERVER_START

    def __call__(self) -> float:
        return self.now


class Recorded:
    """A few trades of each pair, one a minute: prices go up and down around where they began."""

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
class Counter:
    """What a test may ask, and what it may turn."""

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

    async def get(self, method: str, **given: Any) -> dict[str, Any]:
        """The whole answer to a public question."""
        async with self.client.get(f"/0/public/{method}", params=given) as answer:
            assert answer.status == 200
            return await answer.json()

    async def ask(self, method: str, key: ApiKey | None = None, **given: Any) -> dict[str, Any]:
        """The whole answer to a signed, form-encoded question; a name like close__price is close[price]."""
        self.nonce += 1
        names = {name: name.replace("__", "[") + "]" if "__" in name else name for name in given}
        fields = {"nonce": self.nonce, **{names[name]: value for name, value in given.items()}}
        return await self.send(method, urlencode(fields).encode(), str(self.nonce), key)

    async def ask_json(self, method: str, **given: Any) -> dict[str, Any]:
        self.nonce += 1
        body = json.dumps({"nonce": self.nonce, **given}).encode()
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
        """HTTP status, content type and text of the answer to a rightly signed question."""
        path, signer = f"/0/private/{method}", key or self.key
        headers = {
            "API-Key": signer.key,
            "API-Sign": signature(path, nonce, body, signer.secret),
            "Content-Type": content_type,
        }
        async with self.client.post(path, data=body, headers=headers) as answer:
            return answer.status, answer.content_type, await answer.text()

    async def result(self, method: str, **given: Any) -> Any:
        """What a signed question was answered; it fails when there was an error."""
        answer = await self.ask(method, **given)
        assert answer["error"] == [], answer
        return answer["result"]

    async def refusal(self, method: str, **given: Any) -> str:
        answer = await self.ask(method, **given)
        assert list(answer) == ["error"], answer
        [error] = answer["error"]
        return error

    async def placed(self, **changes: Any) -> str:
        """The id of a new order: LIMIT, but for `changes`."""
        [order_id] = (await self.result("AddOrder", **{**LIMIT, **changes}))["txid"]
        return order_id

    def trade(self, pair: Pair, price: str, quantity: str = "0.5") -> None:
        """The market moves by itself, a second later."""
        at = self.exchange.market_now() + timedelta(seconds=1)
        self.market.advance_to(at)
        self.exchange.apply(Tick(pair, at, Decimal(price), Decimal(quantity), Side.BUY, "market"))

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.exchange.elapse()


@asynccontextmanager
async def counter(
    folder: Path, tier: RateTier = PRO, public: RateLimit = GENEROUS, minutes: int = 180
) -> AsyncIterator[Counter]:
    clock = Clock()
    market = MarketClock(START + timedelta(minutes=minutes), 0, clock)
    with (
        closing(ExchangeStore(folder / "exchange.sqlite")) as store,
        closing(Keys(folder / "keys.sqlite", clock)) as keys,
    ):
        exchange = Exchange(LISTINGS, TERMS, "USDT", store, market, clock, Recorded(minutes))
        exchange.open_account("ann", BALANCES)
        faults, rates = Faults(clock), Rates(tier, clock, public)
        gateway = OrderGateway(exchange, rates, faults, lambda: 0.0, clock)
        application = web.Application()
        application.add_routes(routes(gateway, keys, faults, TERMS, "USDT", clock))
        async with TestClient(TestServer(application)) as client:
            yield Counter(client, gateway, keys, keys.issue("ann"), faults, rates, clock, market)


def visit(folder: Path, scenario: Callable[[Counter], Awaitable[None]], **details: Any) -> None:
    """Run one test's scenario at a fresh counter."""

    async def run() -> None:
        async with counter(folder, **details) as opened:
            await scenario(opened)

    asyncio.run(run())
