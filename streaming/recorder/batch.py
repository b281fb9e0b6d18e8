"""What is committed together: messages, the checkpoints that belong to them, and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from trading.feed_gaps import FeedGap
from trading.market import Pair
from trading.ports import Message
from trading.stream_checkpoint import Checkpoint

GapKey = tuple[Pair, datetime, int | None]


@dataclass(slots=True)
class Batch:
    """`oldest`: when its first message was received, by `time.monotonic`. Of what befell a gap the last word counts."""

    messages: list[Message] = field(default_factory=list)
    checkpoints: dict[Pair, Checkpoint] = field(default_factory=dict)
    gaps: dict[GapKey, FeedGap] = field(default_factory=dict)
    repaired: dict[GapKey, FeedGap] = field(default_factory=dict)  # each with its `repaired_at`
    oldest: float | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.messages or self.checkpoints or self.gaps or self.repaired)

    def open_gap(self, gap: FeedGap) -> None:
        """Note a gap, or its newest bounds; one that was repaired before is open again."""
        key = gap_key(gap)
        self.repaired.pop(key, None)
        self.gaps[key] = gap

    def close_gap(self, gap: FeedGap) -> None:
        """Note that nothing of the gap is missing any more. The ledger keeps it all the same."""
        self.repaired[gap_key(gap)] = gap


def gap_key(gap: FeedGap) -> GapKey:
    return gap.pair, gap.since, gap.after_id


class Outbox(Protocol):
    """Where batches become durable: `trading.stores.postgres.stream.StreamOutbox`."""

    def open(self) -> Mapping[Pair, Checkpoint]:
        """Take the lease and return the checkpoints. AlreadyRuns names the stream that has it."""

    def commit(
        self,
        messages: Sequence[Message],
        checkpoints: Mapping[Pair, Checkpoint],
        gaps: Sequence[FeedGap] = (),
        repaired: Sequence[FeedGap] = (),
    ) -> None:
        """Make a batch durable, all or nothing, once; the same one again after StoreUnreachable. LeaseLost."""

    def close(self) -> None:
        """Give the lease up."""
