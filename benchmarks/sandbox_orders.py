"""Orders a second: in the engine beside bare commits, and over the wire beside bare aiohttp."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from decimal import Decimal
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.row import Row, medians, row
from benchmarks.sandbox_clients import Socket, process, rest, sockets
from benchmarks.sandbox_process import BALANCES, PAIR, exchange
from streaming.sandbox.exchange import schema
from streaming.sandbox.exchange.exchange import ExchangeStore
from streaming.sandbox.model import NewOrder, OrderType, PriceTerm
from trading.orders import Side

PACKAGES = ("aiohttp", "msgspec")
BATCH, ROUNDS = 300, 15  # requests at once, and how often
LIMIT, QUANTITY = Decimal("20000.0"), Decimal("0.001")  # rests: far below the market
Ask = Callable[[int], Awaitable[object]]


def sandbox_orders() -> Iterator[Row]:
    yield from _engine_rows()
    yield from asyncio.run(_wire_rows())


def _engine_rows() -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ExchangeStore(Path(folder) / "exchange.sqlite")) as store,
    ):
        engine = exchange(store)
        engine.open_account("demo", BALANCES)

        def orders() -> None:
            for number in range(BATCH // 3):
                resting = engine.add("demo", _order(Side.BUY, OrderType.LIMIT, LIMIT))
                engine.cancel("demo", resting.order_id)
                engine.add("demo", _order(Side.BUY if number % 2 else Side.SELL, OrderType.MARKET))

        with closing(schema.open_store(Path(folder) / "floor.sqlite", b"floor")) as connection:
            connection.execute("CREATE TABLE floor (number INTEGER PRIMARY KEY, text TEXT)")

            def commits() -> None:
                for _ in range(BATCH):
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute(
                        "INSERT INTO floor (text) VALUES ('OABCDE-FGHIJ-KLMNOP 0.001 61234.5')"
                    )
                    connection.execute("COMMIT")

            spent = medians({"ours": orders, "floor": commits}, ROUNDS)
    yield row(
        "sandbox_orders",
        "engine: a resting limit order, its cancellation and a market order in turn, each stored before its answer",
        BATCH / spent["ours"],
        "orders/s",
        "SQLite with the same settings: one commit of one small row each",
        BATCH / spent["floor"],
        target=">= 0.05 x peer",
    )


def _order(side: Side, order_type: OrderType, limit: Decimal | None = None) -> NewOrder:
    return NewOrder(PAIR, side, order_type, QUANTITY, limit=PriceTerm(limit) if limit else None)


async def _wire_rows() -> list[Row]:
    with process("sandbox") as ours, process("bare") as floor:
        async with rest(ours) as our_rest, rest(floor) as floor_rest:
            token = (await our_rest.call("GetWebSocketsToken", {}))["token"]
            placed: list[str] = []

            async def order(number: int) -> None:
                if number % 2:
                    await our_rest.call("CancelOrder", {"txid": placed.pop()})
                else:
                    placed.extend((await our_rest.call("AddOrder", REST_ORDER))["txid"])

            async def echo(number: int) -> None:
                if number % 2:
                    await floor_rest.raw("CancelOrder", {"txid": "OABCDE-FGHIJ-KLMNOP"})
                else:
                    await floor_rest.raw("AddOrder", REST_ORDER)

            rows = _latency_rows("signed REST AddOrder and CancelOrder", await _in_turns(order, echo))
        async with sockets(ours.websocket, 1) as [mine], sockets(floor.websocket, 1) as [other]:
            asks = (_order_sender(mine, token, True), _order_sender(other, token, False))
            rows += _latency_rows("WebSocket add_order and cancel_order", await _in_turns(*asks))
    return rows


REST_ORDER = {
    "pair": "BTCUSDT",
    "type": "buy",
    "ordertype": "limit",
    "price": str(LIMIT),
    "volume": str(QUANTITY),
}
SOCKET_ORDER = {
    "order_type": "limit",
    "side": "buy",
    "symbol": str(PAIR),
    "limit_price": float(LIMIT),
    "order_qty": float(QUANTITY),
}


def _order_sender(socket: Socket, token: str, checked: bool) -> Ask:
    """Return a function that sends orders over one connection; a response without success ends the benchmark."""
    numbers = count(1)

    async def ask(number: int) -> None:
        name = f"bench{number // 2}"
        method = "cancel_order" if number % 2 else "add_order"
        terms: dict[str, Any] = {"cl_ord_id": [name]} if number % 2 else {**SOCKET_ORDER, "cl_ord_id": name}
        socket.send({"method": method, "params": {**terms, "token": token}, "req_id": next(numbers)})
        response = await socket.response()
        if checked and b'"success":true' not in response:
            raise ConnectionError(f"{method}: {response.decode()}")

    return ask


async def _in_turns(ours: Ask, floor: Ask) -> tuple[list[float], list[float]]:
    """Return the seconds of every request, sent one by one in batches; a first batch of each warms up."""
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for ask, taken in zip((ours, floor), spent, strict=True):
            for number in range(turn * BATCH, (turn + 1) * BATCH):
                begin = time.perf_counter()
                await ask(number)
                if turn:
                    taken.append(time.perf_counter() - begin)
    return spent


def _latency_rows(what: str, spent: tuple[list[float], list[float]]) -> list[Row]:
    """Return the rate and the median and 99th percentile of the latency."""
    peer = "aiohttp that answers with the same body, the same client"
    rates = [BATCH / median(sum(batch) for batch in _batches(taken)) for taken in spent]
    measures = [(f"{what}, one after the other", "orders/s", rates, ">= 0.3 x peer")]
    for percent in (50, 99):
        times = [quantiles(taken, n=100)[percent - 1] * 1e3 for taken in spent]
        measures.append((f"{what}, p{percent} from request to answer", "ms", times, "none"))
    return [
        row("sandbox_orders", of, values[0], unit, peer, values[1], target=target, packages=PACKAGES)
        for of, unit, values, target in measures
    ]


def _batches(taken: list[float]) -> list[list[float]]:
    return [taken[at : at + BATCH] for at in range(0, len(taken), BATCH)]
