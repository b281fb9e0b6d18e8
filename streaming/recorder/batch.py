"""What is committed together: messages, the checkpoints that belong to them, and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from trading.feed_gaps import FeedGap
from trading.market import Pair
from trading.ports import Message

Repaired = tuple[FeedGap, datetime]  # a gap and when nothing of it was missing any more


@dataclass(slots=True)
class Batch:
    """`oldest`: when its first message was received, by `time.monotonic`."""

    messages: list[Message] = field(default_factory=list)
    checkpoints: dict[Pair, bytes] = field(default_factory=dict)
    gaps: list[FeedGap] = field(default_factory=list)
    repaired: list[Repaired] = field(default_factory=list)
    oldest: float | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.messages or self.checkpoints or self.gaps or self.repaired)


class Outbox(Protocol):
    """Where batches become durable: `trading.stores.postgres.stream.StreamOutbox`."""

    def open(self) -> Mapping[Pair, bytes]:
        """Take the lease and return the checkpoints. AlreadyRuns names the stream that has it."""

    def commit(
        self,
        messages: Sequence[Message],
        checkpoints: Mapping[Pair, bytes],
        gaps: Sequence[FeedGap] = (),
        repaired: Sequence[Repaired] = (),
    ) -> None:
        """Make a batch durable, all or nothing, once; the same one again after StoreUnreachable. LeaseLost."""

    def close(self) -> None:
        """Give the lease up."""
