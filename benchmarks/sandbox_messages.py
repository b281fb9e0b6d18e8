"""Messages to ten clients beside bare aiohttp, and what a million of them leave in memory."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.row import Row, row
from benchmarks.sandbox_clients import Rest, Socket, process, rest, sockets
from benchmarks.sandbox_process import PAIR, Listening
from streaming.events import BookChange
from streaming.feeds.kraken import KrakenFeed
from streaming.order_book import OrderBook

PACKAGES = ("aiohttp", "msgspec")
CLIENTS, DEPTH = 10, 10
STEP = 3_600.0  # seconds of market at once: 480 messages to each client, far below what is cut off
MESSAGES, TURNS = 400_000, 10  # of sandbox_messages, to all clients together
STORED = 2_000  # messages of the first client, whose checksums are verified
FEW, MANY = 100_000, 1_000_000  # of sandbox_memory
BOOK, TRADE = CHANNELS = (b"book", b"trad")
PAGE, MEBIBYTE = os.sysconf("SC_PAGE_SIZE"), 1 << 20
PRINT = 25  # bytes that a tape keeps of a trade


def sandbox_messages() -> Iterator[Row]:
    yield asyncio.run(_message_row())


def sandbox_memory() -> Iterator[Row]:
    yield from asyncio.run(_memory_rows())


async def _message_row() -> Row:
    with process("sandbox") as ours, process("bare") as floor:
        async with (
            rest(ours) as calls,
            sockets(ours.websocket, CLIENTS, stored=STORED) as listeners,
            sockets(floor.websocket, CLIENTS) as others,
        ):
            await _subscribe(listeners)
            ticks, rates, floor_rates = 0, [], []
            for turn in range(1, TURNS + 1):
                before, begin = _received(listeners), time.perf_counter()
                ticks += await _advance(calls, listeners, MESSAGES * turn // TURNS)
                rates.append((_received(listeners) - before) / (time.perf_counter() - begin))
                before, begin = _received(others), time.perf_counter()
                await _flood(others, _texts(listeners[0]), MESSAGES // TURNS)
                floor_rates.append((_received(others) - before) / (time.perf_counter() - begin))
            _check(listeners, ticks)
    return row(
        "sandbox_messages",
        f"book (depth {DEPTH}) and trade of a market that is moved as fast as it can, to {CLIENTS} clients: "
        f"{MESSAGES:,} messages, none lost, the checksums of the first client's first books right",
        median(rates),
        "messages/s",
        "aiohttp that sends prepared frames of the same sizes to the same clients",
        median(floor_rates),
        target=">= 0.5 x peer",
        packages=PACKAGES,
    )


def _texts(listener: Socket) -> list[str]:
    """Return one message for each channel, as long as its messages were on average."""
    texts = []
    for channel in CHANNELS:
        size = listener.sizes[channel] // listener.counted[channel]
        texts.append(f'{{"channel":"{channel.decode().ljust(size - 14, "x")}"}}')
    return texts


async def _flood(others: list[Socket], texts: list[str], messages: int) -> None:
    others[0].send({"flood": [messages // CLIENTS // len(texts), *texts]})
    for other in others:
        await other.response()


async def _subscribe(listeners: list[Socket]) -> None:
    """Subscribe to everything; snapshots are not counted."""
    for listener in listeners:
        listener.send(
            {"method": "subscribe", "params": {"channel": "book", "symbol": [str(PAIR)], "depth": DEPTH}}
        )
        listener.send({"method": "subscribe", "params": {"channel": "trade", "symbol": [str(PAIR)]}})
        for _ in range(2):
            if b'"success":true' not in (message := await listener.response()):
                raise ConnectionError(f"no subscription: {message.decode()}")
    await _receive_all(listeners)
    for listener in listeners:
        listener.counted.clear()
        listener.sizes.clear()


async def _advance(calls: Rest, listeners: list[Socket], messages: int) -> int:
    """Move the market until `messages` have reached the clients altogether; return how often it traded."""
    ticks = 0
    while _received(listeners) < messages:
        ticks += await calls.advance(STEP)
        await _receive_all(listeners)
    return ticks


async def _receive_all(listeners: list[Socket]) -> None:
    """Wait for a pong, which comes behind every message before it."""
    for listener in listeners:
        listener.send({"method": "ping"})
    for listener in listeners:
        await listener.response()


def _received(listeners: list[Socket]) -> int:
    return sum(listener.counted[channel] for listener in listeners for channel in CHANNELS)


def _check(listeners: list[Socket], ticks: int) -> None:
    """Check that every client received everything and that the first one's book has the right checksums."""
    first = listeners[0]
    for listener in listeners:
        if listener.counted[TRADE] != ticks or listener.counted[BOOK] != first.counted[BOOK]:
            raise ArithmeticError(
                f"{ticks} trades happened, {listener.counted} were heard: no rate is worth telling"
            )
    feed, book = KrakenFeed(), OrderBook(DEPTH, 1, 8)
    for message in first.stored:
        for event in feed.decode(message.decode()):
            if isinstance(event, BookChange):
                book.apply(event)


async def _memory_rows() -> list[Row]:
    with process("sandbox") as ours:
        async with rest(ours) as calls, sockets(ours.websocket, CLIENTS) as listeners:
            await _subscribe(listeners)
            await _advance(calls, listeners, FEW)
            few, begun = _resident(ours), _received(listeners)
            ticks = await _advance(calls, listeners, MANY)
            many, parts = _resident(ours), (_received(listeners) - begun) / FEW
    growth = max(many - few, PAGE) / parts
    return [
        row(
            "sandbox_memory",
            f"resident memory of the sandbox after {MANY:,} messages to {CLIENTS} clients",
            many / MEBIBYTE,
            "MiB",
            f"the same process after {FEW:,}",
            few / MEBIBYTE,
            target=">= 0.9 x peer",
            packages=PACKAGES,
        ),
        row(
            "sandbox_memory",
            f"growth of it with every {FEW:,} messages",
            growth / MEBIBYTE,
            "MiB",
            f"what its tape keeps of their trades, {PRINT} bytes each until it is full",
            PRINT * ticks / parts / MEBIBYTE,
            target="none",
            packages=PACKAGES,
        ),
    ]


def _resident(listening: Listening) -> int:
    """Read the resident memory of a process in bytes from Linux."""
    return int(Path(f"/proc/{listening.process}/statm").read_text().split()[1]) * PAGE
