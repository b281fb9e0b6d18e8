"""Player of a market: every tick is applied when it is due by the clock."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

from streaming.sandbox.market.clock import MarketClock
from streaming.sandbox.market.source import Tick, TickSource
from trading.errors import InvalidValue

ELAPSE_INTERVAL = 0.1  # seconds: at the latest then `elapse` is called again
TURN = 0.005  # seconds of applying ticks until everybody else has a turn

log = logging.getLogger(__name__)


class TickPlayer:
    """Ticks of a source into `apply`, from the clock's time on; `elapse` whenever time passed without any.

    The clock never passes a tick that is not applied: where ticks come faster than they can be, the market is slower,
    and waits after each turn until the listeners have received what it made: nobody keeps pace with it otherwise.
    At speed 0 nothing happens but `advance`. Errors of the source and of `apply` end the playing: they are raised.
    """

    def __init__(
        self,
        source: TickSource,
        clock: MarketClock,
        apply: Callable[[Tick], None],
        elapse: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._apply = apply
        self._elapse = elapse
        self._drain = drain
        self._ticks: Iterator[Tick] = iter(source.ticks(clock.now()))
        self._next: Tick | None = None
        self._ended = False
        self._applied = 0
        self._advancing = asyncio.Lock()

    @property
    def speed(self) -> float:
        """Return the market seconds that pass each second."""
        return self._clock.speed

    def set_speed(self, speed: float) -> None:
        """Let the market go on at another speed; 0 stops it until another speed, or `advance`, moves it on."""
        self._clock.set_speed(speed)

    async def play(self, stop: asyncio.Event) -> None:
        """Play until `stop` is set. After the last tick the exchange goes on with the last price."""
        while not stop.is_set():
            if self._clock.speed and self._turn():
                await self._drain()
            self._elapse()
            await _pause(stop, self._until_next())

    async def advance(self, until: datetime) -> int:
        """Apply every tick up to `until`, each at its own time, and set the clock to it: how many there were.

        Only for a clock of speed 0 (InvalidValue); a time that has passed changes nothing.
        """
        if until.tzinfo is None:
            raise InvalidValue(f"market time {until} needs a time zone: give it in UTC")
        self._clock.advance_to(self._clock.now())  # a running clock refuses this before anything is done
        async with self._advancing:
            before = self._applied
            while self._turn_by_hand(until):
                await asyncio.sleep(0)
            self._clock.advance_to(until)
            self._elapse()
            return self._applied - before

    def _turn(self) -> bool:
        """Apply what is due, for as long as one turn may take; True when that was too short."""
        end = time.monotonic() + TURN
        while (tick := self._peek()) is not None:
            self._clock.set_limit(tick.at)
            if self._clock.now() < tick.at:
                return False
            self._apply_next(tick)
            if time.monotonic() > end:
                return True
        self._clock.set_limit(None)
        return False

    def _turn_by_hand(self, until: datetime) -> bool:
        """Return True when there is more to do."""
        end = time.monotonic() + TURN
        while (tick := self._peek()) is not None and tick.at <= until:
            self._clock.advance_to(tick.at)
            self._apply_next(tick)
            if time.monotonic() > end:
                return True
        return False

    def _apply_next(self, tick: Tick) -> None:
        self._next = None
        self._applied += 1
        self._apply(tick)

    def _peek(self) -> Tick | None:
        if self._next is None and not self._ended:
            self._next = next(self._ticks, None)
            if self._next is None:
                self._ended = True
                log.info("the replay ended at %s: the market stands at its last prices", self._clock.now())
        return self._next

    def _until_next(self) -> float:
        tick = self._peek() if self._clock.speed else None
        delay = self._clock.delay_until(tick.at) if tick else None
        return ELAPSE_INTERVAL if delay is None else min(delay, ELAPSE_INTERVAL)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Others have their turn, also when no time is left; ends early when it is time to stop."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
