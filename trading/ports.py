"""Protocols of the stores, sources, venues and bus that the system uses. Times are UTC; months are their first day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.market import Instrument, Pair
from trading.orders import Fill, Order, OrderIntent
from trading.portfolio import Position
from trading.risk import Halt, Resume


class TableStore(Protocol):
    """One table of rows with `open_time` and `close_time`, cut into pair x month partitions.

    `write` replaces a partition as a whole and is atomic: a reader or a killed writer never leaves half of one.
    """

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        """Replace one month. Every open_time lies in that month and is above the one before (InvalidCandles)."""

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        """Read one month, sorted by open_time. NotStored when it was never written (an empty month was)."""

    def months(self, pair: Pair) -> list[date]:
        """List the months that were written, ascending; empty when none."""

    def between(
        self, pair: Pair, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Read rows with start <= open_time < end, sorted. NotStored when no month of the pair was written.

        `columns`: those that are wanted, all without; an unknown one is no good version of the table.
        """

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        """Read at most `rows` rows, the newest with close_time <= until, sorted. NotStored as above."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that a venue would trade at, and when."""

    price: float
    time: datetime


class CandleSource(Protocol):
    """A source of candles: imported files, a simulator, a venue.

    A table from it has CANDLE_SCHEMA, is sorted, has no duplicates, and holds only closed candles.
    """

    @property
    def origin(self) -> str:
        """The venue's name, or `simulated`; written into every candle."""

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        """Return first open time and last close time that `candles` can give. NotStored when the pair is unknown."""

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """Return closed candles with start <= open_time < end; may be empty inside the span."""

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        """Return the first price at or after `time`, as the venue would see it; None when it is not there yet.

        The venue alone may ask this: it can lie beyond what `candles` gives to everybody else.
        """


