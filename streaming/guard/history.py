"""The balance history: at the end of every minute the account is valued at the prices that the guard sees just then."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from streaming.guard.errand import Errand
from streaming.guard.metrics import GuardMetrics
from trading.account_minute import MINUTE, AccountMinute, PriceReading, account_minute
from trading.errors import NotStored
from trading.market import Timeframe
from trading.ports import MinuteWriter

LATEST = timedelta(seconds=15)  # after its end, by the account's clock, that a minute's prices may be read
WAITING = 720  # minutes that wait for a store that is away; the oldest are lost first


@dataclass(frozen=True, slots=True)
class ClosedMinute:
    """A minute that has ended, and the prices just after its end."""

    minute: datetime
    reading: PriceReading


class HistoryDuty:
    """Writes each minute once. A minute at whose end nobody looked stays a gap."""

    def __init__(
        self,
        account: str,
        quote: str,
        writer: MinuteWriter,
        read: Callable[[datetime], PriceReading],
        now: Callable[[], datetime],
        metrics: GuardMetrics,
    ) -> None:
        """`read` returns the prices of this moment at once, `now` the account's time from any thread."""
        self._account = account
        self._quote = quote
        self._writer = writer
        self._read = read
        self._now = now
        self._metrics = metrics
        self._newest: datetime | None = None  # the minute that was looked at last
        self._waiting: deque[ClosedMinute] = deque(maxlen=WAITING)
        self.errand: Errand[ClosedMinute, AccountMinute | None] = Errand(
            "balance history",
            lambda: self._waiting[0] if self._waiting else None,
            self._write,
            self._written,
            failed=lambda name: metrics.errors.labels(name).inc(),
        )

    def look(self, at: datetime) -> None:
        """Read the prices where a minute has just ended."""
        end = Timeframe.M1.floor(at)
        minute = end - MINUTE
        if minute == self._newest:
            return
        self._newest = minute
        if at - end <= LATEST:
            self._waiting.append(ClosedMinute(minute, self._read(at)))
            self.errand.ask()

    def close(self) -> None:
        self._writer.close()

    def _write(self, closed: ClosedMinute) -> AccountMinute | None:
        """Value the account and store it; None for a minute before the account opened."""
        try:
            booked = self._writer.booked(closed.reading.at)
        except NotStored:
            return None
        if not booked.balances:
            return None
        made = account_minute(
            self._account, self._quote, closed.minute, closed.reading, booked, known_at=self._now()
        )
        self._writer.write([made])
        return made

    def _written(self, closed: ClosedMinute, made: AccountMinute | None) -> None:
        if made is not None:
            self._metrics.minutes.labels("no" if made.equity is None else "yes").inc()
        if (
            self._waiting and self._waiting[0] is closed
        ):  # else it was lost meanwhile, and is stored all the same
            self._waiting.popleft()
        if self._waiting:
            self.errand.ask()
