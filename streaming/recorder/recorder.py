"""Events of the sessions into batches for the outbox. No socket and no store: the clocks are handed in."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from streaming import events
from streaming.bars import Built, PairCandles
from streaming.bars.venue_comparison import VenueComparison
from streaming.book_sampler import BookSampler
from streaming.events import Channel, Ticker, Trade
from streaming.messages import BusMessage, encode
from streaming.order_book import OrderBook
from streaming.recorder.alerts import ERROR, INFO, WARNING, Alerts
from streaming.recorder.batch import Batch, gap_key
from streaming.recorder.messages import (
    candle_message,
    restatement_message,
    ticker_message,
    trade_message,
)
from streaming.recorder.metrics import StreamMetrics
from streaming.recorder.pairs import CHANNEL_OF, PairViews
from streaming.recorder.venue_time import VenueTime
from streaming.session.output import Interrupted, Reconnecting, SessionEvent, SubscriptionRefused, TopOfBook
from trading.closed_candles import ClosedCandle
from trading.feed_gaps import FeedGap, MissingKind
from trading.market import Instrument, Pair, PairStatus

CLOSED = frozenset({"maintenance", "cancel_only"})  # the venue's words while nobody can trade
NOT_RUN = "the stream was not running"


class Subscribed(Protocol):
    """What a `Session` says about its trade channel."""

    def subscription(self, channel: Channel, pair: Pair | None) -> int | None: ...

    def holds_trades(self, pair: Pair) -> bool: ...


@dataclass(slots=True)
class _Trades:
    """The trade channel of one pair."""

    candles: PairCandles
    subscription: int | None = None  # the one that is live; None while trades may be missed
    asked: int | None = None  # the one that is about to be
    certain: datetime | None = None  # everything that the venue sent until then was read


class Recorder:
    """What the sessions say, as messages, gaps and checkpoints. `cut` takes what has come together since the last time.

    The trade channel of a pair counts as live from the moment that the venue has confirmed its subscription; what lies
    before that is a gap until it is proven. While it is live, `progress` says up to when everything was read.
    """

    def __init__(
        self,
        origin: str,
        builders: Mapping[Pair, PairCandles],
        clock: VenueTime,
        sampler: BookSampler,
        metrics: StreamMetrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._trades = {pair: _Trades(candles) for pair, candles in builders.items()}
        self._clock = clock
        self._sampler = sampler
        self._metrics = metrics
        self._monotonic = monotonic
        self._alerts = Alerts(monotonic)
        self._received: dict[Pair, list[Trade]] = {pair: [] for pair in builders}
        self._tickers: dict[Pair, Ticker] = {}
        self._gaps = {pair: set(map(gap_key, candles.gaps)) for pair, candles in builders.items()}
        self._batch = Batch()
        self._changed: set[Pair] = set()
        self._waiting = 0
        self._counts = {kind: metrics.messages.labels(channel.value) for kind, channel in CHANNEL_OF.items()}
        self._status = ""
        self._reasons: dict[Pair, str] = {}
        self._now = clock.now()
        self.views = PairViews(list(builders), monotonic)
        self._comparisons = {pair: VenueComparison() for pair in builders}

    @property
    def waiting(self) -> int:
        """Return the number of messages that are not cut yet; trades that wait for their candles count."""
        return len(self._batch.messages) + self._waiting

    @property
    def status(self) -> str:
        """Return the venue's own word for its state, empty before it said anything."""
        return self._status

    @property
    def is_open(self) -> bool:
        """Return whether the venue can be traded at, by its own words."""
        return self._status not in CLOSED

    @property
    def now(self) -> datetime:
        """Return the venue's time as of the last `advance`."""
        return self._now

    @property
    def pairs(self) -> list[Pair]:
        return list(self._trades)

    def is_live(self, pair: Pair) -> bool:
        """Return whether nothing of the pair's trades can be missed right now."""
        return self._trades[pair].subscription is not None

    # --- what the sessions say

    def handle(self, event: SessionEvent) -> None:
        """Take one event, in the order of its connection."""
        kind = type(event)
        if (count := self._counts.get(kind)) is not None:
            count.inc()
        if type(event) is Trade and self._clock.is_future(event.at):
            self._refuse(event)
            return
        match event:
            case Trade():
                self._touch()
                self._received[event.pair].append(event)
                self._waiting += 1
                self._clock.notice(event.at)
            case Ticker():
                self._clock.notice(event.at)
                self._record_ticker(event)
            case events.Candle():
                self._comparisons[event.pair].hear(event)
            case events.VenueStatus():
                self._set_status(event.status)
            case events.InstrumentListing():
                self._note_listing(event.instrument)
            case Interrupted():
                self._note_interruption(event)
            case SubscriptionRefused():
                self._note_refusal(event)
            case Reconnecting():
                self._metrics.reconnects.inc()
                self.alert("connection", WARNING, f"no connection to {self._origin}: {event.reason}")
        if kind in (events.BookChange, Trade) or isinstance(event, Interrupted | TopOfBook):
            self._sampler.observe(event, self._now)
        self.views.observe(event)

    def progress(self, session: Subscribed, moment: float) -> None:
        """Note that everything which the venue had sent up to this moment of `time.monotonic` was handed over."""
        self._notice_ends(session)
        certain = self._clock.passed_at(moment)
        if certain is None:
            return
        for pair, trades in self._trades.items():
            if trades.subscription is not None and not session.holds_trades(pair):
                trades.certain = max(certain, trades.certain or certain)

    def follow(self, session: Subscribed) -> list[tuple[Pair, int]]:
        """Compare with the session's subscriptions; returns those that are new, each once, for `restore`."""
        self._notice_ends(session)
        new = []
        for pair, trades in self._trades.items():
            number = session.subscription(Channel.TRADE, pair)
            if number is not None and trades.subscription is None and trades.asked is None and self.is_open:
                trades.asked = number
                new.append((pair, number))
        return new

    def _notice_ends(self, session: Subscribed) -> None:
        for pair, trades in self._trades.items():
            number = session.subscription(Channel.TRADE, pair)
            if trades.subscription is not None and number != trades.subscription:
                self._interrupt(pair, self._reasons.get(pair, "the subscription ended"), MissingKind.FEED_GAP)
            if number != trades.asked:
                trades.asked = None

    def restore(self, session: Subscribed, pair: Pair, number: int, at: datetime) -> None:
        """Take the trade channel for live from `at` on: a time of the venue that it had not reached when it confirmed
        the subscription with this number. Nothing happens where that has ended meanwhile."""
        trades = self._trades[pair]
        if session.subscription(Channel.TRADE, pair) != number or trades.asked != number or not self.is_open:
            trades.asked = None
            return
        trades.subscription, trades.asked, trades.certain = number, None, at
        self._apply(pair, trades.candles.restore(at, self._known_at()))

    def forget_request(self, pair: Pair) -> None:
        """Let `follow` name the pair again: its `restore` could not be done."""
        self._trades[pair].asked = None

    # --- time passes

    def advance(self) -> None:
        """Close what is proven by now, in every pair whose trade channel is live."""
        self._now = self._clock.now()
        for pair, trades in self._trades.items():
            if trades.subscription is not None and trades.certain is not None:
                self._flush(pair)
                self._apply(pair, trades.candles.advance(trades.certain, self._known_at()))

    def sample(self, books: Mapping[Pair, OrderBook], heard_at: datetime | None) -> None:
        """Take the samples of the books that are due. `heard_at`: `now` when the connection's newest frame came."""
        if heard_at is not None:
            self._publish(self._sampler.sample(books, self._now, heard_at, self._known_at()))

    # --- what the repair says

    def backfill(self, gap: FeedGap, trades: Sequence[Trade], until: datetime | None) -> None:
        """Take every trade that the venue's history has in the gap; `until`: proven up to there where it had no end."""
        self._flush(gap.pair)
        self._apply(
            gap.pair, self._trades[gap.pair].candles.backfill(gap, trades, until, self._known_at()), True
        )

    def restate(self, candle: ClosedCandle) -> None:
        """Take the venue's own numbers of a candle, where they are confirmed and differ."""
        pair = candle.pair
        self._flush(pair)
        built = self._trades[pair].candles.restate(candle, self._known_at())
        self._apply(pair, built)
        if not built.restatements:
            text = f"{pair} 1m of {candle.open_time:%Y-%m-%d %H:%M} differs at the venue, but is settled: unchanged"
            self.alert("restatement", WARNING, text, pair)

    # --- what the venue says of its own candles

    def suspects(self) -> dict[Pair, list[datetime]]:
        """Return the open times of candles that seem to differ from the venue's, of the pairs that have such."""
        return {pair: each.suspects for pair, each in self._comparisons.items() if each.suspects}

    def confirm(self, committed: events.Candle) -> None:
        """Take a suspect's candle as the venue has committed it; the second time that it differs, it counts."""
        if restated := self._comparisons[committed.pair].confirm(committed, self._known_at()):
            self.restate(restated)

    def alert(self, kind: str, severity: str, text: str, pair: Pair | None = None) -> None:
        """Publish an alert, unless one of its kind and pair was within the last minute."""
        if alert := self._alerts.alert(kind, severity, text, pair, self._known_at()):
            self._metrics.alerts.labels(kind).inc()
            self._publish([alert])

    # --- batches

    def cut(self) -> Batch:
        """Return what came together since the last cut, with the checkpoints that belong to it."""
        for pair in self._received:
            self._flush(pair)
        batch, self._batch = self._batch, Batch()
        batch.checkpoints = {pair: self._trades[pair].candles.checkpoint() for pair in sorted(self._changed)}
        self._changed.clear()
        return batch

    def begin(self) -> None:
        """Mark the time since the checkpoints as not seen: a start and a restart are the same."""
        for pair, trades in self._trades.items():
            if (since := trades.candles.proven_until) is not None:
                known_at = self._known_at()
                self._apply(pair, trades.candles.interrupt(since, NOT_RUN, known_at, MissingKind.FEED_GAP))

    def stop(self) -> None:
        """Mark what comes from now on as not seen."""
        for pair, trades in self._trades.items():
            if trades.subscription is not None:
                self._interrupt(pair, NOT_RUN, MissingKind.FEED_GAP)

    def _flush(self, pair: Pair) -> None:
        """Hand the trades that came since to the candles, all in one go."""
        if received := self._received[pair]:
            self._received[pair] = []
            self._waiting -= len(received)
            self._apply(pair, self._trades[pair].candles.add(received, self._known_at()))

    def _interrupt(self, pair: Pair, reason: str, kind: MissingKind) -> None:
        trades = self._trades[pair]
        self._flush(pair)
        known_at = self._known_at()
        since = trades.certain or known_at
        trades.subscription = trades.asked = trades.certain = None
        self._apply(pair, trades.candles.interrupt(since, reason, known_at, kind))

    def _apply(self, pair: Pair, built: Built, backfilled: bool = False) -> None:
        known_at = self._known_at()
        self._publish(trade_message(self._origin, each, known_at, backfilled) for each in built.trades)
        self._publish(candle_message(each) for each in built.candles)
        self._publish(restatement_message(each) for each in built.restatements)
        for candle in [*built.candles, *(each.after for each in built.restatements)]:
            self._comparisons[pair].close(candle)
        for candle in built.candles:
            self._metrics.candles.labels(str(pair), candle.timeframe.value).inc()
        for restatement in built.restatements:
            self._metrics.restatements.labels(str(pair)).inc()
            before, after = restatement.before, restatement.after
            text = f"{pair} {after.timeframe.value} of {after.open_time:%Y-%m-%d %H:%M}"
            change = (
                f"close {before.close:g} to {after.close:g}, volume {before.volume:g} to {after.volume:g}"
            )
            self.alert("restatement", WARNING, f"{text} is restated from {after.basis.value}: {change}", pair)
        self._note_gaps(pair, built, known_at)
        if built.trades or built.candles or built.restatements or built.gaps or built.repaired:
            self._changed.add(pair)

    def _note_gaps(self, pair: Pair, built: Built, known_at: datetime) -> None:
        for gap in built.gaps:
            self._batch.open_gap(gap)
        for gap in built.repaired:
            self._batch.close_gap(replace(gap, repaired_at=known_at))
        if built.repaired:
            self._metrics.gaps_repaired.labels(str(pair)).inc(len(built.repaired))
        known = self._gaps[pair]
        for gap in built.gaps:
            if gap_key(gap) not in known:
                self._metrics.gaps_opened.labels(str(pair)).inc()
                text = f"{pair}: trades since {gap.since:%Y-%m-%d %H:%M:%S} may be missing: {gap.reason}"
                self.alert("gap", WARNING, text, pair)
        if built.gaps or built.repaired:
            open_gaps = self._trades[pair].candles.gaps
            self._gaps[pair] = set(map(gap_key, open_gaps))
            self._metrics.gaps_open.labels(str(pair)).set(len(open_gaps))

    def _publish(self, messages: Iterable[BusMessage]) -> None:
        encoded = [encode(each) for each in messages]
        if encoded:
            self._touch()
            self._batch.messages += encoded

    def _touch(self) -> None:
        if self._batch.oldest is None:
            self._batch.oldest = self._monotonic()

    # --- events one by one

    def _refuse(self, trade: Trade) -> None:
        """Leave a trade out that cannot have happened yet: it would prove all the time until then to be quiet.

        Its id is missing then, and the venue's history says what was traded.
        """
        self._metrics.unreadable.labels(Channel.TRADE.value).inc()
        text = f"{trade.pair}: trade {trade.trade_id} is dated {trade.at:%Y-%m-%d %H:%M:%S}, which is still to come"
        self.alert(
            "future_trade", ERROR, f"{text}; it is left out. Is this machine's clock right?", trade.pair
        )

    def _record_ticker(self, ticker: Ticker) -> None:
        """Publish a ticker that says something new."""
        before = self._tickers.get(ticker.pair)
        if before is None or _values(before) != _values(ticker):
            self._tickers[ticker.pair] = ticker
            self._publish([ticker_message(self._origin, ticker, self._known_at())])

    def _set_status(self, status: str) -> None:
        was_open = self.is_open
        self._status = status
        if was_open and not self.is_open:
            self.alert("venue", WARNING, f"{self._origin} is not open: {status}")
            for pair, trades in self._trades.items():
                if trades.subscription is not None:
                    self._interrupt(pair, f"the venue says {status}", MissingKind.MAINTENANCE)
        elif self.is_open and not was_open:
            self.alert("venue", INFO, f"{self._origin} is open again: {status}")

    def _note_interruption(self, event: Interrupted) -> None:
        pair = event.pair
        self._metrics.interruptions.labels(event.channel.value, str(pair or "")).inc()
        if event.channel is Channel.TRADE and pair is not None:
            self._reasons[pair] = event.reason
        if event.channel is Channel.BOOK and pair is not None and "checksum" in event.reason:
            self._metrics.checksum_failures.labels(str(pair)).inc()
            self.alert("checksum", WARNING, f"{pair}: the order book was dropped: {event.reason}", pair)
        elif "silent" in event.reason:
            self.alert("silence", WARNING, f"{event.channel.value} {pair or ''}: {event.reason}", pair)

    def _note_listing(self, instrument: Instrument) -> None:
        """Alert where a pair of ours is traded otherwise than before; the view of the pair still has the old status."""
        pair, status = instrument.pair, instrument.status
        if pair not in self._trades or self.views[pair].listed in (None, status.value):
            return
        severity = INFO if status is PairStatus.ONLINE else WARNING
        text = f"{self._origin} lists {pair} as {status.value}, {self.views[pair].listed} before"
        self.alert("listing", severity, text, pair)

    def _note_refusal(self, event: SubscriptionRefused) -> None:
        self._metrics.refused.labels(event.channel.value, str(event.pair or "")).inc()
        what = f"{event.channel.value} of {event.pair}" if event.pair else event.channel.value
        text = f"{self._origin} does not give {what}: {event.reason}; it is asked for again, the others go on"
        self.alert("refused", ERROR, text, event.pair)

    def _known_at(self) -> datetime:
        return self._clock.now()


def _values(ticker: Ticker) -> tuple[float | None, ...]:
    return ticker.bid, ticker.bid_quantity, ticker.ask, ticker.ask_quantity, ticker.last, ticker.volume
