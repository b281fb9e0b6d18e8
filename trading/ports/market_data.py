"""Protocols of what the stream records: candle revisions, feed gaps and the tape. Times are UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import polars as pl

from trading.closed_candles import ClosedCandle, Restatement
from trading.feed_gaps import FeedGap, MissingInterval
from trading.market import TIME, Pair, Timeframe


class MarketData(Protocol):
    """The operational store of closed candles: every revision of every candle, newest first at hand."""

    def store(self, candles: Sequence[ClosedCandle]) -> int:
        """Store revisions that are not stored yet, all or none; returns how many were new.

        A revision whose numbers equal the newest stored one is not new, whatever its known_at: delivered twice, it is
        stored once. `candle_closed` goes to the outbox in the same transaction: once for each candle with a trade, of
        the venue and timeframe that are decided on, that is newer than all before it. A restated or a repaired old
        candle is not announced: a decision belongs to a candle, and is not made of an old one.
        """

    def between(
        self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime, as_of: datetime | None = None
    ) -> pl.DataFrame:
        """Read CANDLE_SCHEMA and `trades`, sorted, with start <= open_time < end, as it was known at `as_of`.

        None: as it is known now. Candles without a trade are rows, too (trades = 0). Empty when nothing is stored.
        """

    def tail(
        self, pair: Pair, timeframe: Timeframe, until: datetime, rows: int, as_of: datetime | None = None
    ) -> pl.DataFrame:
        """Read the newest `rows` rows with close_time <= until that have a trade, otherwise as `between`."""

    def newest(self, pair: Pair, timeframe: Timeframe) -> ClosedCandle | None:
        """Return the newest revision of the newest candle, one without a trade included."""

    def restatements(
        self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime
    ) -> list[Restatement]:
        """Return every change of a candle with start <= open_time < end, oldest first."""


class GapLedger(Protocol):
    """What is missing, and the work list of repairs."""

    def open(self, gaps: Sequence[FeedGap]) -> None:
        """Note gaps; one that is noted already (origin, pair, since, after_id) stays one, with its newest `until`."""

    def wanting_repair(self, origin: str, at: datetime, limit: int = 10) -> list[FeedGap]:
        """Return open gaps whose next attempt is due, oldest first."""

    def failed(self, gap: FeedGap, error: str, next_attempt_at: datetime) -> None:
        """Note an attempt that did not repair it."""

    def repaired(self, gap: FeedGap, at: datetime) -> None:
        """Note that nothing of it is missing any more."""

    def gaps(self, origin: str, pair: Pair, start: datetime, end: datetime) -> list[FeedGap]:
        """Return all gaps that touch [start, end), oldest first."""

    def missing(
        self, origin: str, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime
    ) -> list[MissingInterval]:
        """Classify each stretch of the grid in [start, end) that has no candle with a trade."""


@dataclass(frozen=True, slots=True)
class SeenBook:
    """The best prices of an order book when the stream last saw it verified by its checksum."""

    bid: float
    ask: float
    at: datetime  # the venue's time
    seconds_ago: float  # by the clock of the database, when it was read

    def age_seconds(self, at: datetime) -> float:
        """Return its age at the account's time: by that clock or the database's, whichever says less.

        On a sandbox that stands still, or goes faster than time, only one of the two tells whether anybody watches.
        """
        by_venue = (at - self.at).total_seconds()
        return min(by_venue, self.seconds_ago) if by_venue >= 0 else self.seconds_ago


class TapeTable(StrEnum):
    """What the analytical store keeps of the stream."""

    TRADES = "trades"
    CANDLES = "candles"  # every revision
    TICKER = "ticker"
    BOOK = "book"  # samples of the verified order book


LEVELS = 10  # of each side in a book sample
_COMMON = {"origin": pl.String(), "pair": pl.String()}  # pair as its key, BTC-USDT
TAPE_SCHEMAS: dict[TapeTable, pl.Schema] = {
    TapeTable.TRADES: pl.Schema(
        {
            **_COMMON,
            "at": TIME,
            "trade_id": pl.Int64(),  # null where the venue has none
            "side": pl.String(),  # of the taker: buy, sell, or null
            "price": pl.Float64(),
            "quantity": pl.Float64(),
            "known_at": TIME,
        }
    ),
    TapeTable.CANDLES: pl.Schema(
        {
            **_COMMON,
            "timeframe": pl.String(),
            "open_time": TIME,
            "close_time": TIME,
            "open": pl.Float64(),
            "high": pl.Float64(),
            "low": pl.Float64(),
            "close": pl.Float64(),
            "volume": pl.Float64(),
            "trades": pl.Int64(),
            "first_trade_id": pl.Int64(),
            "last_trade_id": pl.Int64(),
            "basis": pl.String(),
            "known_at": TIME,
        }
    ),
    TapeTable.TICKER: pl.Schema(
        {
            **_COMMON,
            "at": TIME,
            "bid": pl.Float64(),
            "bid_quantity": pl.Float64(),
            "ask": pl.Float64(),
            "ask_quantity": pl.Float64(),
            "last": pl.Float64(),
            "volume": pl.Float64(),
            "known_at": TIME,
        }
    ),
    TapeTable.BOOK: pl.Schema(
        {
            **_COMMON,
            "at": TIME,  # the moment of the sample, on the grid of [stream] book_interval
            "bid_prices": pl.List(pl.Float64()),  # best first, at most LEVELS
            "bid_quantities": pl.List(pl.Float64()),
            "ask_prices": pl.List(pl.Float64()),
            "ask_quantities": pl.List(pl.Float64()),
            "changed_at": TIME,  # the venue's time of its newest change, null where the venue does not say
            "known_at": TIME,
        }
    ),
}
TAPE_KEYS: dict[TapeTable, tuple[str, ...]] = {  # rows with the same key are the same row
    TapeTable.TRADES: ("origin", "pair", "trade_id", "at", "price", "quantity", "side"),
    TapeTable.CANDLES: ("origin", "pair", "timeframe", "open_time", "known_at"),
    TapeTable.TICKER: ("origin", "pair", "at", "known_at"),
    TapeTable.BOOK: ("origin", "pair", "at"),
}


class Tape(Protocol):
    """The analytical store of what the stream wrote: append-only, each row once as it is read."""

    def append(self, table: TapeTable, rows: pl.DataFrame, batch: str) -> None:
        """Add rows of TAPE_SCHEMAS durably. `batch` names where they begin on the bus.

        A batch that is appended again, perhaps longer, after a crash takes the place of the first one; rows with the
        same TAPE_KEYS are one row to every reader. StoreUnreachable or UnusableHome when it cannot be written: then
        nothing of it counts.
        """

    def read(self, table: TapeTable, origin: str, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """Read the rows of [start, end) by `at` (candles: `open_time`), sorted by it and known_at, each once."""

    def rows(self, table: TapeTable, origin: str) -> int:
        """Count the stored rows, for people; rows that were delivered twice may count twice."""

    def newest(self, table: TapeTable, origin: str, pair: Pair) -> datetime | None:
        """Return the newest `at` (candles: `open_time`), None without a row."""

    def compact(self, before: datetime) -> None:
        """Make one file, or part, of each finished day before `before`: same rows, each once."""
