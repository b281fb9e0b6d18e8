"""Trigger orders of one pair, which wait for the last price to reach them, and trailing stops, which follow it.

Stop-losses and trailing stops trigger when the price turns against the trader, take-profits when it moves his way:
a sell stop and a buy profit when it falls to their trigger, the others when it rises to it.
"""

from decimal import Decimal
from heapq import heapify, heappop, heappush

from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import TAKE_PROFIT
from trading.orders import Side

MAX_OUTDATED = 100  # outdated entries that are not worth the work
Entry = tuple[Decimal, int, str]  # signed price, acceptance number, order id


class Triggers:
    """Heaps whose outdated entries are dropped when they come to the top."""

    def __init__(self) -> None:
        self._armed: dict[str, WorkingOrder] = {}
        self._firing: dict[int, list[Entry]] = {1: [], -1: []}  # by the sign of the move that fires them
        self._trailing: dict[int, list[Entry]] = {1: [], -1: []}  # by the sign of the move that they follow

    def __contains__(self, working: WorkingOrder) -> bool:
        return working.order.order_id in self._armed

    def arm(self, working: WorkingOrder) -> None:
        """Watch the order; call it also after its trigger or peak has changed."""
        order = working.order
        assert order.trigger_price is not None
        self._armed[order.order_id] = working
        move = _fires_on(working)
        _push(self._firing[move], order.trigger_price, move, working)
        if working.peak is not None:
            _push(self._trailing[-move], working.peak, -move, working)
        self._tidy(self._firing[move], "trigger")
        self._tidy(self._trailing[-move], "peak")

    def disarm(self, working: WorkingOrder) -> None:
        del self._armed[working.order.order_id]

    def due(self, last: Decimal) -> WorkingOrder | None:
        """Return the next order that this price triggers: the one whose trigger the price passed first."""
        for move in (-1, 1):
            heap = self._firing[move]
            while heap and (working := self._current(heap[0], "trigger")) is None:
                heappop(heap)
            if heap and heap[0][0] <= last * move:
                return working
        return None

    def pop_beaten(self, last: Decimal) -> list[WorkingOrder]:
        """Remove and return trailing stops whose peak this price beats, to be armed again with their new peak."""
        beaten = []
        for move in (1, -1):
            heap = self._trailing[move]
            while heap and heap[0][0] < last * move:
                if (working := self._current(heappop(heap), "peak")) is not None:
                    beaten.append(working)
        return beaten

    def _tidy(self, heap: list[Entry], what: str) -> None:
        """Drop outdated entries: far from the top they would stay for ever."""
        if len(heap) > MAX_OUTDATED + 2 * len(self._armed):
            heap[:] = {entry for entry in heap if self._current(entry, what) is not None}
            heapify(heap)

    def _current(self, entry: Entry, what: str) -> WorkingOrder | None:
        working = self._armed.get(entry[2])
        if working is None:
            return None
        value = working.order.trigger_price if what == "trigger" else working.peak
        return working if value == abs(entry[0]) else None


def _push(heap: list[Entry], price: Decimal, move: int, working: WorkingOrder) -> None:
    heappush(heap, (price * move, working.number, working.order.order_id))


def _fires_on(working: WorkingOrder) -> int:
    """Return +1: a rise to the trigger, -1: a fall to it."""
    request = working.order.request
    sign = -1 if request.side is Side.SELL else 1
    return -sign if request.order_type in TAKE_PROFIT else sign
