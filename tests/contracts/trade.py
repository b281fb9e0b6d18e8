"""Values that the contracts of journal and venue are told with."""

import datetime as dt
from decimal import Decimal
from typing import Any

from trading.market import Pair
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.ports import Journal

BTC = Pair("BTC", "USDT")
NOON = dt.datetime(2020, 2, 21, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
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


def order(of: OrderIntent, status: OrderStatus, reason: str = "") -> Order:
    return Order(of.intent_id, status, reason, of.created_at + HOUR)


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
