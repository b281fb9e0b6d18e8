import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from streaming.events import Trade
from streaming.recorder.repair import HOPELESS_PAUSE, TURN_SECONDS, RepairWorker
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryGaps, MemoryMarketData
from trading.errors import NotStored, VenueUnreachable
from trading.feed_gaps import FeedGap, MissingKind
from trading.history.missed_trades import ProvenTrades
from trading.market import EPOCH, Pair, Timeframe
from trading.venues.kraken.market_responses import TradeRow

BTC = Pair("BTC", "USDT")
T0 = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
Delivered = tuple[dt.datetime, dt.datetime, list[int | None]]


def row(number: int, second: float) -> TradeRow:
    at = Decimal(str((T0 - EPOCH).total_seconds() + second))
    return TradeRow(Decimal("9.5"), Decimal(1), at, "s", "m", "", number)


class History:
    """A venue's history that answers with these pages, or fails after them."""

    def __init__(self, *pages: ProvenTrades, error: Exception | None = None) -> None:
        self.pages_given, self.error, self.calls = pages, error, 0

    def pages(self, pair: Pair, since: dt.datetime, until: dt.datetime | None) -> Iterator[ProvenTrades]:
        self.calls += 1
        yield from self.pages_given
        if self.error:
            raise self.error


class Repair:
    def __init__(self, history: History | None) -> None:
        self.ledger = MemoryGaps(MemoryMarketData(MemoryEventLog(), "kraken", "kraken-1m", Timeframe.M1))
        self.now, self.seconds = T0 + 100 * SECOND, 0.0
        self.delivered: list[Delivered] = []
        self.worker = RepairWorker(
            "kraken", self.ledger, history, self.deliver, lambda: self.now, lambda: self.seconds
        )

    def deliver(self, gap: FeedGap, trades: Sequence[Trade], until: dt.datetime) -> None:
        self.delivered.append((gap.since, until, [trade.trade_id for trade in trades]))

    def open(self, until: dt.datetime | None = T0 + 20 * SECOND, since: dt.datetime = T0) -> None:
        gap = FeedGap("kraken", BTC, since, until, 1, None, MissingKind.FEED_GAP, "no frame", T0)
        self.ledger.open([gap])

    def gap(self) -> FeedGap:
        (gap,) = self.ledger.gaps("kraken", BTC, T0, T0 + 100 * SECOND)
        return gap


PAGES = (
    ProvenTrades(T0, T0 + 9 * SECOND, [row(2, 3), row(3, 9)]),
    ProvenTrades(T0 + 10 * SECOND, T0 + 20 * SECOND, [row(4, 12)]),
)


def test_each_page_is_handed_over_with_what_it_proves() -> None:
    repair = Repair(History(*PAGES))
    repair.open()
    assert repair.worker.run_once() == 1
    assert repair.delivered == [(T0, T0 + 9 * SECOND, [2, 3]), (T0 + 10 * SECOND, T0 + 20 * SECOND, [4])]


def test_a_gap_that_was_handed_over_is_not_read_again_at_once() -> None:
    history = History(*PAGES)
    repair = Repair(history)
    repair.open()
    assert [repair.worker.run_once(), repair.worker.run_once()] == [1, 0]
    repair.seconds += 31
    assert repair.worker.run_once() == 1
    assert history.calls == 2


def test_a_venue_that_does_not_answer_is_asked_ever_more_rarely() -> None:
    repair = Repair(History(PAGES[0], error=VenueUnreachable("kraken does not answer")))
    repair.open()
    pauses = []
    for _ in range(12):
        repair.worker.run_once()
        due = repair.gap().next_attempt_at
        assert due is not None
        pauses.append((due - repair.now).total_seconds())
        assert repair.worker.run_once() == 0
        repair.now = due
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]
    assert repair.gap().last_error == "kraken does not answer"
    assert repair.delivered[0] == (T0, T0 + 9 * SECOND, [2, 3])  # what was read is not lost


@pytest.mark.parametrize("history", [None, History(error=NotStored("gives out no trades before February"))])
def test_what_the_venue_does_not_give_out_stays_open_and_is_not_asked_for_all_the_time(
    history: History | None,
) -> None:
    repair = Repair(history)
    repair.open()
    assert repair.worker.run_once() == 0
    gap = repair.gap()
    assert "gives out no trades" in gap.last_error
    assert gap.next_attempt_at == repair.now + HOPELESS_PAUSE


def test_a_gap_that_lasts_is_read_once_it_is_a_minute_long() -> None:
    repair = Repair(History(*PAGES))
    repair.open(until=None, since=T0 + 50 * SECOND)
    assert repair.worker.run_once() == 0
    repair.now += 20 * SECOND
    assert repair.worker.run_once() == 1


def test_a_long_gap_holds_up_no_other_one() -> None:
    history = History(*[replace(PAGES[0], since=T0 + n * SECOND, until=T0 + n * SECOND) for n in range(50)])
    repair = Repair(history)

    def slow(gap: FeedGap, trades: Sequence[Trade], until: dt.datetime) -> None:
        repair.seconds += 1.0

    repair.worker = RepairWorker(
        "kraken", repair.ledger, history, slow, lambda: repair.now, lambda: repair.seconds
    )
    repair.open(until=T0 + 60 * SECOND)
    repair.open(since=T0 + 70 * SECOND, until=T0 + 71 * SECOND)
    assert repair.worker.run_once() == 2
    assert repair.seconds == 2 * TURN_SECONDS
