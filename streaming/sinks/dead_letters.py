"""Records that a consumer cannot read, put aside with their reason, and the way back."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime

from streaming.messages import DeadLetter, encode
from trading.ports import Message, Record


def letter_of(group: str, record: Record, reason: str) -> Message:
    """Return the dead letter of a record that `group` cannot take."""
    try:
        text, base64 = record.value.decode(), False
    except UnicodeDecodeError:
        text, base64 = b64encode(record.value).decode(), True
    return encode(
        DeadLetter(
            group=group,
            of_topic=record.topic,
            key=record.key,
            partition=record.partition,
            offset=record.offset,
            value=text,
            base64=base64,
            reason=reason,
            at=datetime.now(UTC),
        )
    )


def message_in(letter: DeadLetter) -> Message:
    """Return the message as it was published."""
    value = b64decode(letter.value) if letter.base64 else letter.value.encode()
    return Message(letter.of_topic, letter.key, value)
