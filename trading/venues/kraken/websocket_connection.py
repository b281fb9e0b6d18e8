"""The private WebSocket, kept open: opened when it is first needed, again after each end, never in a hurry."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random

from trading.errors import MarketloomError
from trading.venues.kraken.websocket_link import Link, NotConnected

LOG = logging.getLogger("marketloom.kraken")
INSTANT_RETRIES = 3  # after drops in a row
STABLE_LIFETIME = 60.0  # seconds: a connection that lived so long was a good one
MAX_PAUSE = 60.0  # seconds
CLOSING = 5.0  # seconds that the end of the thread is waited for


def reconnect_pause(failures: int, was_open: bool, random: Random) -> float:
    """Return the seconds before the next attempt, after so many short connections or failed attempts in a row.

    Some instant retries after drops, then longer and longer: Kraken bans an address for ten minutes after about 150
    attempts in ten minutes, whoever makes them.
    """
    if was_open and failures <= INSTANT_RETRIES:
        return 0.0
    longest = min(2.0 ** min(failures, 10), MAX_PAUSE)
    return random.uniform(longest / 2, longest)


class KeptConnection:
    """A thread opens links one after the other; `link` returns the one that is open."""

    def __init__(
        self,
        open_link: Callable[[], AbstractContextManager[Link]],
        lost: Callable[[], None],
        patience: float,
        random: Random | None = None,
    ) -> None:
        """`lost` is called after each end. `patience`: seconds that `link` waits for a connection on its way."""
        self._open_link = open_link
        self._lost = lost
        self._patience = patience
        self._random = random or Random()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._link: Link | None = None
        self._pausing = False
        self._closed = False
        self._reason = "it is still being opened"

    def open(self) -> None:
        """Begin to connect, unless that was done, or closed."""
        with self._changed:
            self._start()

    def link(self) -> Link:
        """Return the open link, at first use after opening it. NotConnected after the patience, at once in a pause."""
        with self._changed:
            self._start()
            self._changed.wait_for(lambda: self._link or self._pausing or self._closed, self._patience)
            if self._link is None:
                raise NotConnected(f"Kraken WebSocket is not connected: {self._reason}")
            return self._link

    def close(self) -> None:
        """End the connection and the thread; whatever waits for an answer gets OutcomeUnknown."""
        with self._changed:
            self._closed, self._reason = True, "it was closed"
            link, thread = self._link, self._thread
            self._changed.notify_all()
        if link is not None:
            link.close()
        if thread is not None and thread is not threading.current_thread():  # as when it is collected there
            thread.join(CLOSING)  # it may just be asking for a token

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="kraken-websocket", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        failures = 0
        while not self._closed:
            began = time.monotonic()
            try:
                was_open = self._live_once()
            except Exception:  # a mistake of ours must not end the way of orders for good
                LOG.exception("Kraken WebSocket: the connection failed")
                was_open = False
            failures = 1 if time.monotonic() - began >= STABLE_LIFETIME else failures + 1
            self._pause(reconnect_pause(failures, was_open, self._random))

    def _live_once(self) -> bool:
        """Open a link and listen to its end; return whether it was open."""
        was_open = False
        try:
            with self._open_link() as link:
                was_open = True
                self._note(self._listen(link))
        except MarketloomError as error:
            self._note(str(error))
        return was_open

    def _listen(self, link: Link) -> str:
        self._announce(link)
        try:
            return link.listen()
        finally:
            self._announce(None)
            self._lost()

    def _announce(self, link: Link | None) -> None:
        with self._changed:
            self._link = link
            self._changed.notify_all()
        if link is not None and self._closed:
            link.close()

    def _note(self, reason: str) -> None:
        with self._changed:
            if self._closed:
                return
            self._reason = reason
        LOG.warning("Kraken WebSocket: %s", reason)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._pausing = seconds > 0
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed, seconds)
            self._pausing = False
