"""A recorder whose venue, clocks and outbox the test moves by hand (tests only)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from streaming.bars import PairCandles
from streaming.book_sampler import BookSampler
from streaming.events import Channel, Trade
from streaming.recorder.metrics import StreamMetrics
from streaming.recorder.recorder import Recorder
from streaming.recorder.venue_time import VenueTime
from trading.errors import StoreUnreachable
from trading.feed_gaps import FeedGap
from trading.market import Pair, Timeframe
from trading.orders import Side
from trading.ports import Message
from trading.stream_checkpoint import Checkpoint

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def trade(number: int, at: datetime, pair: Pair = BTC, price: float = 100.0) -> Trade:
    return Trade(pair, number, Side.BUY, price, 1.0, at)


@dataclass
class Venue:
    """The venue's clock and this machine's two: all go on together, unless the test moves one alone."""

    now: datetime = START
    seconds: float = 1000.0
    machine: datetime = START

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.machine += timedelta(seconds=seconds)
        self.seconds += seconds


@dataclass
class FakeSession:
    """The trade subscriptions as a test says they are."""

    numbers: dict[Pair, int] = field(default_factory=dict)
    holding: set[Pair] = field(default_factory=set)

    def subscription(self, channel: Channel, pair: Pair | None) -> int | None:
        assert channel is Channel.TRADE
        return None if pair is None else self.numbers.get(pair)

    def holds_trades(self, pair: Pair) -> bool:
        return pair in self.holding


class MemoryOutbox:
    """What was committed, in memory; `away` makes every commit fail."""

    def __init__(self, checkpoints: Mapping[Pair, Checkpoint] | None = None) -> None:
        self.batches: list[list[Message]] = []
        self.checkpoints = dict(checkpoints or {})
        self.gaps: dict[tuple[Pair, datetime, int | None], FeedGap] = {}
        self.away = False
        self.attempts = 0

    def open(self) -> Mapping[Pair, Checkpoint]:
        return self.checkpoints

    def commit(
        self,
        messages: Sequence[Message],
        checkpoints: Mapping[Pair, Checkpoint],
        gaps: Sequence[FeedGap] = (),
        repaired: Sequence[FeedGap] = (),
    ) -> None:
        self.attempts += 1
        if self.away:
            raise StoreUnreachable("PostgreSQL does not answer")
        self.batches.append(list(messages))
        self.checkpoints.update(checkpoints)
        self.gaps |= {(gap.pair, gap.since, gap.after_id): gap for gap in gaps}
        for gap in repaired:
            self.gaps.pop((gap.pair, gap.since, gap.after_id), None)

    def close(self) -> None: ...

    @property
    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]


class Recording:
    """A recorder of two pairs with its session; `cut` has what it published."""

    def __init__(
        self, checkpoints: Mapping[Pair, Checkpoint] | None = None, venue: Venue | None = None
    ) -> None:
        self.venue = venue or Venue()
        self.session = FakeSession()
        self.metrics = StreamMetrics()
        known = checkpoints or {}
        self.clock = VenueTime(
            lambda: self.venue.now,
            monotonic=lambda: self.venue.seconds,
            machine=lambda: self.venue.machine,
        )
        self.clock.measure()
        frames = (Timeframe.M1, Timeframe.M5)
        self.recorder = Recorder(
            "kraken",
            {pair: PairCandles("kraken", pair, frames, SECOND, known.get(pair)) for pair in (BTC, XRP)},
            self.clock,
            BookSampler("kraken", SECOND),
            self.metrics,
            lambda: self.venue.seconds,
        )
        self.checkpoints: dict[Pair, Checkpoint] = dict(known)
        self.published: list[dict[str, Any]] = []
        self.gaps: dict[Any, FeedGap] = {}

    def go_live(self, pair: Pair = BTC, number: int = 1) -> None:
        """The venue confirms the subscription; then it is asked for its time."""
        self.session.numbers[pair] = number
        for each, confirmed in self.recorder.follow(self.session):
            self.recorder.restore(self.session, each, confirmed, self.venue.now)

    def read_everything(self) -> None:
        """Nothing waits in the socket: all that the venue sent until now was handed over."""
        self.recorder.progress(self.session, self.venue.seconds)
        self.recorder.advance()

    def cut(self) -> list[dict[str, Any]]:
        """What came since the last cut, decoded."""
        batch = self.recorder.cut()
        new = [{"topic": each.topic, **json.loads(each.value)} for each in batch.messages]
        self.published += new
        self.checkpoints |= batch.checkpoints
        self.gaps |= batch.gaps
        for key in batch.repaired:
            self.gaps.pop(key, None)
        return new

    def of(self, topic: str) -> list[dict[str, Any]]:
        self.cut()
        return [each for each in self.published if each["topic"] == topic]

    def minutes(self, pair: Pair = BTC) -> list[tuple[str, int]]:
        """Open time and trades of each closed 1-minute candle."""
        return [
            (each["open_time"][11:16], each["trades"])
            for each in self.of("ohlcv-raw")
            if each["timeframe"] == "1m" and each["pair"] == str(pair)
        ]
