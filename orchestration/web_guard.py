"""What may reach Dagster's web server: it launches runs for everyone who asks, any page in a user's browser included.

Dagster executes GraphQL mutations by plain GET, for every Host and Origin (seen in 1.13). A page on another site, or
one whose own name points to this machine (DNS rebinding), could so launch runs, decisions too.
"""

import hashlib
import hmac
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading.errors import InvalidSettings

TOKEN = "MARKETLOOM_UI_TOKEN"
COOKIE = "marketloom_ui"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CLOSED_BY_POLICY = 1008  # RFC 6455, section 7.4.1


class WebGuard:
    """An ASGI application before another one: it refuses what a foreign page sends, and strangers without the token.

    `host` is the address that the server listens on, `allowed_hosts` further names by which people reach it, `token`
    the secret that they must know; InvalidSettings when the server can be reached from elsewhere and there is none.
    """

    def __init__(self, app: ASGIApp, host: str, allowed_hosts: tuple[str, ...] = (), token: str = "") -> None:
        check_reachability(host, token)
        self._app, self._token = app, token
        self._names = _LOOPBACK_NAMES | {name.lower() for name in (host, *allowed_hosts)}
        self._any_address = _is_unspecified(host)
        self._cookie = hmac.digest(token.encode(), b"marketloom ui", hashlib.sha256).hex()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif refusal := self._refusal(scope):
            await _refuse(refusal, scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET" and self._carries_token(scope):
            await self._let_in(scope)(scope, receive, send)
        else:
            await self._app(scope, receive, _unframed(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers, is_http = Headers(scope=scope), scope["type"] == "http"
        if (
            not scope["path"].isprintable()
            or len(headers.getlist("host")) > 1
            or len(headers.getlist("origin")) > 1
        ):
            return _forbidden("a control character in the path, or two Hosts or Origins", status=400)
        if not self._is_own(asked := headers.get("host", "")):
            return _forbidden(
                f"the Host {asked[:100]!r} is not this server: use localhost, or add it to [dagster] allowed_hosts"
            )
        reads = is_http and scope["method"] in _SAFE_METHODS
        if not reads and not _is_same_origin(headers, asked):
            return _forbidden("a page of another site sent this; only pages of this server may")
        if is_http and "graphql" in scope["path"].lower() and (problem := _graphql_problem(scope, headers)):
            return problem
        if self._token and not self._knows_token(scope, headers):
            return PlainTextResponse(
                f"this server needs its token: open /?token=... with the value of {TOKEN}, or send it as "
                "Authorization: Bearer ...\n",
                status_code=401,
            )
        return None

    def _is_own(self, asked: str) -> bool:
        name = _host_name(asked)
        return name in self._names or (self._any_address and _is_address(name))

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        return (
            (scheme.lower() == "bearer" and _equal(_utf8(bearer.strip()), self._token))
            or _equal(_read_cookie(headers), self._cookie)
            or self._carries_token(scope)
        )

    def _carries_token(self, scope: Scope) -> bool:
        given = _query(scope).get("token", [""])[0]
        return bool(self._token) and _equal(given, self._token)

    def _let_in(self, scope: Scope) -> Response:
        """Keep the browser's right in a cookie and the token out of its history."""
        response = RedirectResponse(scope["path"], status_code=303)
        response.set_cookie(COOKIE, self._cookie, httponly=True, samesite="strict")
        return response


def check_reachability(host: str, token: str) -> None:
    """Raise InvalidSettings when other machines could reach a server on `host` without a token."""
    if not token and not is_loopback(host):
        raise InvalidSettings(
            f"[dagster] host = {host!r} lets other machines launch runs: set {TOKEN} to a secret of your own, "
            'or host = "127.0.0.1"'
        )


def is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_unspecified(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


def _host_name(asked: str) -> str:
    """Return the name of a Host header without its port; empty for one that is none."""
    try:
        parts = urlsplit(f"//{asked}")
        return (parts.hostname or "") if parts.netloc == asked and "@" not in asked else ""
    except ValueError:
        return ""


def _is_same_origin(headers: Headers, asked: str) -> bool:
    """Judge by what every browser sends with a POST and a WebSocket; programs that are no browser send neither."""
    scheme, _, netloc = headers.get("origin", f"http://{asked}").lower().partition("://")
    return (
        scheme in ("http", "https")
        and netloc == asked.lower()
        and headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    )


def _graphql_problem(scope: Scope, headers: Headers) -> Response | None:
    if scope["method"] != "POST":
        carries_query = "query" in _query(scope)
        return _forbidden("GraphQL is asked by POST here", status=405) if carries_query else None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/graphql"):  # a form of any page can send the other kinds
        return _forbidden("send GraphQL as application/json", status=415)
    return None


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _utf8(header: str) -> str:
    """Read a header, whose bytes HTTP takes for Latin-1, as what a person typed."""
    return header.encode("latin-1").decode(errors="replace")


def _forbidden(sentence: str, status: int = 403) -> Response:
    return PlainTextResponse(f"{sentence}\n", status_code=status)


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def _read_cookie(headers: Headers) -> str:
    """Read our cookie as Starlette does: the standard library's parser gives up at a stranger's odd one beside it."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


async def _refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()  # the handshake: closed before it is accepted, the client sees 403
        await send({"type": "websocket.close", "code": _CLOSED_BY_POLICY})
    else:
        await refusal(scope, receive, send)


def _unframed(send: Send) -> Send:
    """Forbid other sites to show the page in a frame, where a click could be stolen."""

    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Frame-Options"] = "DENY"
        await send(message)

    return send_unframed
