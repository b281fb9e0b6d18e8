"""What follows the bus: each sink is a consumer group of its own and does its part again after a crash."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from trading.ports import Record


class StartAgain(Exception):  # what it asks for, not a fault
    """Raised by a sink whose target has lost what was written: these topics are read again from the oldest record."""

    def __init__(self, topics: Sequence[str], reason: str) -> None:
        super().__init__(f"{', '.join(topics)} from the start: {reason}")
        self.topics = tuple(topics)


class Sink(Protocol):
    """A consumer of the bus. It must take the same records again without a change: at least once in, once as stored."""

    @property
    def group(self) -> str:
        """Name of the consumer group: sinks of one group share the records, those of two groups each get all."""

    @property
    def topics(self) -> tuple[str, ...]: ...

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch durably. A Transient error: nothing is committed and the same batch comes again later.

        InvalidMessage is for what can never be taken (use `streaming.messages.decode`): the batch then comes again in
        parts, until the record that it was raised for stands alone. It becomes a dead letter.
        """


@runtime_checkable
class IdleSink(Protocol):
    """A sink that also has something to do while nothing comes."""

    def idle(self) -> None:
        """Do it; called whenever nothing came for about a second. May raise what `write` may."""


@runtime_checkable
class HoldingSink(IdleSink, Protocol):
    """A sink that may have taken records and is not done with them: they come again after a crash."""

    @property
    def holds(self) -> bool:
        """Whether that is so: nothing is committed then."""


@runtime_checkable
class GatheringSink(Protocol):
    """A sink that wants few large batches: what came is held, not committed, until there is enough or it is time."""

    @property
    def gather_seconds(self) -> float:
        """Longest time from the first record of a batch to its `write`."""

    @property
    def gather_records(self) -> int:
        """Records that are enough."""
