"""Conversion of the journal's values to table rows, and back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from trading.invalidation import Invalidation, invalidation_from
from trading.market import Pair
from trading.orders import Fill, Order, OrderChange, OrderIntent, OrderStatus, Side, WorkingOrder
from trading.portfolio import Position
from trading.ports import Adjustment
from trading.stores.journal_rules import OPINION_FIELDS, decided_at, json_text

Row = Mapping[str, Any]

WORKING_ORDER = (
    "SELECT i.intent_id, i.decision_id, i.account, i.pair, i.side, i.quantity, i.reduces, i.stop_loss, i.take_profit, "
    "i.created_at, i.entry_price, i.trailing_after, i.trailing_distance, i.trigger AS first_trigger, i.converts, "
    "i.invalidations, "
    "o.status, o.reason, o.updated_at, o.attempt, o.venue_order_id, o.sent_at, o.void_after, o.filled, "
    "o.cancel_reason, o.trigger, o.working_since FROM orders o JOIN order_intents i USING (intent_id) "
)


def decision_row(receipt: Row, intent: OrderIntent | None) -> dict[str, Any]:
    answers = {name: json.loads(each["answer"]) for name, each in _answers(receipt) if each["answer"]}
    return {
        "decision_id": receipt["decision_id"],
        "decided_at": decided_at(receipt),
        "dataset": receipt.get("dataset", ""),
        "account": receipt["account"],
        "pair": str(receipt["pair"]),
        "model": receipt.get("model") or receipt.get("strategy_version", ""),
        "action": str(receipt["action"]),
        "confidence": receipt["confidence"],
        "position_size": intent and intent.quantity,
        "entry_price": (receipt.get("proposal") or {}).get("entry"),
        "stop_loss": intent and intent.stop_loss,
        "take_profit": intent and intent.take_profit,
        "reasoning": receipt.get("why", ""),
        "raw_response": json_text(answers) if answers else None,
        "receipt": json_text(dict(receipt)),
    }


def opinion_rows(receipt: Row) -> Iterator[dict[str, Any]]:
    for number, opinion in enumerate(receipt["opinions"]):
        yield {
            "decision_id": receipt["decision_id"],
            "number": number,
            **{name: opinion[name] for name in OPINION_FIELDS},
            "evidence": json_text(opinion["evidence"]),
            **_judgement_columns(_judgements(receipt).get(opinion["agent"])),
        }


def log_rows(receipt: Row) -> Iterator[dict[str, Any]]:
    """Yield what the log says of each model that was asked: how it ended, and what it cost."""
    opinions = {each["agent"]: each for each in receipt["opinions"]}
    for name, judgement in _judgements(receipt).items():
        opinion, has_answered = opinions.get(name, {}), judgement["outcome"] == "valid"
        voted = opinion.get("action") if has_answered else None
        why = opinion.get("reasoning") if has_answered else f"{judgement['outcome']}: {judgement['problem']}"
        words = f"{receipt['pair']}: {voted or 'abstains'}"
        yield {
            "at": decided_at(receipt),
            "dataset": receipt.get("dataset", ""),
            "agent": name,
            "level": "info" if voted else "warning",
            "message": words if voted else f"{words}: {why}",
            "details": json_text(
                {
                    "decision_id": receipt["decision_id"],
                    "model": judgement["model"],
                    "outcome": judgement["outcome"],
                    "tokens": judgement["tokens"],
                    "cost_usd": judgement["cost_usd"],
                    "reused": judgement["reused"],
                    **_debate_facts(judgement),
                }
            ),
        }


def _judgements(receipt: Row) -> Row:
    """Return what models answered to the decision, by agent; most have none."""
    inputs = receipt.get("inputs")
    found: Row = inputs.get("judgements", {}) if isinstance(inputs, Mapping) else {}
    return found


def _answers(receipt: Row) -> Iterator[tuple[str, Row]]:
    """Yield each model's answer by the agent's name, then the one that it gave after a debate."""
    for name, first in _judgements(receipt).items():
        yield name, first
        if second := first.get("debated"):
            yield f"{name} debate", second


def _debate_facts(judgement: Row) -> dict[str, Any]:
    second = judgement.get("debated")
    return {"debate": {name: second[name] for name in ("outcome", "problem")}} if second else {}


def _judgement_columns(judgement: Row | None) -> dict[str, Any]:
    """Return what was asked and answered, of the answer that counts; tokens and cost are those of all."""
    if judgement is None:
        return {}
    second = judgement.get("debated") or {}
    is_changed = judgement["outcome"] == second.get("outcome") == "valid"
    counted = second if is_changed else judgement
    columns = {name: counted[name] for name in ("outcome", "prompt", "prompt_hash")}
    spent = {name: judgement[name] for name in ("tokens", "cost_usd")}
    return columns | spent | {"raw_response": counted["answer"] or None}


def plain_row(value: OrderIntent | Fill | Order | Position | Adjustment) -> dict[str, Any]:
    """Convert to columns with the names of the fields; pairs are written as people write them."""
    row = asdict(value)
    if "pair" in row:
        row["pair"] = str(value.pair)  # type: ignore[union-attr]
    if "invalidations" in row:
        row["invalidations"] = json_text(row["invalidations"])
    return {name: each.value if isinstance(each, Side | OrderStatus) else each for name, each in row.items()}


def intent_row(intent: OrderIntent, asked: bool) -> dict[str, Any]:
    return plain_row(intent) | {"decision_id": intent.decision_id or None, "asked": asked}


def intent_from(row: Row) -> OrderIntent:
    values = _field_values(OrderIntent, row) | {"pair": Pair.parse(row["pair"]), "side": Side(row["side"])}
    return OrderIntent(
        **values
        | {"decision_id": row["decision_id"] or "", "invalidations": _invalidations(row["invalidations"])}
    )


def working_order_from(row: Row) -> WorkingOrder:
    """Read a row of WORKING_ORDER: the intent's trigger is the first one, the order's the present one."""
    return WorkingOrder(intent_from({**row, "trigger": row["first_trigger"]}), order_from(row))


def change_from(row: Row) -> OrderChange:
    return OrderChange(**_field_values(OrderChange, row) | {"status": OrderStatus(row["status"])})


def adjustment_from(row: Row) -> Adjustment:
    return Adjustment(**_field_values(Adjustment, row))


def fill_from(row: Row) -> Fill:
    return Fill(**_field_values(Fill, row) | {"pair": Pair.parse(row["pair"]), "side": Side(row["side"])})


def order_from(row: Row) -> Order:
    return Order(**_field_values(Order, row) | {"status": OrderStatus(row["status"])})


def position_from(row: Row) -> Position:
    values = _field_values(Position, row) | {"pair": Pair.parse(row["pair"])}
    return Position(**values | {"invalidations": _invalidations(row["invalidations"])})


def _invalidations(stored: list[dict[str, Any]]) -> tuple[Invalidation, ...]:
    return tuple(map(invalidation_from, stored))


def receipt_from(row: Row) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(row["receipt"])
    return receipt


def _field_values(kind: type, row: Row) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind)}
