"""Streams: frames of Kraken to events, and books verified at every change, each beside other ways to do it.

All ways read the same frames in one process, in turns; medians count. Book frames are recorded ones where the recording
is there; of the other channels no session was found to record, their frames have the recorded shape and a random walk.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

from benchmarks.readers import ccxt_stream, json_stream, typed_stream
from benchmarks.readers.plain_book import PlainBook
from benchmarks.row import Benchmark, Row, medians, row
from streaming.events import BookChange
from streaming.feeds.kraken import KrakenFeed
from streaming.order_book import OrderBook
from trading.market import Pair

RECORDING = Path(__file__).parents[1] / "../shared/data/ws/kraken_v2_book_BTC-USD.jsonl"
PACKAGES = ("msgspec", "ccxt", "orjson")
FRAMES = 2_000
ROUNDS = 21
DEPTH, PRICE_DECIMALS, QUANTITY_DECIMALS = 25, 1, 8
START = datetime(2026, 8, 2, tzinfo=UTC)


def stream_decode() -> Iterator[Row]:
    feed = KrakenFeed()
    for channel, frames, what in _channels():
        peer = ccxt_stream.Reader(DEPTH)
        seconds = medians(
            {
                "ours": partial(_call_each, feed.decode, frames),
                "bare": partial(_call_each, typed_stream.decode, frames),
                "typed": partial(_call_each, typed_stream.decode_to_events, frames),
                "json": partial(_call_each, json_stream.decode, frames),
                "ccxt": partial(_call_each, peer.read, frames),
            },
            ROUNDS,
        )
        for name, way, target in (
            (
                "typed",
                "typed msgspec, normalised to the same events by their constructors, unchecked",
                ">= 0.8 x peer",
            ),
            ("bare", "typed msgspec alone, nothing normalised", ">= 0.8 x peer"),
            ("json", "json and dictionaries to the same events, unchecked", ">= 2 x peer"),
            ("ccxt", "ccxt.pro's handle_message after orjson, no checksum", "> 1 x peer"),
        ):
            yield row(
                "stream_decode",
                f"{channel}: {what}, to checked events",
                len(frames) / seconds["ours"],
                "messages/s",
                way,
                len(frames) / seconds[name],
                target=target,
                packages=PACKAGES,
            )


def book_checksum() -> Iterator[Row]:
    frames, what = _book_frames()
    feed = KrakenFeed()
    changes = [event for frame in frames for event in feed.decode(frame) if isinstance(event, BookChange)]
    ways = {"ours": partial(_apply_all, changes), "plain": partial(_apply_all_plainly, changes)}
    seconds = medians(ways, ROUNDS // 2)
    levels = sum(len(change.bids) + len(change.asks) for change in changes)
    yield row(
        "book_checksum",
        f"{what}: {len(changes):,} changes, {levels:,} levels, depth {DEPTH}, every checksum verified",
        len(changes) / seconds["ours"],
        "verified changes/s",
        "a dictionary per side, sorted and formatted at every change, every checksum verified",
        len(changes) / seconds["plain"],
        target="> 1 x peer",
        packages=PACKAGES,
    )
    peer = ccxt_stream.Reader(DEPTH)
    ways = {"ours": partial(_decode_and_apply, frames), "ccxt": partial(_call_each, peer.read, frames)}
    seconds = medians(ways, ROUNDS // 2)
    yield row(
        "book_checksum",
        f"{what}: decoded, applied and verified, depth {DEPTH}",
        len(frames) / seconds["ours"],
        "verified messages/s",
        "ccxt.pro's order book from the same frames: floats, no checksum (its own is switched off)",
        len(frames) / seconds["ccxt"],
        target="> 1 x peer",
        packages=PACKAGES,
    )


def _channels() -> Iterator[tuple[str, list[str], str]]:
    rng = random.Random(0)
    yield "trade", [_trade_frame(rng, number) for number in range(FRAMES)], "frames of 1 to 8 trades"
    yield "ticker", [_ticker_frame(rng, number) for number in range(FRAMES)], "frames of one ticker"
    yield "ohlc", [_candle_frame(rng, number) for number in range(FRAMES)], "frames of one candle"
    frames, what = _book_frames()
    yield "book", frames, what


def _trade_frame(rng: random.Random, number: int) -> str:
    rows = ",".join(
        f'{{"symbol":"BTC/USD","side":"{rng.choice(("buy", "sell"))}","price":{_price(rng):.1f},'
        f'"qty":{rng.expovariate(5) + 1e-8:.8f},"ord_type":"limit","trade_id":{8 * number + row},'
        f'"timestamp":"{_time(number)}"}}'
        for row in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 8)))
    )
    return f'{{"channel":"trade","type":"update","data":[{rows}]}}'


def _ticker_frame(rng: random.Random, number: int) -> str:
    bid = _price(rng)
    return (
        f'{{"channel":"ticker","type":"update","data":[{{"symbol":"BTC/USD","bid":{bid:.1f},"bid_qty":0.13000000,'
        f'"ask":{bid + 0.1:.1f},"ask_qty":0.00850000,"last":{bid:.1f},"volume":144.45700000,"vwap":79709.8,'
        f'"low":78700.0,"high":80536.3,"change":-525.8,"change_pct":-0.66,"trades":4461,"timestamp":"{_time(number)}"}}]}}'
    )


def _candle_frame(rng: random.Random, number: int) -> str:
    low, high = _price(rng), _price(rng) + 1_000
    begin = (START + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    end = (START + timedelta(minutes=number + 1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    return (
        f'{{"channel":"ohlc","type":"update","timestamp":"{_time(number)}","data":[{{"symbol":"BTC/USD",'
        f'"open":{low:.1f},"high":{high:.1f},"low":{low:.1f},"close":{high:.1f},"trades":15,"volume":0.25302078,'
        f'"vwap":{low:.1f},"interval_begin":"{begin}","interval":1,"timestamp":"{end}"}}]}}'
    )


def _price(rng: random.Random) -> float:
    return 79_000 + rng.random() * 1_000


def _time(number: int) -> str:
    return (START + timedelta(milliseconds=25 * number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _book_frames() -> tuple[list[str], str]:
    if not RECORDING.exists():
        return _simulated_book(random.Random(0)), "simulated frames of a book"
    lines = RECORDING.read_text().splitlines()
    frames = [line.split('"frame": ', 1)[1][:-1] for line in lines if '"channel":"book","type"' in line]
    return frames, "recorded frames of a book"


def _simulated_book(rng: random.Random) -> list[str]:
    book, frames = PlainBook(DEPTH, PRICE_DECIMALS, QUANTITY_DECIMALS), []
    for number in range(FRAMES):
        count = DEPTH if number == 0 else 1
        bids = {Decimal(790_000 - rng.randrange(60)).scaleb(-1): _quantity(rng) for _ in range(count)}
        asks = {Decimal(790_001 + rng.randrange(60)).scaleb(-1): _quantity(rng) for _ in range(count)}
        book.apply(
            BookChange(Pair("BTC", "USD"), number == 0, (*bids.items(),), (*asks.items(),), 0, None, None)
        )
        frames.append(
            f'{{"channel":"book","type":"{"update" if number else "snapshot"}","data":[{{"symbol":"BTC/USD",'
            f'"bids":[{_rows(bids)}],"asks":[{_rows(asks)}],"checksum":{book.checksum()},'
            f'"timestamp":"{_time(number)}"}}]}}'
        )
    return frames


def _quantity(rng: random.Random) -> Decimal:
    return Decimal(rng.choice((0, rng.randrange(1, 10**9)))).scaleb(-8)


def _rows(levels: Mapping[Decimal, Decimal]) -> str:
    return ",".join(f'{{"price":{price},"qty":{quantity:f}}}' for price, quantity in levels.items())


def _call_each(call: Callable[[str], object], frames: Sequence[str]) -> None:
    for frame in frames:
        call(frame)


def _apply_all(changes: Sequence[BookChange]) -> None:
    book = OrderBook(DEPTH, PRICE_DECIMALS, QUANTITY_DECIMALS)
    for change in changes:
        book.apply(change)


def _apply_all_plainly(changes: Sequence[BookChange]) -> None:
    book = PlainBook(DEPTH, PRICE_DECIMALS, QUANTITY_DECIMALS)
    for change in changes:
        book.apply(change)
        if book.checksum() != change.checksum:
            raise ArithmeticError("the plain book is wrong")


def _decode_and_apply(frames: Sequence[str]) -> None:
    feed, book = KrakenFeed(), OrderBook(DEPTH, PRICE_DECIMALS, QUANTITY_DECIMALS)
    for frame in frames:
        for event in feed.decode(frame):
            if isinstance(event, BookChange):
                book.apply(event)


BENCHMARKS: dict[str, Benchmark] = {
    "stream_decode": stream_decode,
    "book_checksum": book_checksum,
}
