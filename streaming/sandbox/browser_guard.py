"""Web pages must not drive the sandbox: a request says by its Host and Origin when a browser sends it for a page."""

import socket
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

_NO_NAME = frozenset(
    "@/?#\\"
)  # with these a URL parser would find another name in a Host than other parsers do


def browser_guard(host: str) -> Middleware:
    """Return the middleware of a sandbox that listens on `host`. It refuses with 403, WebSocket handshakes too.

    A page that makes its own name point to this machine (DNS rebinding) sends that name as Host; numeric addresses
    cannot be made to point elsewhere. A page of another origin sends its Origin, always with a WebSocket.
    """
    own_names = frozenset({"localhost", host.lower(), socket.gethostname().lower()})

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get("Host", "")
        if not _is_own(asked, own_names):
            raise web.HTTPForbidden(
                text=f"the Host {asked[:100]!r} is not this sandbox: use its address in numbers, or localhost\n"
            )
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "none")
        two_origins = len(request.headers.getall("Origin", ())) > 1
        if origin not in (None, f"http://{asked}") or two_origins or site not in ("same-origin", "none"):
            raise web.HTTPForbidden(
                text=f"a web page ({(origin or 'cross-site')[:100]!r}) asks: only programs of this machine's user may\n"
            )
        return await handler(request)

    return guard


def _is_own(asked: str, own_names: frozenset[str]) -> bool:
    try:
        name = (URL(f"http://{asked}").host or "").lower()
        return _NO_NAME.isdisjoint(asked) and (name in own_names or ip_address(name) is not None)
    except ValueError:
        return False
