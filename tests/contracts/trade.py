"""Values that the contracts of journal and venue are told with."""

import datetime as dt
from decimal import Decimal
from typing import Any

from trading.market import Pair
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.ports import Journal, Lease

BTC = Pair("BTC", "USDT")
NOON = dt.datetime(2020, 2, 21, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
SECOND = dt.timedelta(seconds=1)
OPENING = {"USDT": Decimal(1000), "BTC": Decimal("0.05")}


def receipt(decision_id: str = "decision-1", **changes: Any) -> dict[str, Any]:
    opinion = {
        "agent": "technical", "model": "rules", "action": None, "confidence": 0.0, "reasoning": "flat",
        "evidence": {"adx": 12.5},
    }  # fmt: skip
    return {
        "decision_id": decision_id, "account": "paper", "pair": "BTC/USDT", "decided_at": NOON.isoformat(),
        "action": "LONG", "confidence": 0.75, "opinions": [opinion], **changes,
    }  # fmt: skip


def intent(decision_id: str = "decision-1", **changes: Any) -> OrderIntent:
    values: dict[str, Any] = {
        "intent_id": f"intent-of-{decision_id}", "decision_id": decision_id, "account": "paper", "pair": BTC,
        "side": Side.BUY, "quantity": Decimal("0.01"), "reduces": False, "stop_loss": Decimal(9800),
        "take_profit": Decimal(10400), "created_at": NOON, **changes,
    }  # fmt: skip
    return OrderIntent(**values)


def fill(of: OrderIntent, number: int = 1, **changes: Any) -> Fill:
    values: dict[str, Any] = {
        "fill_id": f"{of.intent_id}-{number}", "intent_id": of.intent_id, "account": of.account,
        "pair": of.pair, "side": of.side, "price": Decimal(10000), "quantity": of.quantity,
        "fee": Decimal("0.26"), "fee_asset": "USDT", "filled_at": of.created_at + HOUR, **changes,
    }  # fmt: skip
    return Fill(**values)


def order(of: OrderIntent, status: OrderStatus, reason: str = "", **changes: Any) -> Order:
    """What is heard of an order that was sent once."""
    values: dict[str, Any] = {"updated_at": of.created_at + HOUR, "attempt": 1, **changes}
    return Order(of.intent_id, status, reason, **values)


def portfolio(at: dt.datetime, equity: str) -> dict[str, Any]:
    """A portfolio snapshot with what a journal requires of one."""
    day = at.astimezone(dt.UTC).date()
    return {"equity": Decimal(equity), "balances": {"USDT": Decimal(equity)}, "at": at, "day": day}


def opened(journal: Journal) -> Journal:
    journal.open_account("paper", OPENING, NOON - HOUR)
    return journal


def decided(journal: Journal, decision_id: str = "decision-1", **changes: Any) -> OrderIntent:
    wanted = intent(decision_id, **changes)
    journal.record_decision(receipt(decision_id), wanted)
    return wanted


def leased(journal: Journal, holder: str = "me") -> Lease:
    lease = journal.acquire_lease("paper", holder, 60)
    assert lease is not None
    return lease


def sent(journal: Journal, of: OrderIntent, lease: Lease | None = None) -> Order:
    """The order as it is about to leave; who sends is `lease`, or whoever asks now."""
    at = of.created_at + SECOND
    return journal.mark_sent(of.intent_id, lease or leased(journal), at, at, at + MINUTE)


def bought(journal: Journal, decision_id: str = "decision-1", **changes: Any) -> OrderIntent:
    """An entry that was decided, sent and filled as a whole."""
    entry = decided(journal, decision_id, **changes)
    sent(journal, entry)
    journal.record_order(order(entry, OrderStatus.FILLED), [fill(entry)])
    return entry


def closing(decision_id: str = "close-1", **changes: Any) -> OrderIntent:
    """An exit of what `bought` bought."""
    plain: dict[str, Any] = {"side": Side.SELL, "reduces": True, "stop_loss": None, "take_profit": None}
    return intent(decision_id, **plain | changes)


def exiting(journal: Journal, decision_id: str = "close-1", **changes: Any) -> OrderIntent:
    wanted = closing(decision_id, **changes)
    journal.record_decision(receipt(decision_id, action="CLOSE"), wanted)
    return wanted


def stop(number: int = 1, **changes: Any) -> OrderIntent:
    """A stop for the entry of decision-1."""
    own = {"decision_id": "decision-1", "intent_id": f"stop-{number}", "trigger": Decimal(9800)}
    values: dict[str, Any] = own | changes
    return closing(**values)
