"""A session on a real connection: frames in, frames out, ticks of the clock, and another connection after each end.

A consumer that is slow slows the reading down: the library keeps a bounded number of messages and then stops taking
them from the network, so that memory does not grow; the venue may close the connection of one who is too slow. Time
that the consumer takes is not counted as the venue's silence.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from streaming.connection.attempts import Attempts, Ending
from streaming.connection.opening import NotOpened, Wire, opened
from streaming.session.output import Close, End, Heard, Moment, Output, Reconnecting
from streaming.session.session import Session
from trading.errors import InvalidMessage, NotAuthorised, Transient, VenueRefused, VenueUnreachable

logger = logging.getLogger(__name__)

Handler = Callable[[Heard], Awaitable[None]]
STOPPED = "stopped"
MOST_ABSENCES = 5  # attempts on an address of this machine at which nothing has ever listened


class Keeper(Protocol):
    """Where unreadable messages are kept: `streaming.quarantine.Quarantine`."""

    def keep(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None: ...


async def run(
    session: Session,
    handler: Handler,
    stop: asyncio.Event,
    *,
    quarantine: Keeper,
    attempts: Attempts,
    wire: Wire | None = None,
) -> None:
    """Until `stop` is set, tell `handler` what is heard, one after the other; what it raises ends everything.

    NotAuthorised, VenueRefused and InvalidValue when no further attempt can help; VenueUnreachable when no stream has
    ever been at the address, or nothing at one of this machine; UnusableHome when attempts cannot be counted.
    Everything else is retried.
    """
    await _Lifetime(session, handler, stop, quarantine, attempts, wire or Wire()).run()


class _Over(Exception):
    """The connection is gone; says why."""


class _Lifetime:
    def __init__(
        self,
        session: Session,
        handler: Handler,
        stop: asyncio.Event,
        quarantine: Keeper,
        attempts: Attempts,
        wire: Wire,
    ) -> None:
        self._session = session
        self._feed = session.feed
        self._handler = handler
        self._stop = stop
        self._quarantine = quarantine
        self._attempts = attempts
        self._wire = wire
        self._busy = 0.0  # seconds that the consumer took, in which nobody listened
        self._known = False  # there was a connection once
        self._absences = 0  # in a row

    async def run(self) -> None:
        while not self._stop.is_set():
            reason, ending = await self._attempt()
            if self._stop.is_set():
                break
            pause = self._attempts.pause(ending)
            logger.warning("%s; next attempt in %.1f s", reason, pause)
            await self._tell(Reconnecting(reason, pause))
            await self._sleep(pause)
        await self._apply(self._session.ended(self._now()), None)

    def _now(self) -> Moment:
        return Moment(asyncio.get_running_loop().time() - self._busy, datetime.now(UTC))

    async def _attempt(self) -> tuple[str, Ending]:
        """Why it ended, and how."""
        # A stream that ran outlives a garbled answer; before the first connection that is a wrong address.
        passing = (Transient, InvalidMessage) if self._known else Transient
        try:
            await asyncio.to_thread(self._feed.prepare)
        except passing as error:
            return str(error), Ending(False, maintenance=self._session.maintenance)
        await self._within_budget()
        try:
            connection = await self._opened()
        except NotOpened as error:
            self._expect_to_meet(error)
            return str(error), Ending(False, maintenance=self._session.maintenance, least=error.least)
        return (STOPPED, Ending(False)) if connection is None else await self._live(connection)

    def _expect_to_meet(self, error: NotOpened) -> None:
        """VenueUnreachable where a person has to start something first."""
        self._absences = self._absences + 1 if error.absent and not self._known else 0
        if self._absences >= MOST_ABSENCES:
            raise VenueUnreachable(f"{error}: is it running? start it (`marketloom sandbox`)") from error

    async def _within_budget(self) -> None:
        while not self._stop.is_set():
            wait = await asyncio.to_thread(self._attempts.take, time.time())
            if not wait:
                return
            reason = f"{self._feed.venue}'s connection budget is used up"
            logger.warning("%s; next attempt in %.1f s", reason, wait)
            await self._tell(Reconnecting(reason, wait))
            await self._sleep(wait)

    async def _live(self, connection: ClientConnection) -> tuple[str, Ending]:
        self._known = True
        began = time.monotonic()
        async with connection:
            reason = await self._listen(connection)
        if reason != STOPPED:
            await self._apply(self._session.disconnected(self._now(), reason), None)
        return reason, Ending(True, time.monotonic() - began, self._session.maintenance)

    async def _listen(self, connection: ClientConnection) -> str:
        """Why it ended. Raises what no other connection can better."""
        try:
            close = await self._until_closed(connection)
        except _Over as over:
            return str(over)
        if close is None:
            return STOPPED
        if close.end is End.REFUSED:
            raise VenueRefused(close.reason)
        if close.end is End.NOT_AUTHORISED:
            raise NotAuthorised(f"{close.reason}; check the key and what it may do")
        return close.reason

    async def _until_closed(self, connection: ClientConnection) -> Close | None:
        """None when everything was stopped."""
        close = await self._apply(self._session.connected(self._now()), connection)
        due = self._now().seconds + self._wire.tick
        while close is None and not self._stop.is_set():
            frame = await self._frame(connection, due - self._now().seconds)
            now = self._now()
            if frame is not None:
                close = await self._apply(self._session.receive(frame, now), connection)
            if close is None and now.seconds >= due:
                close = await self._apply(self._session.tick(now), connection)
                due = now.seconds + self._wire.tick
        return close

    async def _frame(self, connection: ClientConnection, wait: float) -> str | bytes | None:
        """None when none came in time. Bytes where it is no text: an unreadable message, not the connection's end."""
        try:
            async with asyncio.timeout(wait):
                frame = await connection.recv(decode=False)
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise _Over(f"{self._feed.venue} closed the connection: {error}") from error
        try:
            return frame.decode()
        except UnicodeDecodeError:
            return frame

    async def _apply(self, output: Output, connection: ClientConnection | None) -> Close | None:
        for wrong in output.undecodable:
            self._quarantine.keep(wrong.frame, self._feed.venue, wrong.channel, wrong.reason)
        over = None if connection is None else await self._send(connection, output.frames)
        for heard in output.heard:
            await self._tell(heard)
        if over is not None:
            raise over
        return output.close

    async def _send(self, connection: ClientConnection, frames: list[str]) -> _Over | None:
        if not frames:
            return None
        try:
            async with asyncio.timeout(self._wire.send_timeout):
                for frame in frames:
                    await connection.send(frame)
        except TimeoutError:
            return _Over(f"{self._feed.venue} took no frame for {self._wire.send_timeout:g} s")
        except ConnectionClosed as error:
            return _Over(f"{self._feed.venue} closed the connection: {error}")
        return None

    async def _tell(self, heard: Heard) -> None:
        began = time.monotonic()
        await self._handler(heard)
        self._busy += time.monotonic() - began

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _opened(self) -> ClientConnection | None:
        """None when everything was stopped meanwhile. A connection that comes too late is closed."""
        if self._stop.is_set():
            return None
        opening = asyncio.create_task(opened(self._feed, self._wire, self._known))
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((opening, stopped), return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                return opening.result()
        except asyncio.CancelledError:
            await _discard(opening)
            raise
        finally:
            stopped.cancel()
        await _discard(opening)
        return None


async def _discard(opening: "asyncio.Task[ClientConnection]") -> None:
    opening.cancel()
    [result] = await asyncio.gather(opening, return_exceptions=True)
    if isinstance(result, ClientConnection):
        await result.close()
