"""Which records of the bus a person is told of, and in which words."""

from msgspec.structs import replace

from streaming.messages import ALERTS, DECISIONS, AlertMessage, DecisionMessage, decode
from trading.ports import Record

TOPICS = (ALERTS, DECISIONS)
ORDER, REFUSAL = "order", "refusal"


def notice_of(record: Record) -> AlertMessage | None:
    """Return what to tell of a record of `TOPICS`; None of a decision that neither orders nor was refused.

    Its time is that of its publication: the time in an alert is the market's, which may be a simulated one.
    InvalidMessage for what cannot be read.
    """
    if record.topic == ALERTS:
        return replace(decode(record, AlertMessage), at=record.at)
    decision = decode(record, DecisionMessage)
    if decision.intent_id is None and not decision.refused:
        return None
    text = f"account {decision.account}: {decision.outcome or decision.reasoning}"
    return AlertMessage(
        source="decision",
        kind=ORDER if decision.intent_id else REFUSAL,
        severity="info",
        text=f"{text} (marketloom why {decision.decision_id[:8]})" if decision.intent_id else text,
        pair=decision.pair,
        at=record.at,
        # A refusal that comes again with each candle, for the same reason, is the same one.
        about=decision.decision_id if decision.intent_id else "",
    )
