"""Orders through Kraken's client, over the WebSocket and over REST, beside bare requests to the same sandbox."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from threading import Barrier
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from websockets.sync.client import connect

from benchmarks.row import Benchmark, Row, row
from benchmarks.sandbox_clients import process
from benchmarks.sandbox_process import PAIR, Listening
from orchestration.postgres.embedded import EmbeddedPostgres
from trading.orders import OrderIntent, Side
from trading.stores.postgres import PostgresKeyState, migrate
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.authentication import signature
from trading.venues.kraken.order_calls import OrderCalls
from trading.venues.kraken.order_request import KrakenOrderType, OrderRequest
from trading.venues.kraken.venue import KrakenVenue
from trading.venues.kraken.websocket_orders import WebSocketOrders, private_url

PACKAGES = ("websockets", "httpx", "aiohttp")
ORDERS, ROUNDS = 40, 9  # of each way in turn, and how often; a first round warms up
EXITS = 8  # threads
PLENTY = RateLimit(1_000_000, 10_000)
LIMIT, QUANTITY = Decimal("20000.0"), Decimal("0.001")  # rests: far below the market
ORDER = OrderRequest(PAIR, Side.BUY, QUANTITY, KrakenOrderType.LIMIT, LIMIT)
STOP = OrderIntent(
    intent_id="", decision_id="", account="benchmark", pair=PAIR, side=Side.SELL, quantity=QUANTITY, reduces=True,
    stop_loss=None, take_profit=None, created_at=datetime(2026, 1, 1, tzinfo=UTC), trigger=LIMIT,
)  # fmt: skip
Place = Callable[[], str]  # places an order and returns its id
WAYS = {
    "WebSocket": "a bare request of websockets' threading client",
    "REST": "a bare signed request of httpx",
}


def kraken_orders() -> Iterator[Row]:
    with process("sandbox") as exchange, ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(EmbeddedPostgres(folder))
        migrate(server.dsn)
        client = stack.enter_context(
            KrakenClient(
                folder,
                Credentials(exchange.key, exchange.secret),
                exchange.url,
                Allowance(PLENTY, PLENTY),
                PLENTY,
                keys=PostgresKeyState(server.dsn),
            )
        )
        websocket = stack.enter_context(WebSocketOrders(client, private_url(exchange.url), patience=10.0))
        ways = {
            ("WebSocket", "venue"): _submitting(KrakenVenue(client, orders=websocket)),
            ("REST", "venue"): _submitting(KrakenVenue(client)),
            ("WebSocket", "ours"): _placing(websocket),
            ("REST", "ours"): _placing(client),
            ("WebSocket", "bare"): _bare_websocket(stack, exchange, client),
            ("REST", "bare"): _bare_rest(stack, exchange),
        }
        spent = _in_turns(ways, client)
        for way, peer in WAYS.items():
            what = f"intent to acknowledged by the venue over {way}, deadline and stop price included"
            yield from _latency_rows(what, peer, spent[way, "venue"], spent[way, "bare"])
            what = f"order to acknowledged over {way}, rate budget and decoding included"
            yield from _latency_rows(what, peer, spent[way, "ours"], spent[way, "bare"])
            ours, bare = spent[way, "ours"], spent[way, "bare"]
            yield _rate_row(f"{way}, one after the other", 1 / median(ours), 1 / median(bare), peer)
        for way in WAYS:
            one_by_one = 1 / median(spent[way, "bare"])
            together = _orders_a_second(ways[way, "ours"], client)
            exits = _seconds_of_exits(ways[way, "ours"], client)
            yield _rate_row(
                f"{way}, {EXITS} threads at once", together, one_by_one, WAYS[way] + " one by one"
            )
            yield row(
                "kraken_orders",
                f"{EXITS} exits at once over {way}, until the last one is acknowledged",
                exits * 1e3,
                "ms",
                f"{EXITS} times {WAYS[way]}",
                EXITS / one_by_one * 1e3,
                target="<= 2 x peer",
                packages=PACKAGES,
            )


def _placing(orders: OrderCalls) -> Place:
    return lambda: orders.add_order(ORDER).txid[0]


def _submitting(venue: KrakenVenue) -> Place:
    """Place a stop that rests, as an executor does; it has a deadline, and a price on the grid."""

    def place() -> str:
        return venue.submit(replace(STOP, intent_id=str(uuid4())), venue.void_after())

    return place


def _bare_websocket(stack: ExitStack, exchange: Listening, client: KrakenClient) -> Place:
    socket = stack.enter_context(connect(exchange.websocket, compression=None, ping_interval=None))
    token, numbers = client.websockets_token().token, count(1)
    order = {
        "symbol": str(PAIR), "side": "buy", "order_type": "limit", "limit_price": float(LIMIT),
        "order_qty": float(QUANTITY), "token": token,
    }  # fmt: skip
    socket.recv()  # the exchange's status

    def place() -> str:
        socket.send(json.dumps({"method": "add_order", "params": order, "req_id": next(numbers)}))
        return str(json.loads(socket.recv())["result"]["order_id"])

    return place


def _bare_rest(stack: ExitStack, exchange: Listening) -> Place:
    http = stack.enter_context(httpx.Client(base_url=exchange.url))
    path = "/0/private/AddOrder"
    order = {
        "pair": "XBTUSDT",
        "type": "buy",
        "ordertype": "limit",
        "price": str(LIMIT),
        "volume": str(QUANTITY),
    }

    def place() -> str:
        nonce = time.time_ns() // 1000  # as the client's: both use one key in turns
        body = urlencode({"nonce": nonce, **order})
        headers = {
            "API-Key": exchange.key,
            "API-Sign": signature(path, nonce, body, exchange.secret),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return str(http.post(path, content=body, headers=headers).json()["result"]["txid"][0])

    return place


def _in_turns(ways: dict[tuple[str, str], Place], client: KrakenClient) -> dict[tuple[str, str], list[float]]:
    """Return the seconds of every order; what else the machine does meets all ways."""
    spent: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for turn in range(ROUNDS + 1):
        for way, place in ways.items():
            for _ in range(ORDERS):
                begin = time.perf_counter()
                place()
                if turn:
                    spent[way].append(time.perf_counter() - begin)
            client.cancel_all()
    return spent


def _orders_a_second(place: Place, client: KrakenClient) -> float:
    """Return the median of some rounds in which all threads place orders one after the other."""
    rates = []
    with ThreadPoolExecutor(EXITS) as pool:
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            for each in [pool.submit(place) for _ in range(EXITS * ORDERS // 4)]:
                each.result()
            rates.append(EXITS * (ORDERS // 4) / (time.perf_counter() - begin))
            client.cancel_all()
    return median(rates)


def _seconds_of_exits(place: Place, client: KrakenClient) -> float:
    """Return the median from the start of all threads to the last answer."""
    together, spent = Barrier(EXITS + 1), []

    def wait_and_place() -> None:
        together.wait()
        place()

    with ThreadPoolExecutor(EXITS) as pool:
        for _ in range(ROUNDS * 5):
            exits = [pool.submit(wait_and_place) for _ in range(EXITS)]
            begin = time.perf_counter()
            together.wait()
            for each in exits:
                each.result()
            spent.append(time.perf_counter() - begin)
            client.cancel_all()
    return median(spent)


def _latency_rows(what: str, peer: str, ours: list[float], bare: list[float]) -> Iterator[Row]:
    for percent in (50, 99):
        values = [quantiles(spent, n=100)[percent - 1] * 1e3 for spent in (ours, bare)]
        yield row(
            "kraken_orders",
            f"{what}, p{percent}",
            values[0],
            "ms",
            peer,
            values[1],
            target="<= 2 x peer",
            packages=PACKAGES,
        )


def _rate_row(what: str, ours: float, bare: float, peer: str) -> Row:
    return row(
        "kraken_orders", f"orders over {what}", ours, "orders/s", peer, bare, target="none", packages=PACKAGES
    )


BENCHMARKS: dict[str, Benchmark] = {"kraken_orders": kraken_orders}
