"""What the account's stream says about orders: which have ended, and when something was missed."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from trading.errors import InvalidMessage
from trading.venues.kraken.websocket_messages import (
    EXECUTIONS,
    ExecutionReport,
    WebSocketMessage,
    decode_executions,
)

LOG = logging.getLogger("marketloom.kraken")
MAX_ENDED = 1000  # orders whose end is remembered: a report may be here before the answer to the order
Listener = Callable[[ExecutionReport | None], None]


class ExecutionReports:
    """Reports by order. They say when to ask: what is booked is read over REST."""

    def __init__(self, listener: Listener | None = None) -> None:
        """Let `listener` know each report, and None where reports were missed; it must return at once."""
        self._listener = listener
        self._changed = threading.Condition()
        self._ended: OrderedDict[str, ExecutionReport] = OrderedDict()
        self._live = False
        self._sequence = 0  # of the last message
        self._missed = 0

    def expect_first(self) -> None:
        """Expect message 1 of a new subscription, its snapshot: any other proves that reports were missed."""
        self._sequence = 0

    def begin(self) -> None:
        """Note that a subscription is confirmed."""
        self._live = True

    def take(self, message: WebSocketMessage) -> None:
        """Take a message of any channel; what is not about executions is ignored."""
        if message.channel != EXECUTIONS:
            return
        try:
            executions = decode_executions(message)
        except InvalidMessage as error:
            LOG.warning("Kraken WebSocket: %s", error)
            self.miss()
            return
        self._count(message.sequence)
        with self._changed:
            self._ended.update((each.order_id, each) for each in executions if each.ended)
            while len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
            self._changed.notify_all()
        for each in executions:
            self._tell(each)

    def end(self) -> None:
        """Note that the connection is gone, and what happens until the next one is missed."""
        self._live = False
        self.miss()

    def miss(self) -> None:
        with self._changed:
            self._missed += 1
            self._changed.notify_all()
        self._tell(None)

    def wait_for_end(self, order_id: str, timeout: float) -> ExecutionReport | None:
        """Return the last report of the order as soon as it has ended. None: not within the timeout, or not known.

        Where reports were missed, or nothing is connected, None comes at once: ask over REST.
        """
        with self._changed:
            missed = self._missed
            if self._live:
                self._changed.wait_for(lambda: order_id in self._ended or self._missed != missed, timeout)
            return self._ended.get(order_id)

    def _count(self, sequence: int | None) -> None:
        """Find what is missing between two messages."""
        last, number = self._sequence, sequence or 0
        self._sequence = max(last, number)
        if number > last + 1:
            LOG.warning("Kraken WebSocket: executions %d to %d were missed", last + 1, number - 1)
            self.miss()

    def _tell(self, execution: ExecutionReport | None) -> None:
        if self._listener is None:
            return
        try:
            self._listener(execution)
        except Exception:  # the listener's own trouble must not end the connection
            LOG.exception("Kraken WebSocket: what listens to executions failed")
