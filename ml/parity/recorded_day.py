"""What the journal has of one day: receipts by candle, orders with what asked for them, the morning's positions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from ml.decision.receipt import Scope
from trading.errors import NotStored
from trading.execution.exits import FORCED
from trading.market import Pair
from trading.orders import Fill, OrderKind, WorkingOrder
from trading.parity import LiveOrder, Origin
from trading.portfolio import Position, after_fill
from trading.ports import Journal, TableStore
from trading.risk.protection import advance

NOT_OF_CANDLES = (Scope.REBALANCING, Scope.PROPOSED)  # decisions that no back-test makes
LATE_DECISIONS = timedelta(hours=1)  # after the day: of its last candles


@dataclass(frozen=True, slots=True)
class RecordedDay:
    """An account's decisions and fills of [start, end)."""

    journal: Journal
    account: str
    start: datetime
    end: datetime
    receipts: Mapping[tuple[Pair, datetime], Mapping[str, Any]]  # by pair and close time of their candle
    fills: Sequence[Fill]  # all of the account, oldest first

    @classmethod
    def read(cls, journal: Journal, account: str, start: datetime, end: datetime) -> "RecordedDay":
        """Read the day; decisions about its last candles may have been made after it."""
        receipts = {}
        for identity in journal.decisions_since(account, start, end + LATE_DECISIONS):
            receipt = journal.decision(identity)
            if receipt.get("shadow") or receipt.get("scope") in NOT_OF_CANDLES:
                continue
            closed = datetime.fromisoformat(receipt["candle_close_time"])
            if closed < end:
                receipts[Pair.parse(receipt["pair"]), closed] = receipt
        return cls(journal, account, start, end, receipts, journal.fills(account))

    def of(self, pair: Pair) -> dict[datetime, Mapping[str, Any]]:
        return {closed: receipt for (other, closed), receipt in self.receipts.items() if other == pair}

    @property
    def todays(self) -> list[Fill]:
        return [fill for fill in self.fills if self.start <= fill.filled_at < self.end]

    def conversions(self) -> list[Fill]:
        """Return the day's fills that rebalanced the account."""
        return [
            fill for fill in self.todays if self._working(fill.intent_id).intent.kind is OrderKind.CONVERSION
        ]

    def orders(self, pair: Pair, candles: Mapping[datetime, int]) -> list[LiveOrder]:
        """Return the pair's orders that were filled in the day, and those of its decisions that were not.

        `candles`: the place of each candle by its close time.
        """
        fills: dict[str, list[Fill]] = {}
        for fill in self.todays:
            if fill.pair == pair:
                fills.setdefault(fill.intent_id, []).append(fill)
        found = {identity: self._working(identity) for identity in fills}
        for receipt in self.of(pair).values():
            if receipt["intent"] and (intent := self.journal.intent(receipt["decision_id"])):
                found.setdefault(intent.intent_id, self._working(intent.intent_id))
        return [
            self._live_order(working, fills.get(identity, []), candles)
            for identity, working in found.items()
            if working.intent.kind is not OrderKind.CONVERSION
        ]

    def _working(self, intent_id: str) -> WorkingOrder:
        if (found := self.journal.working_order(intent_id)) is None:
            raise NotStored(f"a fill belongs to order {intent_id}, which the ledger does not have")
        return found

    def _live_order(
        self, working: WorkingOrder, fills: Sequence[Fill], candles: Mapping[datetime, int]
    ) -> LiveOrder:
        intent, state = working.intent, working.order
        origin, decided = self._origin(working, candles)
        if origin is Origin.FORCED:
            words = self._cause(intent.intent_id)
        elif origin is Origin.PERSON:
            words = str(self.journal.decision(intent.decision_id)["why"])
        else:
            words = f"{state.status} {state.reason}".strip()
        return LiveOrder(intent, tuple(fills), origin, decided, words)

    def _origin(self, working: WorkingOrder, candles: Mapping[datetime, int]) -> tuple[Origin, int | None]:
        intent = working.intent
        if intent.kind is OrderKind.STOP:
            return Origin.PROTECTION, None
        own = self.journal.intent(intent.decision_id) if intent.decision_id else None
        if own is not None and own.intent_id == intent.intent_id:
            return _origin_of(self.journal.decision(intent.decision_id), candles)
        if intent.kind is not OrderKind.EXIT:
            return Origin.UNKNOWN, None
        forced = self._cause(intent.intent_id).startswith(FORCED)
        return (Origin.FORCED if forced else Origin.PROTECTION), None

    def _cause(self, intent_id: str) -> str:
        return self.journal.order_changes(intent_id)[0].cause

    # --- as the day began

    def position(self, pair: Pair, candles: TableStore, length: timedelta) -> Position | None:
        """Return what was held of the pair as the day began, its levels moved by every candle until then."""
        earlier = [fill for fill in self.fills if fill.pair == pair and fill.filled_at < self.start]
        position, filled = None, dict[str, list[Fill]]()
        for fill, intent in self._since_flat(earlier):
            position = after_fill(position, fill, intent.intent, filled.setdefault(fill.intent_id, []))
            filled[fill.intent_id].append(fill)
        if position is None:
            return None
        between = candles.between(pair, position.opened_at - length, self.start)
        seen = between.filter(pl.col("close_time") > position.opened_at, pl.col("close_time") <= self.start)
        return advance(position, seen)

    def _since_flat(self, fills: Sequence[Fill]) -> Iterator[tuple[Fill, WorkingOrder]]:
        """Yield the fills since nothing was held, with their orders; those of conversions hold nothing."""
        held, begin, known = Decimal(0), 0, list[tuple[Fill, WorkingOrder]]()
        for fill in fills:
            working = self._working(fill.intent_id)
            if working.intent.converts:
                continue
            known.append((fill, working))
            held += fill.side.sign * fill.quantity
            if not held:
                begin = len(known)
        yield from known[begin:]


def _origin_of(receipt: Mapping[str, Any], candles: Mapping[datetime, int]) -> tuple[Origin, int | None]:
    """Return the origin of a decision's own order."""
    if receipt.get("scope") == Scope.PROPOSED:
        return Origin.PERSON, None
    position = receipt["inputs"]["position"] if receipt.get("inputs") else None
    if receipt.get("scope") == Scope.EXIT or (position and position["exit_reason"]):
        return Origin.PROTECTION, None
    candle = candles.get(datetime.fromisoformat(receipt["candle_close_time"]))
    return (Origin.EARLIER, None) if candle is None else (Origin.DECISION, candle)
