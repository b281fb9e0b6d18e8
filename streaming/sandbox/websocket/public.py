"""Public channels: what happened on the exchange, sent to those who subscribed to it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from streaming.sandbox.formatting import PairDecimals
from streaming.sandbox.market.tape import INTERVALS
from streaming.sandbox.model import BookChanged, BookLevel, TradesPrinted
from streaming.sandbox.websocket import frames
from streaming.sandbox.websocket.books import DEPTHS, PairBook
from streaming.sandbox.websocket.clients import Client, Delivery, Topic
from streaming.sandbox.websocket.ports import MarketFeed
from trading.market import Pair

SNAPSHOT_TRADES = 50
SNAPSHOT_CANDLES = 10  # recorded and reported snapshots hold five to nine: history comes from REST
WHOLE_BOOK = 100_000  # levels of a side, more than there are
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
Best = tuple[tuple[Decimal, Decimal] | None, tuple[Decimal, Decimal] | None]


class PublicData:
    """Nothing is encoded, and no book kept, for what nobody subscribed to."""

    def __init__(self, market: MarketFeed, delivery: Delivery) -> None:
        self._market = market
        self._delivery = delivery
        self._subscribers: dict[Topic, dict[Client, None]] = {}
        self._books: dict[Pair, PairBook] = {}
        self._bests: dict[Pair, Best] = {}
        self._decimals = {pair: PairDecimals.of(listing) for pair, listing in market.listings.items()}

    def add(self, client: Client, topic: Topic) -> None:
        """Subscribe from now on; what comes next builds on what is there now, with or without a snapshot."""
        client.topics[topic] = None
        self._subscribers.setdefault(topic, {})[client] = None
        if topic.pair is not None and topic.channel == "book":
            self._book(topic.pair)
        if topic.pair is not None and topic.variant == "bbo":
            self._update_best(topic.pair)

    def remove(self, client: Client, topic: Topic) -> None:
        del client.topics[topic]
        del self._subscribers[topic][client]
        if not self._subscribers[topic]:
            del self._subscribers[topic]
            self._drop_unused(topic)

    def subscribers(self, topic: Topic) -> dict[Client, None]:
        return self._subscribers.get(topic, {})

    def snapshot(self, topic: Topic) -> bytes:
        """Encode the snapshot of a channel that has pairs."""
        pair, now = topic.pair, self._market.market_now()
        assert pair is not None
        if topic.channel == "book":
            return self._book(pair).snapshot(int(topic.variant), now)
        if topic.channel == "trade":
            prints = self._market.tape(pair).newest(SNAPSHOT_TRADES)
            return frames.trades_frame(frames.SNAPSHOT, self._decimals[pair], prints)
        if topic.channel == "ticker":
            return self._ticker(frames.SNAPSHOT, pair, now)
        interval = int(topic.variant)
        bars = self._market.tape(pair).bars(interval, None)[-SNAPSHOT_CANDLES:]
        return frames.candles_frame(frames.SNAPSHOT, pair, self._decimals[pair], interval, bars, now)

    def publish_trades(self, event: TradesPrinted) -> None:
        pair, at = event.pair, event.prints[-1].at
        if subscribers := self.subscribers(Topic("trade", pair)):
            frame = frames.trades_frame(frames.UPDATE, self._decimals[pair], event.prints)
            self._delivery.share(subscribers, "trade", str(pair), frame)
        for interval in INTERVALS:
            if subscribers := self.subscribers(Topic("ohlc", pair, interval)):
                self._send_candles(subscribers, pair, interval, event)
        self._send_ticker(pair, "trades", at)

    def publish_book(self, event: BookChanged) -> None:
        pair = event.pair
        levels = (*event.bids, *event.asks)
        if not levels:
            return
        at = max(level.at for level in levels)
        depths = [depth for depth in DEPTHS if Topic("book", pair, depth) in self._subscribers]
        if depths:
            updates = self._book(pair).change(event.bids, event.asks, depths, at)
            for depth, frame in updates.items():
                self._delivery.share(self._subscribers[Topic("book", pair, depth)], "book", str(pair), frame)
        if self.subscribers(Topic("ticker", pair, "bbo")) and self._update_best(pair):
            self._send_ticker(pair, "bbo", at)

    def _send_candles(
        self, subscribers: dict[Client, None], pair: Pair, interval: int, event: TradesPrinted
    ) -> None:
        """Return the candles that these trades fell into: two of them when the event crosses an edge."""
        width = timedelta(minutes=interval)
        first = EPOCH + (event.prints[0].at - EPOCH) // width * width
        bars = self._market.tape(pair).bars(interval, first - MICROSECOND)
        at = event.prints[-1].at
        frame = frames.candles_frame(frames.UPDATE, pair, self._decimals[pair], interval, bars, at)
        self._delivery.share(subscribers, "ohlc", str(pair), frame)

    def _send_ticker(self, pair: Pair, trigger: str, at: datetime) -> None:
        if subscribers := self.subscribers(Topic("ticker", pair, trigger)):
            frame = self._ticker(frames.UPDATE, pair, at)
            self._delivery.share(subscribers, "ticker", str(pair), frame)

    def _ticker(self, kind: str, pair: Pair, at: datetime) -> bytes:
        return frames.ticker_frame(kind, pair, self._decimals[pair], self._market.summary(pair), at)

    def _book(self, pair: Pair) -> PairBook:
        if pair not in self._books:
            view = self._market.book(pair, WHOLE_BOOK)
            self._books[pair] = PairBook(pair, self._decimals[pair], view)
        return self._books[pair]

    def _update_best(self, pair: Pair) -> bool:
        view = self._market.book(pair, 1)
        best = (_first(view.bids), _first(view.asks))
        moved = self._bests.get(pair) != best
        self._bests[pair] = best
        return moved

    def _drop_unused(self, topic: Topic) -> None:
        pair = topic.pair
        if pair is None:
            return
        if not any(Topic("book", pair, depth) in self._subscribers for depth in DEPTHS):
            self._books.pop(pair, None)
        if Topic("ticker", pair, "bbo") not in self._subscribers:
            self._bests.pop(pair, None)


def _first(levels: tuple[BookLevel, ...]) -> tuple[Decimal, Decimal] | None:
    return (levels[0].price, levels[0].quantity) if levels else None
