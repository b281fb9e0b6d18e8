"""Opening one connection to a venue: its bounds, and in clear words why there is none."""

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI

from streaming.feeds import Feed
from trading.errors import InvalidValue, NotAuthorised, VenueUnreachable

NOTHING_THERE = (404, 405, 410)
UNAUTHORISED = 401
TOO_MANY = 429
LONGEST_RETRY = 3_600  # seconds


@dataclass(frozen=True, slots=True)
class Wire:
    """Bounds of a connection, in seconds and bytes."""

    open_timeout: float = 10.0  # name, TCP, TLS and handshake together
    close_timeout: float = 2.0  # for the other side's good-bye: a dead one says none
    send_timeout: float = 5.0  # until a frame has left us
    largest: int = 16 * 2**20  # of one message; 1,500 listings of pairs are about 1 MB
    buffered: int = 64  # messages that wait for us; then reading stops
    tick: float = 0.25  # between two looks at the clock


class NotOpened(Exception):
    """Another attempt may do better, not before `least` seconds have passed.

    `absent`: nothing on this machine listens at the address.
    """

    def __init__(self, reason: str, least: float = 0.0, absent: bool = False) -> None:
        super().__init__(reason)
        self.least = least
        self.absent = absent


async def opened(feed: Feed, wire: Wire, known: bool) -> ClientConnection:
    """NotOpened, InvalidValue for what is no address, NotAuthorised, VenueUnreachable when no stream is there.

    A stream that was there once (`known`) is only away for now. TLS is the library's default: certificates and host
    names are checked.
    """
    where = f"{_address(feed)} ({feed.venue})"
    try:
        return await _connected(feed, wire)
    except (InvalidURI, InvalidProxy, ValueError, OverflowError) as error:
        kind = type(error).__name__  # its message may hold the key that some venues want in the address
        raise InvalidValue(f"{where} is no address ({kind}): write it like wss://host/path") from None
    except InvalidStatus as error:
        raise _refused(where, error, feed, known) from error
    except TimeoutError as error:
        raise NotOpened(f"{where} does not answer within {wire.open_timeout:g} s") from error
    except ssl.SSLError as error:
        raise NotOpened(
            f"{where}: no secure connection ({error}): check the clock and the certificates"
        ) from error
    except (OSError, InvalidHandshake, EOFError) as error:
        reason = f"{where} cannot be reached: {str(error) or type(error).__name__}"
        raise NotOpened(reason, absent=isinstance(error, OSError) and _loopback(feed)) from error


def _address(feed: Feed) -> str:
    """Without the query, where some venues want the key."""
    return feed.url.partition("?")[0]


def _loopback(feed: Feed) -> bool:
    host = urlsplit(feed.url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _connected(feed: Feed, wire: Wire) -> ClientConnection:
    """Neither pings nor compression.

    Venues send heartbeats, and the session's watchdog looks at what counts, the messages; the library would close the
    connection of a slow consumer, who does not read the answers to its pings. Frames are small and many: packing
    costs more time than it saves, and memory.
    """
    return await connect(
        feed.url,
        compression=None,
        open_timeout=wire.open_timeout,
        close_timeout=wire.close_timeout,
        ping_interval=None,
        max_size=wire.largest,
        max_queue=wire.buffered,
    )


def _refused(where: str, error: InvalidStatus, feed: Feed, known: bool) -> Exception:
    status = error.response.status_code
    if status == UNAUTHORISED:
        return NotAuthorised(f"{where} answers HTTP 401: check the key and what it may do")
    if status in NOTHING_THERE and not known:
        return VenueUnreachable(f"{where} answers HTTP {status}: no stream is there; check the address")
    reason = f"{where} refuses the connection: HTTP {status}"
    if status != TOO_MANY:
        return NotOpened(reason)
    longest = feed.rules.longest_pause.total_seconds()
    return NotOpened(f"{reason}, too many", _seconds(error.response.headers.get("Retry-After"), longest))


def _seconds(header: str | None, otherwise: float) -> float:
    """Of a Retry-After header; `otherwise` for one that names a date, or for none."""
    return float(min(int(header), LONGEST_RETRY)) if header and header.isdecimal() else otherwise
