"""A session on a real connection: frames in, frames out, ticks of the clock, and another connection after each end.

A slow consumer slows the reading down: the library keeps a bounded number of messages and then stops taking them from
the network, so that memory does not grow; the venue may close the connection of one who is too slow. Time that the
consumer takes is not counted as the venue's silence.
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

from streaming.connection.backoff import AttemptResult, Backoff
from streaming.connection.budget import ConnectionBudget
from streaming.connection.opening import ConnectionFailed, ConnectionLimits, open_connection
from streaming.session.output import (
    CloseKind,
    CloseRequest,
    Moment,
    Reconnecting,
    SessionEvent,
    SessionOutput,
)
from streaming.session.session import Session
from trading.errors import InvalidMessage, NotAuthorised, Transient, VenueRefused, VenueUnreachable

logger = logging.getLogger(__name__)

Handler = Callable[[SessionEvent], Awaitable[None]]
# Called with the time, by `time.monotonic`, of the newest frame: nothing waited behind it, so everything that the venue
# had sent until then was passed on.
CaughtUp = Callable[[float], None]
QUIET = 0.01  # seconds without a frame that prove that none was waiting
STOPPED = "stopped"
MAX_ABSENT_ATTEMPTS = 5  # on an address of this machine at which nothing has ever listened


class FrameStore(Protocol):
    """Storage for rejected frames: `streaming.quarantine.Quarantine`."""

    def store(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None: ...


async def run_session(
    session: Session,
    handler: Handler,
    stop: asyncio.Event,
    *,
    quarantine: FrameStore,
    backoff: Backoff,
    budget: ConnectionBudget | None = None,
    limits: ConnectionLimits | None = None,
    caught_up: CaughtUp | None = None,
) -> None:
    """Pass every event to `handler`, one after the other, until `stop` is set; what it raises ends everything.

    NotAuthorised, VenueRefused and InvalidValue when no further attempt can help; VenueUnreachable when no stream has
    ever been at the address, or nothing at one of this machine; UnusableHome when attempts cannot be counted.
    Everything else is retried.
    """
    await _SessionRunner(
        session=session,
        handler=handler,
        stop=stop,
        quarantine=quarantine,
        backoff=backoff,
        budget=budget,
        limits=limits or ConnectionLimits(),
        caught_up=caught_up,
    ).run()


class _ConnectionLost(Exception):
    """The connection is gone; the message is the cause."""


class _SessionRunner:
    def __init__(
        self,
        session: Session,
        handler: Handler,
        stop: asyncio.Event,
        quarantine: FrameStore,
        backoff: Backoff,
        budget: ConnectionBudget | None,
        limits: ConnectionLimits,
        caught_up: CaughtUp | None,
    ) -> None:
        self._session = session
        self._feed = session.feed
        self._handler = handler
        self._stop = stop
        self._quarantine = quarantine
        self._backoff = backoff
        self._budget = budget
        self._limits = limits
        self._caught_up = caught_up
        self._newest_frame: float | None = None  # of this connection
        self._handler_seconds = 0.0  # that the consumer took, in which nobody listened
        self._was_connected = False
        self._absent_attempts = 0  # in a row

    async def run(self) -> None:
        while not self._stop.is_set():
            reason, result = await self._attempt()
            if self._stop.is_set():
                break
            await self._wait(reason, self._backoff.pause(result))
        await self._carry_out(self._session.on_stop(self._now()), None)

    def _now(self) -> Moment:
        seconds = time.monotonic() - self._handler_seconds
        return Moment(seconds, datetime.now(UTC))

    async def _attempt(self) -> tuple[str, AttemptResult]:
        """Connect and run the connection; return why and how it ended."""
        # A stream that ran outlives a garbled answer; before the first connection that is a wrong address.
        retried = (Transient, InvalidMessage) if self._was_connected else Transient
        try:
            await asyncio.to_thread(self._feed.prepare)
        except retried as error:
            return str(error), AttemptResult(False, maintenance=self._session.in_maintenance)
        await self._wait_for_budget()
        try:
            connection = await self._open()
        except ConnectionFailed as error:
            self._count_absence(error)
            maintenance, pause = self._session.in_maintenance, error.minimum_pause
            return str(error), AttemptResult(False, maintenance=maintenance, minimum_pause=pause)
        return (
            (STOPPED, AttemptResult(False)) if connection is None else await self._run_connection(connection)
        )

    def _count_absence(self, error: ConnectionFailed) -> None:
        """Raise VenueUnreachable where a person has to start something first."""
        absent = error.nothing_listens and not self._was_connected
        self._absent_attempts = self._absent_attempts + 1 if absent else 0
        if self._absent_attempts >= MAX_ABSENT_ATTEMPTS:
            raise VenueUnreachable(f"{error}: is it running? start it (`marketloom sandbox`)") from error

    async def _wait_for_budget(self) -> None:
        while self._budget is not None and not self._stop.is_set():
            pause = await asyncio.to_thread(self._budget.take, time.time())
            if not pause:
                return
            await self._wait(f"{self._feed.venue}'s connection budget is used up", pause)

    async def _wait(self, reason: str, pause: float) -> None:
        logger.warning("%s; next attempt in %.1f s", reason, pause)
        await self._notify(Reconnecting(reason, pause))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), pause)

    async def _run_connection(self, connection: ClientConnection) -> tuple[str, AttemptResult]:
        self._was_connected = True
        began = time.monotonic()
        async with connection:
            reason = await self._listen(connection)
        if reason != STOPPED:
            await self._carry_out(self._session.on_disconnect(self._now(), reason), None)
        return reason, AttemptResult(True, time.monotonic() - began, self._session.in_maintenance)

    async def _listen(self, connection: ClientConnection) -> str:
        """Return why it ended. Raises what no other connection can better."""
        try:
            close = await self._exchange_frames(connection)
        except _ConnectionLost as lost:
            return str(lost)
        if close is None:
            return STOPPED
        if close.kind is CloseKind.REFUSED:
            raise VenueRefused(close.reason)
        if close.kind is CloseKind.NOT_AUTHORISED:
            raise NotAuthorised(f"{close.reason}; check the key and what it may do")
        return close.reason

    async def _exchange_frames(self, connection: ClientConnection) -> CloseRequest | None:
        """Return why the session wants the connection closed, None when everything was stopped."""
        self._newest_frame = None
        close = await self._carry_out(self._session.on_connect(self._now()), connection)
        due = self._now().seconds + self._limits.tick_interval
        while close is None and not self._stop.is_set():
            frame = await self._receive(connection, due - self._now().seconds)
            now = self._now()
            if frame is not None:
                close = await self._carry_out(self._session.on_frame(frame, now), connection)
            if close is None and now.seconds >= due:
                close = await self._carry_out(self._session.on_tick(now), connection)
                due = now.seconds + self._limits.tick_interval
        return close

    async def _receive(self, connection: ClientConnection, timeout: float) -> str | bytes | None:
        """Return a frame, None when none came in time.

        Bytes where it is no text: an unreadable message does not end the connection.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                frame = await connection.recv(decode=False)
        except TimeoutError:
            self._note_quiet(began)
            return None
        except ConnectionClosed as error:
            raise _ConnectionLost(f"{self._feed.venue} closed the connection: {error}") from error
        self._note_quiet(began)
        self._newest_frame = time.monotonic()
        try:
            return frame.decode()
        except UnicodeDecodeError:
            return frame

    def _note_quiet(self, began: float) -> None:
        waited = time.monotonic() - began
        if waited >= QUIET and self._caught_up is not None and self._newest_frame is not None:
            self._caught_up(self._newest_frame)

    async def _carry_out(
        self, output: SessionOutput, connection: ClientConnection | None
    ) -> CloseRequest | None:
        for rejected in output.rejected:
            self._quarantine.store(rejected.frame, self._feed.venue, rejected.channel, rejected.reason)
        lost = None if connection is None else await self._send(connection, output.frames)
        for event in output.events:
            await self._notify(event)
        if lost is not None:
            raise lost
        return output.close

    async def _send(self, connection: ClientConnection, frames: list[str]) -> _ConnectionLost | None:
        if not frames:
            return None
        try:
            async with asyncio.timeout(self._limits.send_timeout):
                for frame in frames:
                    await connection.send(frame)
        except TimeoutError:
            return _ConnectionLost(f"{self._feed.venue} took no frame for {self._limits.send_timeout:g} s")
        except ConnectionClosed as error:
            return _ConnectionLost(f"{self._feed.venue} closed the connection: {error}")
        return None

    async def _notify(self, event: SessionEvent) -> None:
        began = time.monotonic()
        await self._handler(event)
        self._handler_seconds += time.monotonic() - began

    async def _open(self) -> ClientConnection | None:
        """Return None when everything was stopped meanwhile. A connection that comes too late is closed."""
        if self._stop.is_set():
            return None
        opening = asyncio.create_task(open_connection(self._feed, self._limits, self._was_connected))
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
