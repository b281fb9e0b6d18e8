"""Opening one connection to a venue, within limits, with a clear reason where it fails."""

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI

from streaming.feeds import Feed
from trading.errors import InvalidValue, NotAuthorised, VenueUnreachable

NOT_FOUND = (404, 405, 410)
UNAUTHORISED = 401
TOO_MANY_REQUESTS = 429
MAX_RETRY_AFTER = 3_600  # seconds


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of a connection, in seconds and bytes."""

    open_timeout: float = 10.0  # name, TCP, TLS and handshake together
    close_timeout: float = 2.0  # for the other side's closing handshake: a dead one sends none
    send_timeout: float = 5.0  # until a frame has left us
    max_message_size: int = 16 * 2**20  # 1,500 listings of pairs are about 1 MB
    max_buffered: int = 64  # messages that wait for us; then reading stops
    tick_interval: float = 0.25  # between two checks of the timeouts


class ConnectionFailed(Exception):
    """Another attempt may succeed, after `minimum_pause` seconds.

    `nothing_listens`: there is no server at the address, which is on this machine.
    """

    def __init__(self, reason: str, minimum_pause: float = 0.0, nothing_listens: bool = False) -> None:
        super().__init__(reason)
        self.minimum_pause = minimum_pause
        self.nothing_listens = nothing_listens


async def open_connection(feed: Feed, limits: ConnectionLimits, was_connected: bool) -> ClientConnection:
    """Connect to the feed's address.

    ConnectionFailed, InvalidValue for what is no address, NotAuthorised, VenueUnreachable when no stream is there;
    a stream that was there once (`was_connected`) is only away for now. TLS is the library's default: certificates
    and host names are checked.
    """
    where = f"{_address(feed)} ({feed.venue})"
    try:
        return await _connect(feed, limits)
    except (InvalidURI, InvalidProxy, ValueError, OverflowError) as error:
        kind = type(error).__name__  # its message may hold the key that some venues want in the address
        raise InvalidValue(f"{where} is no address ({kind}): write it like wss://host/path") from None
    except InvalidStatus as error:
        raise _error_of_status(where, error, feed, was_connected) from error
    except TimeoutError as error:
        raise ConnectionFailed(f"{where} does not answer within {limits.open_timeout:g} s") from error
    except ssl.SSLError as error:
        raise ConnectionFailed(
            f"{where}: no secure connection ({error}): check the clock and the certificates"
        ) from error
    except (OSError, InvalidHandshake, EOFError) as error:
        reason = f"{where} cannot be reached: {str(error) or type(error).__name__}"
        nothing_listens = isinstance(error, OSError) and _is_loopback(feed)
        if not _is_loopback(feed):
            reason += "; check the internet connection"
        raise ConnectionFailed(reason, nothing_listens=nothing_listens) from error


def _address(feed: Feed) -> str:
    """Return the address without the query, where some venues want the key."""
    return feed.url.partition("?")[0]


def _is_loopback(feed: Feed) -> bool:
    host = urlsplit(feed.url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _connect(feed: Feed, limits: ConnectionLimits) -> ClientConnection:
    """Connect with neither pings nor compression.

    Venues send heartbeats, and the session checks what counts, the messages; the library would close the connection
    of a slow consumer, who does not read the answers to its pings. Frames are small and many: packing costs more time
    than it saves, and memory.
    """
    return await connect(
        feed.url,
        compression=None,
        open_timeout=limits.open_timeout,
        close_timeout=limits.close_timeout,
        ping_interval=None,
        max_size=limits.max_message_size,
        max_queue=limits.max_buffered,
    )


def _error_of_status(where: str, error: InvalidStatus, feed: Feed, was_connected: bool) -> Exception:
    status = error.response.status_code
    if status == UNAUTHORISED:
        return NotAuthorised(f"{where} answers HTTP 401: check the key and what it may do")
    if status in NOT_FOUND and not was_connected:
        return VenueUnreachable(f"{where} answers HTTP {status}: no stream is there; check the address")
    reason = f"{where} refuses the connection: HTTP {status}"
    if status != TOO_MANY_REQUESTS:
        return ConnectionFailed(reason)
    default = feed.rules.max_pause.total_seconds()
    pause = _parse_retry_after(error.response.headers.get("Retry-After"), default)
    return ConnectionFailed(f"{reason}, too many", pause)


def _parse_retry_after(header: str | None, default: float) -> float:
    """Return the header's seconds; `default` for one that names a date, or for none."""
    return float(min(int(header), MAX_RETRY_AFTER)) if header and header.isdecimal() else default
