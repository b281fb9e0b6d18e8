"""The sink of the analytical store: trades, candles, tickers and book samples onto the tape.

A row is on the tape at most `gather_seconds` and one write after it was on the bus. Until then it is not committed: it
comes again after a crash.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog

from streaming.sinks.tape_rows import TABLES, tape_rows
from trading.errors import MarketloomError
from trading.ports import Record, Tape
from trading.stores.tape_rows import time_column

GATHER_SECONDS = 10.0
GATHER_RECORDS = 20_000  # 10 MB of memory


class AnalyticalSink:
    """Everything of a batch is read before anything of it is written. Finished days are compacted on the way."""

    group = "analytical"
    topics = tuple(TABLES)

    def __init__(
        self, tape: Tape, gather_seconds: float = GATHER_SECONDS, gather_records: int = GATHER_RECORDS
    ) -> None:
        self.gather_seconds = gather_seconds
        self.gather_records = gather_records
        self._tape = tape
        self._compacted_at: datetime | None = None

    def write(self, records: Sequence[Record]) -> None:
        by_topic: dict[str, list[Record]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        rows = {topic: tape_rows(topic, some) for topic, some in by_topic.items()}
        for topic, table in rows.items():
            self._tape.append(TABLES[topic], table, _batch_name(by_topic[topic][0]))
        newest = [table[time_column(TABLES[topic])].max() for topic, table in rows.items()]
        self._compact_after_midnight(max(time for time in newest if isinstance(time, datetime)))

    def _compact_after_midnight(self, time: datetime) -> None:
        """Compact what lies before the day of the newest row, once a day. A failure is no reason to stop recording."""
        midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
        if self._compacted_at is not None and midnight <= self._compacted_at:
            return
        self._compacted_at = midnight
        try:
            self._tape.compact(midnight)
        except MarketloomError as error:
            structlog.get_logger().warning(
                "tape_not_compacted", reason=str(error), again="after the next midnight"
            )


def _batch_name(first: Record) -> str:
    """Name the place on the bus where the batch begins; the time tells two brokers' equal offsets apart."""
    return f"{first.partition}-{first.offset}-{first.at:%Y%m%dT%H%M%S%f}"
