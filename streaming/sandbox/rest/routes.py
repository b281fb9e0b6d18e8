"""The routes of the REST API."""

from collections.abc import Callable

from aiohttp import web

from streaming.sandbox.faults import Faults
from streaming.sandbox.keys import Keys
from streaming.sandbox.order_gateway import OrderGateway
from streaming.sandbox.rest import private, public
from streaming.sandbox.rest.api import RestApi
from streaming.sandbox.rest.envelope import private_handler, public_handler
from trading.margin.terms import MarginTerms


def routes(
    gateway: OrderGateway,
    keys: Keys,
    faults: Faults,
    terms: MarginTerms,
    quote: str,
    server: Callable[[], float],
) -> list[web.RouteDef]:
    """Return the routes under /0/. `terms` and `quote` are those of the exchange, `server` gives server time."""
    api = RestApi(gateway, keys, faults, terms, quote, server)
    return [
        web.route("*", "/0/public/{method}", public_handler(api, public.CALLS)),
        web.route("*", "/0/private/{method}", private_handler(api, private.CALLS)),
    ]
