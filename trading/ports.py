"""Protocols of the stores, sources, venues and bus that the system uses. Times are UTC; months are their first day."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.market import Instrument, Pair
from trading.orders import Fill, Order, OrderChange, OrderIntent, OrderStatus, Side, WorkingOrder
from trading.portfolio import Position
from trading.risk import Halt, HaltKind, Resume


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


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send orders of an account, until it is given back, ends, or a newer holder has a higher number."""

    account: str
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change of one balance that no order of ours caused: a deposit, a withdrawal, a reward, a foreign trade."""

    account: str
    reference: str  # the venue's id of it, or a person's decision
    asset: str
    amount: Decimal
    cause: str
    at: datetime


class Journal(Protocol):
    """Decisions, orders, fills and balances of accounts. Every method is one transaction, or part of `exclusive`'s."""

    def exclusive(self, account: str) -> AbstractContextManager[None]:
        """Hold the account's row lock for the block, in one transaction: what is read in it stays true until it ends.

        The calls of this thread on this journal join the transaction; an error undoes all of them. Keep it short and
        away from the network. NotStored for an unknown account.
        """

    def open_account(self, account: str, balances: Mapping[str, Decimal], at: datetime) -> None:
        """Enter the opening balances once; a second call with the same account changes nothing."""

    def balances(self, account: str, until: datetime | None = None) -> dict[str, Decimal]:
        """Sum all ledger entries per asset (entered at or before `until`); below zero where fills were so.

        NotStored for an unknown account.
        """

    def record_decision(
        self, receipt: Mapping[str, Any], intent: OrderIntent | None, cancels: Sequence[str] = ()
    ) -> bool:
        """Commit a decision together with its intent, and ask for the cancellation of the orders `cancels`.

        False, changing nothing, when the id is already there. The order begins as INTENDED. An order to cancel that
        never left becomes CANCELLED at once. InvalidValue for a second live exit of the account and pair.
        `receipt` carries at least `decision_id`, `account`, `pair`, `decided_at`, `action`, `confidence`, `opinions`.
        """

    def decision(self, decision_id: str) -> dict[str, Any]:
        """Return the receipt. An unambiguous prefix of eight characters or more is enough. NotStored otherwise."""

    def decisions(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        """List receipts, newest first."""

    def intent(self, decision_id: str) -> OrderIntent | None:
        """Return the decision's own intent (never one of the stops that followed), None when it asked for no order."""

    def intents_since(self, account: str, since: datetime) -> int:
        """Count the entries and exits created after `since`."""

    # --- the order ledger

    def add_order(self, intent: OrderIntent, order: Order, cause: str) -> bool:
        """Commit an order that no decision asked for: INTENDED, or as the venue placed it. False when it is known.

        InvalidValue for a second live exit of the account and pair.
        """

    def working_orders(self, account: str) -> list[WorkingOrder]:
        """List every order without a final state, oldest first."""

    def order(self, intent_id: str) -> Order | None:
        """Return the order's state; None for an unknown intent."""

    def working_order(self, intent_id: str) -> WorkingOrder | None:
        """Return intent and state, whether final or not; None for an unknown intent."""

    def order_changes(self, intent_id: str) -> list[OrderChange]:
        """List every change of the order's state with its cause, oldest first; the first is its beginning."""

    def mark_sent(
        self, intent_id: str, lease: Lease, at: datetime, sent_at: datetime, void_after: datetime
    ) -> Order:
        """Commit that the order is about to be sent: INTENDED becomes SENT and its attempt one more.

        Under the account's row lock, in one transaction. Returns the order as it then is: only one that is SENT with
        the attempt after the one that the caller knew may be sent, by this caller, once. An entry becomes CANCELLED
        instead while a halt is active at `at` or its cancellation was asked for. InvalidValue when the account's open
        reducing orders of the pair (SENT, UNKNOWN or live) and this one would together be larger than the position, or
        on its wrong side; the order stays INTENDED. LeaseLost when the lease is not the account's newest any more.
        """

    def record_order(self, order: Order, fills: Sequence[Fill], cause: str = "") -> Order:
        """Commit what is known of an order: its state, fills, ledger entries and the position they lead to.

        Fills are facts: new ones are booked whatever state the order is in and whatever they do to a balance; `filled`
        is counted from them. A reducing fill never opens or turns a position: what it has too much changes balances
        alone. A known fill id changes nothing. A state that cannot follow the present one (TRANSITIONS) or comes from
        an older attempt is ignored, so that answers may come late and in any order. Returns the order as it then is.
        InvalidValue for a fill of another order, or an amount that no venue could report.
        """

    def request_cancel(self, intent_id: str, reason: str, at: datetime) -> Order:
        """Note that the order must leave the venue. One that is INTENDED becomes CANCELLED at once."""

    def record_amend(self, intent_id: str, lease: Lease, trigger: Decimal, at: datetime) -> Order:
        """Commit the new trigger of a resting stop before the venue is asked. LeaseLost as in `mark_sent`."""

    def acquire_lease(self, account: str, holder: str, seconds: float) -> Lease | None:
        """Become the one who sends for the account; None while another holds it. Counted by the database's clock.

        Each holder gets a higher fencing number. The same holder asking again gets a new number too.
        """

    def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Hold it for longer; False when it is lost."""

    def release_lease(self, lease: Lease) -> None:
        """Give it back; nothing happens when it was lost."""

    # --- money and positions

    def fills(self, account: str) -> list[Fill]:
        """List all fills, oldest first."""

    def position(self, account: str, pair: Pair) -> Position | None:
        """Return the open position, None without one."""

    def positions(self, account: str) -> list[Position]:
        """List all open positions."""

    def update_protection(self, position: Position) -> bool:
        """Store the levels, best price, check time and exit reason of an open position, not its quantity or price.

        False when the position is another one by now (`opened_at` or quantity differ), or gone.
        """

    def record_adjustment(self, adjustment: Adjustment) -> bool:
        """Book a change of one balance that no order of ours caused; False when its reference is known."""

    def adjustments(self, account: str) -> list[Adjustment]:
        """List them, oldest first."""

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
        """Commit halts that begin. One known by kind and beginning, or a second pause of a kind, changes nothing."""

    def halts(self, account: str) -> list[Halt]:
        """List all halts there ever were, oldest first."""

    def resume(
        self, account: str, resume: Resume, equity: Decimal, kinds: Collection[HaltKind] | None = None
    ) -> list[Halt]:
        """End the account's pauses (of `kinds`; None: all) and make `equity` its peak if a drawdown is among them.

        Raises NotStored when the account is not paused so, InvalidValue for an equity that is not a number.
        """


@dataclass(frozen=True, slots=True)
class VenueReport:
    """What the venue says of one order now: every fill that it lists, and its state.

    A final state comes only when the fills add up to what was executed.
    """

    venue_order_id: str
    status: OrderStatus  # one of ACKNOWLEDGED, PARTLY_FILLED and the final ones
    reason: str
    at: datetime  # of that state
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order in the venue's own books, whoever placed it."""

    venue_order_id: str
    client_order_id: str  # empty where it has none
    pair: Pair
    side: Side
    quantity: Decimal
    filled: Decimal
    trigger: Decimal | None  # of a stop
    at: datetime  # when it was placed
    parent_id: str = ""  # the venue's id of the order whose fill placed it


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One change of a balance in the venue's own books."""

    reference: str  # the venue's id of the entry
    asset: str
    amount: Decimal  # fee included
    kind: str  # trade, deposit, withdrawal, reward, transfer, ... in the venue's words
    at: datetime
    fill_id: str = ""  # of a trade
    venue_order_id: str = ""  # of a trade


@dataclass(frozen=True, slots=True)
class VenueBooks:
    """The account as the venue has it."""

    balances: Mapping[str, Decimal]  # what may be staked or earning keeps its suffix, such as BTC.F
    open_orders: tuple[VenueOrder, ...]
    entries: tuple[BookEntry, ...]  # oldest first
    at: datetime


class Venue(Protocol):
    """An exchange, real or on paper. It carries out single calls; what may be sent, and when, its caller knows.

    Errors say what happened: VenueRefused, NotStored: surely not done, and it never will be so. VenueUnreachable,
    RateLimited, NotAuthorised: surely not done now. OutcomeUnknown: it may have been done.
    """

    @property
    def name(self) -> str:
        """Return the venue and the key's fingerprint, as in `kraken-1a2b3c4d`, or `paper`."""

    def instrument(self, pair: Pair) -> Instrument:
        """Return how the pair is traded now. NotStored when the venue does not trade it."""

    def now(self) -> datetime:
        """Return a time that has passed at the venue, by its own clock."""

    def void_after(self) -> datetime:
        """Return until when an order that is sent now may be taken."""

    def never_taken_after(self, void_after: datetime) -> datetime:
        """Return from when on an order that the venue does not show was never taken."""

    def submit(self, intent: OrderIntent, void_after: datetime) -> str:
        """Send the order, once, and return the venue's id of it. An entry takes its stop with it, where it has one:

        from its first fill on, a stop over what is filled rests at the venue.
        """

    def cancel(self, working: WorkingOrder) -> None:
        """Ask for the order to leave; `reports` says what became of it. One that is gone already is no error."""

    def amend(self, working: WorkingOrder, trigger: Decimal) -> None:
        """Move the trigger of a resting stop. VenueRefused when it is not live any more."""

    def reports(
        self, working: Sequence[WorkingOrder], until: datetime | None = None
    ) -> dict[str, VenueReport]:
        """Ask about all of them at once; by intent id. One that is missing is not there, as far as the venue shows.

        An order whose venue id is not known is looked up by its client order id. `until`: a venue that has no clock of
        its own says what had happened by then.
        """

    def stops_of(self, entry: WorkingOrder) -> list[VenueOrder]:
        """List the stops that fills of the entry placed, live or not."""

    def books(self, since: datetime) -> VenueBooks:
        """Read balances, open orders, and everything that changed a balance since then."""


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
