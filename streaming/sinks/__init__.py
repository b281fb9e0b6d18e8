"""What follows the bus: each sink is a consumer group of its own and does its part again after a crash."""

from collections.abc import Sequence
from typing import Protocol

from trading.ports import Record


class Sink(Protocol):
    """A consumer of the bus. It must take the same records again without a change: at least once in, once as stored."""

    @property
    def group(self) -> str:
        """Name of the consumer group: sinks of one group share the records, those of two groups each get all."""

    @property
    def topics(self) -> tuple[str, ...]: ...

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch durably. A Transient error: nothing is committed and the same batch comes again later.

        InvalidMessage, naming one record's fault, is for what can never be taken: use `streaming.messages.decode`.
        """
