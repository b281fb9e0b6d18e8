"""One page of a stranger's server, with a bound on everything: bytes, time, redirects, and where it may lead.

An address from the settings is the user's word and may lie in the own network. Where a server sends us on, or what a
public name resolves to, is not: only public addresses are connected to, by the number that was checked, so that a name
cannot mean another machine a moment later.
"""

import ipaddress
import re
import socket
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

from trading.bounded_streams import BoundedStream, Deadline
from trading.errors import NewsUnreachable, NotAuthorised

AGENT = "marketloom/0.1 (reads RSS and Atom)"
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A name that only the own network knows: without a dot, or of these domains.
_OWN_NAME = re.compile(r"^[^.]+$|\.(?:localhost|local|lan|home|internal|home\.arpa)$")
# IPv6 numbers that end in an IPv4 address: compatible and mapped (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052).
_TRANSLATED = [
    ipaddress.IPv6Network(each) for each in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
]
_OWN_TRANSLATION = [ipaddress.IPv6Network("64:ff9b:1::/48")]  # NAT64 of an own network (RFC 8215)
_ISATAP = 0x5EFE  # before the IPv4 address, in whatever network (RFC 5214)
_INFLATED = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's window bits


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Of one page, redirects included; `size` in bytes, before and after it is unpacked."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Page:
    body: bytes
    content_type: str


def fetch(url: str, limits: FetchLimits, headers: Mapping[str, str] | None = None) -> Page:
    """Read a page. `headers` go to the origin of `url` alone.

    NewsUnreachable names the host and why; NotAuthorised where the server wants another key. Neither shows the path or
    query, which may hold a key.
    """
    deadline = Deadline()
    deadline.at = time.monotonic() + limits.seconds
    first, target = urlsplit(url), url
    for _ in range(MAX_REDIRECTS + 1):
        split = _checked(target, first)
        own = _origin(split) == _origin(first)
        with _pool(deadline, may_be_private=own and _is_own_name(split.hostname or "")) as pool:
            answer = _get(pool, target, split, limits.size, headers if own and headers else {})
        if isinstance(answer, Page):
            return answer
        target = _joined(target, answer, first)
    raise _unreachable(first, f"it was sent on more than {MAX_REDIRECTS} times")


def _get(
    pool: httpcore.ConnectionPool, url: str, split: SplitResult, size: int, headers: Mapping[str, str]
) -> Page | str:
    """Return the page, or the address that the server sends us on to."""
    sent = {"User-Agent": AGENT, "Accept-Encoding": "gzip", "Host": split.netloc, **headers}
    try:
        with pool.stream("GET", url, headers=list(sent.items())) as response:
            found = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
            }
            if response.status in REDIRECTS and "location" in found:
                return found["location"]
            if response.status in (401, 403):
                raise NotAuthorised(
                    f"{split.hostname} refuses access (HTTP {response.status}): check the key"
                )
            if response.status != 200:
                raise _unreachable(split, f"it answered with HTTP {response.status}")
            body = _unpacked(response.iter_stream(), found.get("content-encoding", ""), size, split)
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise _unreachable(split, "it did not answer in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
        raise _unreachable(split, f"{type(error).__name__}: {error}") from error
    return Page(body, found.get("content-type", ""))


def _unpacked(parts: Iterable[bytes], encoding: str, size: int, split: SplitResult) -> bytes:
    """Join the parts and unpack them; a few bytes that unpack to many are noticed before they are unpacked."""
    kind = encoding.strip().lower()
    if kind not in (*_INFLATED, "", "identity"):
        raise _unreachable(split, f"it is packed as {kind[:20]!r}, which was not asked for")
    unpack = zlib.decompressobj(_INFLATED[kind]) if kind in _INFLATED else None
    received, body = 0, bytearray()
    for part in parts:
        received += len(part)
        try:
            body += unpack.decompress(part, size + 1 - len(body)) if unpack else part
        except zlib.error as error:
            raise _unreachable(split, f"it cannot be unpacked: {error}") from error
        if max(received, len(body)) > size:
            raise _unreachable(split, f"it is longer than {size} bytes")
    if unpack and not unpack.eof:
        raise _unreachable(split, "it ends before its end")
    return bytes(body)


class _CheckedBackend(httpcore.SyncBackend):
    """Connects to an address that was checked, and to no other that the name may have."""

    def __init__(self, deadline: Deadline, may_be_private: bool) -> None:
        self._deadline = deadline
        self._may_be_private = may_be_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        allowed = [each for each in addresses if self._may_be_private or is_public(each)]
        if not allowed:
            raise httpcore.ConnectError(f"{host} is a private address: nothing there is asked for news")
        limit = self._deadline.limit(timeout)
        stream = super().connect_tcp(allowed[0], port, limit, local_address, socket_options)
        return BoundedStream(stream, self._deadline)


def is_public(address: str) -> bool:
    """Return whether the number is one of the internet, and not of this machine or a network behind a router."""
    number = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(number, ipaddress.IPv6Address):
        if any(number in network for network in _OWN_TRANSLATION):
            return False
        if inside := _embedded(number):
            return all(is_public(str(each)) for each in inside)
        if int(number) >> 32 & 0xFDFFFFFF == _ISATAP and not is_public(str(_last(number))):
            return False
    return number.is_global and not number.is_multicast


def _embedded(number: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that a router or translator on the way would take out of the number."""
    if any(number in network for network in _TRANSLATED):
        return [_last(number)]
    return [number.sixtofour] if number.sixtofour else list(number.teredo or ())


def _last(number: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)


def _pool(deadline: Deadline, may_be_private: bool) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        max_connections=1, network_backend=_CheckedBackend(deadline, may_be_private), retries=0
    )


def _joined(url: str, location: str, first: SplitResult) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _unreachable(first, "it sends on to what is no address") from error


def _checked(url: str, first: SplitResult) -> SplitResult:
    try:
        split = urlsplit(url)
        known = split.hostname and split.port != 0
    except ValueError as error:
        raise _unreachable(first, "it sends on to what is no address") from error
    if not known or split.scheme not in ("https", "http") or split.username or split.password:
        raise _unreachable(first, f"{split.scheme or 'no'} address: only plain https and http are read")
    if first.scheme == "https" and split.scheme == "http":
        raise _unreachable(first, "it sends on from https to http, where everybody can change what is read")
    return split


def _origin(split: SplitResult) -> tuple[str, str | None, int | None]:
    return split.scheme, split.hostname, split.port


def _is_own_name(host: str) -> bool:
    """Return whether an address of the settings is meant for the own network: by its number, or by its name."""
    try:
        return not is_public(host)
    except ValueError:
        return bool(_OWN_NAME.search(host.lower()))


def _unreachable(split: SplitResult, why: str) -> NewsUnreachable:
    return NewsUnreachable(f"{split.hostname or 'no host'}: {why}")
