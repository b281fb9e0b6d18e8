import datetime as dt
from dataclasses import replace

import pytest
from psycopg import Rollback

from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryGaps, MemoryMarketData
from trading.closed_candles import Basis, ClosedCandle
from trading.feed_gaps import FeedGap, GapState, MissingKind
from trading.market import Pair, Timeframe
from trading.missing_candles import unrepaired_share
from trading.ports import GapLedger, MarketData
from trading.stores.postgres import Database, PostgresGaps, PostgresMarketData
from trading.stores.postgres.gaps import close_gaps, open_gaps

ORIGIN = "kraken"
BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "BTC")
M1 = Timeframe.M1
T0 = dt.datetime(2026, 1, 31, 23, 50, tzinfo=dt.UTC)  # a month ends ten minutes later
MINUTE, SECOND = dt.timedelta(minutes=1), dt.timedelta(seconds=1)
NO_TRADE, FEED_GAP, MAINTENANCE = MissingKind.NO_TRADE, MissingKind.FEED_GAP, MissingKind.MAINTENANCE


def gap(since: float, until: float | None, after_id: int | None = 7, **others: object) -> FeedGap:
    """A gap between two moments in minutes after T0."""
    made = FeedGap(
        origin=ORIGIN, pair=BTC, since=T0 + since * MINUTE, until=None if until is None else T0 + until * MINUTE,
        after_id=after_id, before_id=None, kind=FEED_GAP, reason="no frame for 10 seconds", found_at=T0,
    )  # fmt: skip
    return replace(made, **others)


def candle(minute: int, trades: int | None = 1, late: float = 1.0) -> ClosedCandle:
    opens = T0 + minute * MINUTE
    return ClosedCandle(
        origin=ORIGIN, pair=BTC, timeframe=M1, open_time=opens, open=9.0, high=9.0, low=9.0, close=9.0,
        volume=1.0 if trades else 0.0, trades=trades, first_trade_id=None, last_trade_id=None, basis=Basis.TRADES,
        known_at=opens + MINUTE + late * SECOND,
    )  # fmt: skip


