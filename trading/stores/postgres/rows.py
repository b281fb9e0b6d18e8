"""Conversion of the journal's values to table rows, and back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from trading.market import Pair
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.portfolio import Position
from trading.stores.journal_rules import OPINION_FIELDS, decided_at, json_text

Row = Mapping[str, Any]


def decision_row(receipt: Row, intent: OrderIntent | None) -> dict[str, Any]:
    raw = receipt.get("raw_response")
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
        "raw_response": None if raw is None else json_text(raw),
        "receipt": json_text(dict(receipt)),
    }


def opinion_rows(receipt: Row) -> Iterator[dict[str, Any]]:
    for number, opinion in enumerate(receipt["opinions"]):
        yield {
            "decision_id": receipt["decision_id"],
            "number": number,
            **{name: opinion[name] for name in OPINION_FIELDS},
            "evidence": json_text(opinion["evidence"]),
        }


def plain_row(value: OrderIntent | Fill | Order | Position) -> dict[str, Any]:
    """Convert to columns with the names of the fields; pairs are written as people write them."""
    row = asdict(value)
    if "pair" in row:
        row["pair"] = str(value.pair)  # type: ignore[union-attr]
    return {name: each.value if isinstance(each, Side | OrderStatus) else each for name, each in row.items()}


def intent_from(row: Row) -> OrderIntent:
    return OrderIntent(
        **_field_values(OrderIntent, row) | {"pair": Pair.parse(row["pair"]), "side": Side(row["side"])}
    )


def fill_from(row: Row) -> Fill:
    return Fill(**_field_values(Fill, row) | {"pair": Pair.parse(row["pair"]), "side": Side(row["side"])})


def order_from(row: Row) -> Order:
    return Order(**_field_values(Order, row) | {"status": OrderStatus(row["status"])})


def position_from(row: Row) -> Position:
    return Position(**_field_values(Position, row) | {"pair": Pair.parse(row["pair"])})


def receipt_from(row: Row) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(row["receipt"])
    return receipt


def _field_values(kind: type, row: Row) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind)}
