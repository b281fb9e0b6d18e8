"""What a stream missed, read in pages from a venue's history that is not always ready, nor always complete."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from trading.errors import InvalidMessage, NotStored, VenueUnreachable
from trading.history.missed_trades import MissedTrades, NotYet
from trading.history.trade_pages import MAX_TRADES
from trading.market import Pair
from trading.venues.kraken.market_responses import TradeRow, TradesPage

BTC = Pair("BTC", "USDT")
T0 = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass
class Venue:
    """Kraken's Trades over rows that the test chose: later than the cursor, a thousand at most."""

    rows: list[TradeRow]
    now: datetime = T0 + 10_000 * SECOND
    hidden: int = 0  # of the newest trades, which only a call without a cursor shows

    def trades(self, pair: Pair, since: int | None, count: int = MAX_TRADES) -> TradesPage:
        if since is None:
            found = self.rows[-count:]
        else:
            shown = self.rows[: len(self.rows) - self.hidden]
            found = [row for row in shown if int(row.time * 10**9) > since][:count]
        last = int(found[-1].time * 10**9) if found else since or 0
        return TradesPage(found, last)


def row(number: int, seconds: float) -> TradeRow:
    time = Decimal(int(T0.timestamp())) + Decimal(str(seconds))
    return TradeRow(Decimal(100), Decimal(1), time, "b", "l", "", number)


def missed(venue: Venue) -> MissedTrades:
    return MissedTrades(venue, "kraken", lambda: venue.now)  # type: ignore[arg-type]


def test_several_pages_follow_each_other_without_a_hole_and_without_a_trade_twice() -> None:
    venue = Venue([row(number, number) for number in range(1, 2600)])
    since, until = T0 + 100 * SECOND, T0 + 2500 * SECOND
    pages = list(missed(venue).pages(BTC, since, until))
    assert len(pages) == 3
    assert [each.trade_id for page in pages for each in page.rows] == list(range(100, 2501))
    assert (pages[0].since, pages[-1].until) == (since, until)
    for before, after in pairwise(pages):
        assert after.since - before.until == timedelta(microseconds=1)


def test_more_trades_of_one_moment_than_a_page_has_are_an_error_and_no_silent_loss() -> None:
    venue = Venue([row(1, 1), *(row(number, 2) for number in range(2, 1500)), row(1500, 3)])
    with pytest.raises(InvalidMessage, match="does not move"):
        list(missed(venue).pages(BTC, T0 + 2 * SECOND, T0 + 3 * SECOND))


def test_what_the_venue_has_forgotten_is_said_after_what_there_is() -> None:
    venue = Venue([row(number, number) for number in range(50, 60)])
    pages = missed(venue).pages(BTC, T0, T0 + 55 * SECOND)
    page = next(pages)
    assert [each.trade_id for each in page.rows] == list(range(50, 56))
    assert page.since == T0 + 50 * SECOND
    with pytest.raises(NotStored, match="gives out no trades of BTC/USDT before 2026-03-01 00:00:50"):
        next(pages)


def test_a_time_that_the_history_has_not_reached_is_asked_for_again() -> None:
    venue = Venue([row(1, 1)], now=T0 + 10 * SECOND)
    with pytest.raises(NotYet):
        next(missed(venue).pages(BTC, T0, T0 + 10 * SECOND))
    venue.now += SECOND
    pages = list(missed(venue).pages(BTC, T0, T0 + 10 * SECOND))
    assert pages[-1].until == T0 + 10 * SECOND


def test_a_quiet_end_is_proven_by_the_newest_trades() -> None:
    venue = Venue([row(1, 1), row(2, 2)])
    pages = list(missed(venue).pages(BTC, T0, T0 + 100 * SECOND))
    assert [each.trade_id for page in pages for each in page.rows] == [1, 2]
    assert pages[-1].until == T0 + 100 * SECOND


def test_an_answer_that_ends_before_the_venues_newest_trade_proves_nothing() -> None:
    venue = Venue([row(number, number) for number in range(1, 4)], hidden=1)
    with pytest.raises(VenueUnreachable, match="yet it traded later"):
        list(missed(venue).pages(BTC, T0, T0 + 100 * SECOND))