class GapLedgerContract:
    """Every ledger of gaps keeps these promises."""

    @pytest.fixture
    def market_data(self) -> MarketData:
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, market_data: MarketData) -> GapLedger:
        raise NotImplementedError

    def only(self, ledger: GapLedger) -> FeedGap:
        (found,) = ledger.gaps(ORIGIN, BTC, T0, T0 + 60 * MINUTE)
        return found

    def missing(self, ledger: GapLedger, count: int = 6) -> list[tuple[int, int, MissingKind, bool]]:
        """The missing stretches as minutes after T0."""
        found = ledger.missing(ORIGIN, BTC, M1, T0, T0 + count * MINUTE)
        return [
            ((each.since - T0) // MINUTE, (each.until - T0) // MINUTE, each.kind, each.repaired)
            for each in found
        ]

    def test_a_gap_comes_back_as_it_was_noted(self, ledger: GapLedger) -> None:
        noted = gap(1.25, 3, before_id=12, kind=MAINTENANCE)
        ledger.open([noted])
        found = self.only(ledger)
        assert found == replace(noted, gap_id=found.gap_id)
        assert found.gap_id

    def test_a_gap_that_lasts_is_one_gap_when_it_ends(self, ledger: GapLedger) -> None:
        ledger.open([gap(1, None)])
        ledger.open([gap(1, 4, before_id=9)])
        found = self.only(ledger)
        assert (found.until, found.before_id) == (T0 + 4 * MINUTE, 9)

    def test_a_gap_without_ids_is_noted_once(self, ledger: GapLedger) -> None:
        ledger.open([gap(1, None, after_id=None)])
        ledger.open([gap(1, 2, after_id=None)])
        assert self.only(ledger).until == T0 + 2 * MINUTE

    def test_gaps_of_one_moment_but_other_ids_or_pairs_are_apart(self, ledger: GapLedger) -> None:
        ledger.open([gap(1, 2, after_id=1), gap(1, 2, after_id=2), gap(1, 2, after_id=1, pair=XRP)])
        assert len(ledger.gaps(ORIGIN, BTC, T0, T0 + 9 * MINUTE)) == 2
        assert len(ledger.gaps(ORIGIN, XRP, T0, T0 + 9 * MINUTE)) == 1
        assert ledger.gaps("sandbox", BTC, T0, T0 + 9 * MINUTE) == []

    def test_the_oldest_open_gap_is_repaired_first(self, ledger: GapLedger) -> None:
        ledger.open([gap(5, 6), gap(1, 2), gap(3, None)])
        found = ledger.wanting_repair(ORIGIN, T0 + 9 * MINUTE, limit=2)
        assert [(each.since - T0) // MINUTE for each in found] == [1, 3]

    def test_a_failed_repair_waits_for_its_next_attempt(self, ledger: GapLedger) -> None:
        ledger.open([gap(1, 2)])
        due = T0 + 10 * MINUTE
        ledger.failed(self.only(ledger), "kraken does not answer", due)
        assert ledger.wanting_repair(ORIGIN, due - SECOND) == []
        (found,) = ledger.wanting_repair(ORIGIN, due)
        assert (found.attempts, found.last_error, found.next_attempt_at) == (1, "kraken does not answer", due)

    def test_news_of_an_open_gap_do_not_hurry_its_repair(self, ledger: GapLedger) -> None:
        ledger.open([gap(1, None)])
        ledger.failed(self.only(ledger), "", T0 + 10 * MINUTE)
        ledger.open([gap(1, 2)])
        assert ledger.wanting_repair(ORIGIN, T0 + 9 * MINUTE) == []

    def test_a_repaired_gap_is_kept_and_wants_nothing(self, ledger: GapLedger) -> None:
        ledger.open([gap(1, None)])
        ledger.repaired(gap(1, 2, before_id=11), T0 + 5 * MINUTE)
        found = self.only(ledger)
        assert (found.state, found.repaired_at) == (GapState.REPAIRED, T0 + 5 * MINUTE)
        assert (found.until, found.before_id) == (T0 + 2 * MINUTE, 11)
        assert ledger.wanting_repair(ORIGIN, T0 + 9 * MINUTE) == []
        ledger.failed(found, "late", T0)
        assert self.only(ledger).attempts == 0

    def test_a_repaired_gap_that_is_found_again_is_open_again(self, ledger: GapLedger) -> None:
        ledger.open([gap(1, 2)])
        ledger.repaired(gap(1, 2), T0 + 5 * MINUTE)
        ledger.open([gap(1, 3)])
        found = self.only(ledger)
        assert (found.state, found.repaired_at, found.until) == (GapState.OPEN, None, T0 + 3 * MINUTE)

    def test_time_that_nobody_followed_is_a_feed_gap_never_a_quiet_market(self, ledger: GapLedger) -> None:
        assert self.missing(ledger) == [(0, 6, FEED_GAP, False)]

    def test_a_minute_without_a_trade_is_one_only_with_its_candle(
        self, ledger: GapLedger, market_data: MarketData
    ) -> None:
        market_data.store([candle(0), candle(1, trades=0), candle(3), candle(4, trades=None), candle(5)])
        assert self.missing(ledger) == [(1, 2, NO_TRADE, True), (2, 3, FEED_GAP, False)]

    def test_the_newest_revision_of_a_candle_counts(self, ledger: GapLedger, market_data: MarketData) -> None:
        market_data.store([candle(minute) for minute in range(6) if minute != 2] + [candle(2, trades=0)])
        market_data.store([candle(2, late=90)])
        assert self.missing(ledger) == []

    def test_a_stretch_in_which_the_venue_was_shut_is_maintenance(
        self, ledger: GapLedger, market_data: MarketData
    ) -> None:
        market_data.store([candle(0), candle(1, trades=0), candle(2, trades=0), candle(5)])
        ledger.open([gap(2.5, 4.5, kind=MAINTENANCE)])
        assert self.missing(ledger) == [(1, 2, NO_TRADE, True), (2, 5, MAINTENANCE, False)]
        ledger.repaired(gap(2.5, 4.5), T0 + 9 * MINUTE)
        assert self.missing(ledger) == [
            (1, 2, NO_TRADE, True),
            (2, 4, MAINTENANCE, True),
            (4, 5, MAINTENANCE, False),  # only a part of it is proven, and it has no candle
        ]

    def test_a_gap_that_lasts_reaches_to_the_end(self, ledger: GapLedger, market_data: MarketData) -> None:
        market_data.store([candle(0), candle(1, trades=0), candle(2, trades=0)])
        ledger.open([gap(2.1, None)])
        assert self.missing(ledger) == [(1, 2, NO_TRADE, True), (2, 6, FEED_GAP, False)]

    def test_a_repaired_gap_without_a_candle_is_proven_although_it_has_no_price(
        self, ledger: GapLedger
    ) -> None:
        ledger.open([gap(0, 3)])
        ledger.repaired(gap(0, 3), T0 + 9 * MINUTE)
        assert self.missing(ledger, 4) == [(0, 3, FEED_GAP, True), (3, 4, FEED_GAP, False)]

    def test_every_candle_of_the_grid_has_one_reason(
        self, ledger: GapLedger, market_data: MarketData
    ) -> None:
        market_data.store([candle(0), candle(4, trades=0), candle(9)])
        ledger.open([gap(1, 3), gap(2, 5, after_id=8, kind=MAINTENANCE), gap(6, None, after_id=9)])
        found = self.missing(ledger, 10)
        covered = [minute for since, until, _, _ in found for minute in range(since, until)]
        assert covered == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_the_unrepaired_share_counts_what_is_not_known(
        self, ledger: GapLedger, market_data: MarketData
    ) -> None:
        market_data.store([candle(0), candle(1, trades=0)])
        ledger.open([gap(2, 3.9)])
        end = T0 + 8 * MINUTE
        assert unrepaired_share(ledger.missing(ORIGIN, BTC, M1, T0, end), T0, end) == pytest.approx(6 / 8)
        assert unrepaired_share([], T0, end) == unrepaired_share([], T0, T0) == 0

    def test_an_interval_off_the_grid_has_the_candles_that_open_in_it(self, ledger: GapLedger) -> None:
        found = ledger.missing(ORIGIN, BTC, M1, T0 + SECOND, T0 + 2 * MINUTE + SECOND)
        assert [(each.since, each.until) for each in found] == [(T0 + MINUTE, T0 + 3 * MINUTE)]
        assert ledger.missing(ORIGIN, BTC, M1, T0 + SECOND, T0 + 2 * SECOND) == []


class TestMemoryGaps(GapLedgerContract):
    @pytest.fixture
    def market_data(self) -> MarketData:
        return MemoryMarketData(MemoryEventLog(), ORIGIN, "kraken-1m", M1)

    @pytest.fixture
    def ledger(self, market_data: MarketData) -> GapLedger:
        return MemoryGaps(market_data)


class TestPostgresGaps(GapLedgerContract):
    @pytest.fixture
    def market_data(self, dsn: str) -> MarketData:
        return PostgresMarketData(dsn, ORIGIN, "kraken-1m", M1)

    @pytest.fixture
    def ledger(self, dsn: str) -> GapLedger:
        return PostgresGaps(dsn)

    def test_gaps_are_noted_in_the_transaction_of_what_they_belong_to(
        self, dsn: str, ledger: GapLedger
    ) -> None:
        database = Database(dsn)
        with database.transaction() as connection:
            open_gaps(connection, [gap(1, 2), gap(3, 4)])
            close_gaps(connection, [gap(1, 2)], T0)
        with database.transaction() as connection:
            close_gaps(connection, [gap(3, 4)], T0)
            raise Rollback
        states = [each.state for each in ledger.gaps(ORIGIN, BTC, T0, T0 + 9 * MINUTE)]
        assert states == [GapState.REPAIRED, GapState.OPEN]
