"""Protocol of the journal: decisions, orders, fills, balances and halts of accounts. Times are UTC."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from trading.market import Pair
from trading.orders import Fill, Order, OrderChange, OrderIntent, WorkingOrder
from trading.portfolio import Position
from trading.risk import Halt, HaltKind, Resume


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
    value: Decimal | None = None  # then, in the account's quote; None: no price was known


class FailureKind(StrEnum):
    """What is counted in a row, per account."""

    ERROR = "error"  # a decision that failed
    ANSWER = "answer"  # one that was made without the answer of an agent


@dataclass(frozen=True, slots=True)
class AccountBooks:
    """One account as it is now, read at once; balances also as they were at a moment and before its UTC day began."""

    balances: Mapping[str, Decimal]
    balances_then: Mapping[str, Decimal]  # entered at the moment or before; empty: it had not opened by then
    balances_before_day: Mapping[str, Decimal]  # entered before midnight; empty: it had not opened by then
    positions: tuple[Position, ...]
    working: tuple[WorkingOrder, ...]  # orders without a final state, oldest first
    adjustments: tuple[Adjustment, ...]  # oldest first
    snapshots: tuple[Mapping[str, Any], ...]  # the newest of each UTC day, oldest first
    peak: Decimal | None
    halts: tuple[Halt, ...]
    recent_orders: int  # entries, exits and conversions created after `orders_since`
    rejects: int = 0  # orders rejected since the venue took one, or since such rejects halted trading
    # Since ledger and venue agreed, or the account opened, by the store's own clock; None: no store has it.
    comparison_age: timedelta | None = None

    def position(self, pair: Pair) -> Position | None:
        """Return the open position of the pair."""
        return next((each for each in self.positions if each.pair == pair), None)


class Journal(Protocol):
    """Decisions, orders, fills and balances of accounts. Every method is one transaction, or part of `exclusive`'s."""

    def exclusive(self, account: str) -> AbstractContextManager[None]:
        """Hold the account's row lock for the block, in one transaction: what is read in it stays true until it ends.

        The calls of this thread on this journal join the transaction; an error undoes all of them. Keep it short and
        away from the network. NotStored for an unknown account; StoreUnreachable when another process does not let go
        of it within seconds, or when this one stood idle in it for so long that the server ended it.
        """

    def open_account(self, account: str, balances: Mapping[str, Decimal], at: datetime) -> None:
        """Enter the opening balances once; a second call with the same account changes nothing."""

    def balances(self, account: str, until: datetime | None = None) -> dict[str, Decimal]:
        """Sum all ledger entries per asset (entered at or before `until`); below zero where fills were so.

        NotStored for an unknown account.
        """

    def books(self, account: str, at: datetime, orders_since: datetime) -> AccountBooks:
        """Read all that values and limits an account at `at`, in one transaction. NotStored for an unknown account."""

    def record_decision(
        self, receipt: Mapping[str, Any], intent: OrderIntent | None, cancels: Sequence[str] = ()
    ) -> bool:
        """Commit a decision together with its intent, and ask for the cancellation of the orders `cancels`.

        False, changing nothing, when the id is already there. The order begins as INTENDED. An order to cancel that
        never left becomes CANCELLED at once. InvalidValue for a second live exit of the account and pair.
        One whose receipt says `shadow` is not published.
        `receipt` carries at least `decision_id`, `account`, `pair`, `decided_at`, `action`, `confidence`, `opinions`.
        """

    def decision(self, decision_id: str) -> dict[str, Any]:
        """Return the receipt. An unambiguous prefix of eight characters or more is enough. NotStored otherwise."""

    def decisions(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        """List receipts, newest first."""

    def decisions_since(self, account: str, since: datetime, until: datetime | None = None) -> list[str]:
        """List the ids of the decisions made at `since` or later, and before `until`, oldest first."""

    def store_inputs(self, contents: Mapping[str, bytes]) -> None:
        """Store what decisions read, each content under its SHA-256 in hexadecimal digits; known ones stay.

        InvalidValue for a content that is not what its digest says.
        """

    def inputs(self, digests: Collection[str]) -> dict[str, bytes]:
        """Return the stored contents with these digests; those that are not stored are left out."""

    def newest_decision(self, account: str, action: str) -> dict[str, Any] | None:
        """Return the newest receipt with that action; None without one."""

    def intent(self, decision_id: str) -> OrderIntent | None:
        """Return the decision's own intent (never one of the stops that followed), None when it asked for no order."""

    def intents_since(self, account: str, since: datetime) -> int:
        """Count the entries, exits and conversions created after `since`; stops do not count."""

    # --- the order ledger

    def add_order(self, intent: OrderIntent, order: Order, cause: str) -> bool:
        """Commit an order that no decision asked for: INTENDED, or as the venue placed it. False when it is known.

        InvalidValue for a second live exit of the account and pair, for one that begins as SENT or UNKNOWN, and for a
        `decision_id` that is not stored; it may be empty. `filled` counts from 0: pass fills to `record_order`.
        """

    def working_orders(self, account: str) -> list[WorkingOrder]:
        """List every order without a final state, oldest first."""

    def order(self, intent_id: str) -> Order | None:
        """Return the order's state; None for an unknown intent."""

    def working_order(self, intent_id: str) -> WorkingOrder | None:
        """Return intent and state, whether final or not; None for an unknown intent."""

    def find_order(self, account: str, venue_order_id: str) -> WorkingOrder | None:
        """Return the account's order with that id at the venue, whether final or not; None where none has it."""

    def order_changes(self, intent_id: str) -> list[OrderChange]:
        """List every change of the order's state with its cause, oldest first; the first is its beginning."""

    def mark_sent(
        self, intent_id: str, lease: Lease, at: datetime, sent_at: datetime, void_after: datetime
    ) -> Order:
        """Commit that the order is about to be sent: INTENDED becomes SENT and its attempt one more.

        Under the account's row lock, in one transaction. Returns the order as it then is: only one that is SENT with
        the attempt after the one that the caller knew may be sent, by this caller, once. An entry or conversion becomes
        CANCELLED instead while a halt is known that has not ended by `at`, whenever it began; any order when its
        cancellation was asked for.

        InvalidValue when the account's open
        reducing orders of the pair (SENT, UNKNOWN or live) and this one would together be larger than the position, or
        on its wrong side; the order stays INTENDED. LeaseLost when the lease is not the account's newest any more.
        """

    def record_order(self, order: Order, fills: Sequence[Fill], cause: str = "") -> Order:
        """Commit what is known of an order: its state, fills, ledger entries and the position they lead to.

        Fills are facts: new ones are booked whatever state the order is in and whatever they do to a balance; `filled`
        is counted from them. A reducing fill never opens or turns a position: what it has too much changes balances
        alone. A known fill id changes nothing. A state that cannot follow the present one (TRANSITIONS) or comes from
        an older attempt is ignored, so that answers may come late and in any order. Returns the order as it then is.
        FILLED counts once the fills add up to the quantity, and then whatever was reported; a fill of an INTENDED order
        makes it UNKNOWN. Of `order` only state, reason, time, attempt and the venue's id are read.

        A RECONCILIATION halt begins in the same transaction when fills take a balance below zero, close more than the
        position had, or add up to more than was ordered. InvalidValue for a fill of another order, or an amount that no
        venue could report.
        """

    def request_cancel(self, intent_id: str, reason: str, at: datetime) -> Order:
        """Note that the order must leave the venue; the first reason stays.

        One that is INTENDED is CANCELLED at once, and so is one that turns out to be never taken.
        """

    def record_amend(self, intent_id: str, lease: Lease, trigger: Decimal, at: datetime) -> Order:
        """Commit the new trigger of a resting stop before the venue is asked. LeaseLost as in `mark_sent`.

        One that is not live stays as it is: compare the trigger of the order that is returned. InvalidValue for an
        order that is no stop.
        """

    def acquire_lease(self, account: str, holder: str, seconds: float) -> Lease | None:
        """Become the one who sends for the account; None while another holds it. Counted by the database's clock.

        Each holder gets a higher fencing number. The same holder asking again gets a new number too. One that ended by
        time alone still sends until a newer one was given out. NotStored for an unknown account.
        """

    def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Hold it for longer; False when it is lost."""

    def release_lease(self, lease: Lease) -> None:
        """Give it back; nothing happens when it was lost."""

    # --- money and positions

    def fills(self, account: str, *, of_positions: bool = False) -> list[Fill]:
        """List all fills, oldest first; `of_positions` leaves those of conversions out."""

    def position(self, account: str, pair: Pair) -> Position | None:
        """Return the open position, None without one."""

    def positions(self, account: str) -> list[Position]:
        """List all open positions."""

    def update_protection(self, position: Position) -> bool:
        """Store the levels, best price, check time and exit reason of an open position, not its quantity or price.

        What is stored already and nearer or later stays (`with_protection`): two that look at once lose nothing.
        False when the position is another one by now (`opened_at` or quantity differ), or gone.
        """

    def record_adjustment(self, adjustment: Adjustment) -> bool:
        """Book a change of one balance that no order of ours caused; False when its reference is known.

        Its value moves the account's peak by as much, where it has one: money that is taken out is no loss.
        """

    def adjustments(self, account: str) -> list[Adjustment]:
        """List them, oldest first."""

    def note_reconciled(self, account: str, at: datetime) -> None:
        """Note that ledger and venue agreed at `at`; an earlier time than the one that is noted changes nothing."""

    def reconciled_at(self, account: str) -> datetime | None:
        """Return when they last agreed; None before the first time."""

    def accounts(self) -> list[str]:
        """List the names of all accounts that have opened, in the order of the alphabet."""

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
        """Commit halts that begin. One known by kind and beginning, or a second pause of a kind, changes nothing.

        A pause that begins when one did that a person has ended is a new one: it begins the smallest step later.
        """

    def halts(self, account: str) -> list[Halt]:
        """List all halts there ever were, oldest first."""

    def count_failure(self, account: str, kind: FailureKind, what: str, at: datetime) -> int:
        """Count one more failure of this kind in a row; returns how many there are by now."""

    def end_failures(self, account: str, kinds: Collection[FailureKind]) -> None:
        """Begin to count from zero again."""

    def resume(
        self, account: str, resume: Resume, equity: Decimal, kinds: Collection[HaltKind] | None = None
    ) -> list[Halt]:
        """End the account's pauses (of `kinds`; None: all) and make `equity` its peak if a drawdown is among them.

        Raises NotStored when the account is not paused so, InvalidValue for an equity that is not a number.
        """
