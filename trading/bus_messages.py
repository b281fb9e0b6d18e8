"""What the trade itself puts on the bus: decisions and alerts; and what every message has (docs/bus.md).

`{"schema":"decision","version":1,...}`: a new optional field keeps the version, every other change raises it. Times are
RFC 3339 in UTC, pairs are written BTC/USDT, numbers are JSON numbers.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from trading.orders import OrderIntent
from trading.ports import Message

DECISIONS, ALERTS = "decisions", "alerts"
Time = Annotated[datetime, msgspec.Meta(tz=True)]
_ENCODER = msgspec.json.Encoder()


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
        )
    )


def alert(source: str, kind: str, severity: str, text: str, at: datetime, pair: str | None = None) -> Message:
    """Return an alert for `Bus.publish`, or for the outbox inside a transaction."""
    return encode(AlertMessage(source=source, kind=kind, severity=severity, text=text, pair=pair, at=at))
