"""From a request to Kraken's response: {"error": [], "result": ...}, with HTTP 200 unless a fault is triggered."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from streaming.sandbox.faults.requests import check_rest_request, disconnects, rest_response
from streaming.sandbox.keys import Permission
from streaming.sandbox.limits import INTERNAL_ERROR
from streaming.sandbox.model import Refused
from streaming.sandbox.rest.api import RestApi
from streaming.sandbox.rest.parameters import Parameters
from trading.market import PairStatus

log = logging.getLogger(__name__)
BROKEN = 520  # what Cloudflare answers when the exchange behind it does not make sense
BROKEN_PAGE = (
    "<html><head><title>api.kraken.com | 520: Web server is returning an unknown error</title></head></html>"
)
ALWAYS_ANSWERED = frozenset({"Time", "SystemStatus"})  # also during maintenance

Call = TypeVar("Call")
PublicFunction = Callable[[RestApi, Parameters], Any]
PrivateFunction = Callable[[RestApi, str, Parameters], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class PrivateMethod:
    """A private method: what it does, what a key must be allowed to, and what it adds to the REST counter."""

    call: PrivateFunction
    permissions: tuple[Permission, ...]  # any one of them is enough
    cost: float = 1.0
    of_key: bool = False  # it is called with the key's name instead of the account's


def public_handler(
    api: RestApi, calls: Mapping[str, PublicFunction]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]

        async def work() -> Any:
            call = _find_method(calls, method)
            check_rest_request(api.faults, method, signed=False, counts_as_order=False)
            _check_open(api, method)
            api.gateway.rates.public(request.remote or "")
            return call(api, await _public_parameters(request))

        return await _respond(api, request, method, work)

    return handle


def private_handler(
    api: RestApi, calls: Mapping[str, PrivateMethod]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]

        async def work() -> Any:
            known = _find_method(calls, method)
            check_rest_request(api.faults, method, signed=True, counts_as_order=not known.cost)
            _check_open(api, method)
            body = await _body(request)
            given = Parameters.of_body(body, _is_json(request, body))
            account = _account(api, request, body, given, known)
            if known.cost:
                api.gateway.rates.rest(account, known.cost)
            return await known.call(api, request.headers["API-Key"] if known.of_key else account, given)

        return await _respond(api, request, method, work)

    return handle


def _find_method(calls: Mapping[str, Call], method: str) -> Call:
    try:
        return calls[method]
    except KeyError:
        raise Refused("EGeneral:Unknown method") from None


async def _respond(
    api: RestApi, request: web.Request, method: str, work: Callable[[], Awaitable[Any]]
) -> web.StreamResponse:
    if disconnects(api.faults, method):
        _hang_up(request)
        return web.Response()
    try:
        response: dict[str, Any] = {"error": [], "result": await work()}
    except Refused as refusal:
        response = {"error": [str(refusal)]}
    except web.HTTPException:
        raise  # a body that is too large
    except Exception:  # a fault of the sandbox itself: said aloud, and the client learns that it is one
        log.exception("sandbox: %s failed", method)
        response = {"error": [INTERNAL_ERROR]}
    return await _send(api, request, method, json.dumps(response).encode())


async def _send(api: RestApi, request: web.Request, method: str, body: bytes) -> web.StreamResponse:
    """Send the response with its faults; the request has taken effect already."""
    fault = await rest_response(api.faults, method)
    if fault.lost:
        _hang_up(request)
    if fault.error_page:
        return web.Response(status=BROKEN, text=BROKEN_PAGE, content_type="text/html")
    if fault.body is not None:
        return web.Response(body=fault.body, content_type="application/json")
    if fault.seconds_per_byte:
        return await _send_slowly(request, body, fault.seconds_per_byte)
    return web.Response(body=body, content_type="application/json")


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _send_slowly(request: web.Request, body: bytes, pause: float) -> web.StreamResponse:
    """Byte by byte, until all is sent or the client has had enough."""
    response = web.StreamResponse()
    response.content_type = "application/json"
    response.content_length = len(body)
    await response.prepare(request)
    for position in range(len(body)):
        if request.transport is None or request.transport.is_closing():
            break
        await response.write(body[position : position + 1])
        await asyncio.sleep(pause)
    return response


def _check_open(api: RestApi, method: str) -> None:
    if method not in ALWAYS_ANSWERED and api.system_status() is PairStatus.MAINTENANCE:
        raise Refused("EService:Unavailable")


def _account(
    api: RestApi, request: web.Request, body: bytes, given: Parameters, called: PrivateMethod
) -> str:
    key, signed = request.headers.get("API-Key", ""), request.headers.get("API-Sign", "")
    return api.keys.authenticate(
        request.raw_path.partition("?")[0], key, signed, body, given.text("nonce"), called.permissions
    )


async def _public_parameters(request: web.Request) -> Parameters:
    if request.method != "POST":
        return Parameters.of_query(request.rel_url.raw_query_string)
    body = await _body(request)
    return Parameters.of_body(body, _is_json(request, body))


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except RequestPayloadError:  # compressed, or so it says
        raise Refused("EGeneral:Invalid arguments") from None


def _is_json(request: web.Request, body: bytes) -> bool:
    return request.content_type == "application/json" or body.lstrip()[:1] == b"{"
