"""What the trade itself puts on the bus: decisions and alerts; and what every message has (docs/bus.md).

`{"schema":"decision","version":1,...}`: a new optional field keeps the version, every other change raises it. Times are
RFC 3339 in UTC, pairs are written BTC/USDT, numbers are JSON numbers.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from trading.orders import OPENING, Fill, Order, OrderIntent, OrderStatus, Side
from trading.ports import FailureNote, Message

DECISIONS, ALERTS, BOOK = "decisions", "alerts", "book"
Time = Annotated[datetime, msgspec.Meta(tz=True)]
_ENCODER = msgspec.json.Encoder()
# States of an order in which something has gone otherwise than decided; fills are told of by themselves.
_PROBLEMS = {
    OrderStatus.REJECTED: "was rejected",
    OrderStatus.EXPIRED: "has expired",
    OrderStatus.UNKNOWN: "may be at the venue or not, which is being looked up",
}


class BusMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What every schema has: where it belongs and what its version is."""

    topic: ClassVar[str]
    schema_name: ClassVar[str]
    schema_version: ClassVar[int] = 1

    def bus_key(self) -> str:
        """Return the key whose messages stay in order."""
        raise NotImplementedError


class DecisionMessage(BusMessage, frozen=True, kw_only=True):
    """A decision that was committed; `marketloom why` explains it."""

    topic = DECISIONS
    schema_name = "decision"
    decision_id: str
    account: str
    pair: str
    action: str
    confidence: float
    reasoning: str
    decided_at: Time
    intent_id: str | None  # of the order that it leads to
    outcome: str = ""  # one sentence for a person
    refused: bool = False  # by risk

    def bus_key(self) -> str:
        return self.pair.replace("/", "-")


class AlertMessage(BusMessage, frozen=True, kw_only=True):
    """Something that a person should look at."""

    topic = ALERTS
    schema_name = "alert"
    source: str  # stream, account ...
    kind: str  # gap, silence, checksum, restatement, lag, or the kind of a halt ...
    severity: str  # info | warning | error
    text: str
    pair: str | None
    at: Time
    about: str = ""  # id of what it tells of: of two alerts with the same one, a person needs one

    def bus_key(self) -> str:
        return self.pair.replace("/", "-") if self.pair else self.source


def encode(message: BusMessage) -> Message:
    """Return the message as it goes onto the bus; a number that JSON cannot hold, NaN, becomes null."""
    body = _ENCODER.encode(message)
    head = f'{{"schema":"{message.schema_name}","version":{message.schema_version},'.encode()
    return Message(message.topic, message.bus_key(), head + body[1:])


def decision_message(receipt: Mapping[str, Any], decided_at: datetime, intent: OrderIntent | None) -> Message:
    """Return what is published of a decision."""
    return encode(
        DecisionMessage(
            decision_id=receipt["decision_id"],
            account=receipt["account"],
            pair=str(receipt["pair"]),
            action=str(receipt["action"]),
            confidence=float(receipt["confidence"]),
            reasoning=receipt.get("why") or "",
            decided_at=decided_at,
            intent_id=intent.intent_id if intent else None,
            outcome=receipt.get("outcome") or "",
            refused=intent is None and bool(receipt.get("risk")),
        )
    )


def alert(
    source: str, kind: str, severity: str, text: str, at: datetime, pair: str | None = None, about: str = ""
) -> Message:
    """Return an alert for `Bus.publish`, or for the outbox inside a transaction."""
    return encode(
        AlertMessage(source=source, kind=kind, severity=severity, text=text, pair=pair, at=at, about=about)
    )


def fill_alert(intent: OrderIntent, fill: Fill) -> Message:
    """Return what a person is told of a fill."""
    did = "bought" if fill.side is Side.BUY else "sold"
    text = (
        f"account {fill.account} {did} {fill.quantity:f} {fill.pair.base} at {fill.price:f} {fill.pair.quote} "
        f"({intent.kind.value}, fee {fill.fee:f} {fill.fee_asset})"
    )
    source = f"account {fill.account}"
    return alert(source, "fill", "info", text, fill.filled_at, str(fill.pair), about=fill.fill_id)


def order_problem_alert(intent: OrderIntent, order: Order) -> Message | None:
    """Return what a person is told of an order in its new state; None where there is nothing to worry about."""
    if order.status not in _PROBLEMS:
        return None
    text = (
        f"account {intent.account}: {intent.kind.value} {intent.side.value} {intent.quantity:f} {intent.pair} "
        f"{_PROBLEMS[order.status]}: {order.reason}"
    )
    closes = intent.kind not in OPENING and order.status is not OrderStatus.UNKNOWN
    severity, about = "error" if closes else "warning", f"order {intent.intent_id} {order.status.value}"
    source = f"account {intent.account}"
    return alert(source, "order problem", severity, text, order.updated_at, str(intent.pair), about=about)


def failed_run_alert(note: FailureNote) -> Message:
    """Return what a person is told of a run of Dagster's that failed."""
    what = " ".join(filter(None, (note.job, note.partition)))
    return alert("runs", "failed run", "error", f"{what}: {note.reason}", note.at, about=f"run {note.run_id}")