class Journal(Protocol):
    """Decisions, intents, orders, fills and balances of accounts. Every method is one transaction."""

    def open_account(self, account: str, balances: Mapping[str, Decimal], at: datetime) -> None:
        """Enter the opening balances once; a second call with the same account changes nothing."""

    def balances(self, account: str, until: datetime | None = None) -> dict[str, Decimal]:
        """Sum all ledger entries per asset (entered at or before `until`). NotStored for an unknown account."""

    def record_decision(self, receipt: Mapping[str, Any], intent: OrderIntent | None) -> bool:
        """Commit a decision together with its intent. False, changing nothing, when the id is already there.

        `receipt` carries at least `decision_id`, `account`, `pair`, `decided_at`, `action`, `confidence`, `opinions`.
        """

    def decision(self, decision_id: str) -> dict[str, Any]:
        """Return the receipt. An unambiguous prefix of eight characters or more is enough. NotStored otherwise."""

    def decisions(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        """List receipts, newest first."""

    def intent(self, decision_id: str) -> OrderIntent | None:
        """Return the decision's intent, None when it asked for no order."""

    def unsettled(self, account: str) -> list[OrderIntent]:
        """List intents whose order is neither filled nor rejected, oldest first."""

    def intents_since(self, account: str, since: datetime) -> int:
        """Count the intents created after `since`."""

    def record_order(self, order: Order, fills: Sequence[Fill]) -> None:
        """Commit what the venue reported: order state, fills, ledger entries and the position they lead to.

        Repeating a fill id changes nothing. A balance that would fall below zero raises InvalidValue and nothing
        is stored.
        """

    def order(self, intent_id: str) -> Order | None:
        """Return the order's newest state, None while the venue has reported nothing."""

    def fills(self, account: str) -> list[Fill]:
        """List all fills, oldest first."""

    def position(self, account: str, pair: Pair) -> Position | None:
        """Return the open position, None without one."""

    def positions(self, account: str) -> list[Position]:
        """List all open positions."""

    def opened_at(self, account: str) -> datetime:
        """Return when the account opened. NotStored for an unknown account."""

    def save_snapshot(self, account: str, at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Store the portfolio at one moment, replacing an earlier snapshot of that moment."""

    def snapshots(self, account: str) -> list[dict[str, Any]]:
        """List the newest portfolio snapshot of each UTC day, oldest first, each with `day`, `equity`, `balances`."""

    def snapshots_since(self, account: str, since: datetime) -> list[dict[str, Any]]:
        """List every portfolio snapshot of `since` or later, oldest first, as `snapshots` does."""

    def raise_peak(self, account: str, equity: Decimal) -> Decimal:
        """Return the highest equity ever passed here since the account opened or was resumed, this one included.

        InvalidValue for an equity that is not a number.
        """

    def peak(self, account: str) -> Decimal | None:
        """Return what `raise_peak` last returned, or the equity at a later resume; None before either."""

    def begin_halts(self, account: str, halts: Sequence[Halt]) -> None:
        """Commit halts that begin. One already stored by kind and beginning, or a second pause, changes nothing."""

    def halts(self, account: str) -> list[Halt]:
        """List all halts there ever were, oldest first."""

    def resume(self, account: str, resume: Resume, equity: Decimal) -> Halt:
        """End the account's pause and make `equity` its peak, whatever it was: drawdowns count from it on.

        Raises NotStored when the account is not paused, InvalidValue for an equity that is not a number.
        """


class Venue(Protocol):
    """An exchange, real or on paper. Placing is idempotent by intent id."""

    def instrument(self, pair: Pair) -> Instrument:
        """Return how the pair is traded. NotStored when the venue does not trade it."""

    def place(self, intent: OrderIntent) -> Order:
        """Look the intent up first, then place it if it is new; the order is in the journal before this returns."""

    def settle(self, account: str) -> list[Order]:
        """Ask about every unsettled intent of the account, placing those that never reached the venue."""


class NewsStore(Protocol):
    """Articles, their vectors and their sentiment. `known_at` decides what a decision at some time may see."""

    def put_articles(self, articles: pl.DataFrame) -> int:
        """Insert by `article_id` (ARTICLE_SCHEMA); known ids are left alone. Returns how many were new."""

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Read articles with start <= known_at < end, by known_at; empty when none."""

    def put_embeddings(
        self, model: str, article_ids: Sequence[str], vectors: npt.NDArray[np.float32]
    ) -> None:
        """Store vectors of shape (n, dimensions), one per article; replaces those of the same model."""

    def embedded(self, model: str, article_ids: Sequence[str]) -> set[str]:
        """Return which of these already have a vector of `model`."""

    def nearest(
        self, model: str, vector: npt.NDArray[np.float32], count: int, known_before: datetime
    ) -> pl.DataFrame:
        """Return articles known strictly before, nearest first, with a `distance` column (cosine)."""

    def put_sentiment(self, rows: pl.DataFrame) -> None:
        """Store one row per article, asset and model (SENTIMENT_SCHEMA); replaces those of the same key."""

    def sentiment(self, asset: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Read sentiment rows with start <= known_at < end, by known_at; empty when none."""


class PromotionLog(Protocol):
    """The policy that trades each pair, and every verdict of the gate that led there."""

    def record(
        self, pair: Pair, policy_id: str, promoted: bool, evidence: Mapping[str, Any], at: datetime
    ) -> None:
        """Commit one verdict."""

    def champion(self, pair: Pair, until: datetime | None = None) -> str | None:
        """Return the policy id promoted last, on evidence known by `until`; None while none ever passed the gate."""

    def history(self, pair: Pair) -> list[dict[str, Any]]:
        """List verdicts, newest first: `policy_id`, `promoted`, `evidence`, `at`."""


class PerformanceStore(Protocol):
    """Track records of one dataset: one row per day, model, pair and mode."""

    def replace_day(self, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace everything stored for one day.

        A row has `model`, `pair`, `mode`, `candles`, `votes`, `hit_rate`, `mean_return`, `pnl` and `cost_usd`
        (hit rate and mean return None without a vote); what else it has must be plain JSON values.
        """

    def read(self, start: date, end: date) -> list[dict[str, Any]]:
        """Read the rows with start <= day < end, each with its `day`, by day, pair, model and mode; empty when none."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the bus; offsets rise in commit order."""

    offset: int
    topic: str
    key: str
    payload: dict[str, Any]
    at: datetime


class Bus(Protocol):
    """An append-only log that readers follow with their own offset."""

    def publish(self, topic: str, key: str, payload: Mapping[str, Any]) -> int:
        """Append; returns the offset once it is durable."""

    def read(self, topic: str, after: int, limit: int = 1000) -> list[Event]:
        """Return events with offset above `after`, in order. No event ever appears below one that was already read."""

    def newest(self, topic: str, key: str) -> Event | None:
        """Return the newest event of the key, None without one."""


@dataclass(frozen=True, slots=True)
class FailureNote:
    """A run that failed, for a person to read."""

    run_id: str
    job: str
    partition: str  # a key, or "first to last"; empty where there is none
    reason: str
    at: datetime


class FailureLog(Protocol):
    """Notes of runs that failed; the newest are kept."""

    def add(self, note: FailureNote) -> None:
        """Note a failed run; a second note of the same run changes nothing."""

    def newest(self, count: int) -> list[FailureNote]:
        """List notes, newest first."""


ARTICLE_SCHEMA = pl.Schema(
    {
        "article_id": pl.String(),  # hash of source, published_at, title and text
        "published_at": pl.Datetime("us", "UTC"),
        # the next midnight when the source gives a day without a clock time
        "known_at": pl.Datetime("us", "UTC"),
        "source": pl.String(),
        "title": pl.String(),  # the first sentence when the source has no title
        "text": pl.String(),
        "url": pl.String(),  # empty when the source has none
    }
)

SENTIMENT_SCHEMA = pl.Schema(
    {
        "article_id": pl.String(),
        "asset": pl.String(),  # BTC, XRP ...
        "known_at": pl.Datetime("us", "UTC"),
        "score": pl.Float64(),  # -1 .. 1
        "confidence": pl.Float64(),  # 0 .. 1
        "model": pl.String(),
        "prompt_hash": pl.String(),  # empty where no prompt exists
        "cost_usd": pl.Float64(),
    }
)
