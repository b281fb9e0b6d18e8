"""HTTP with a time limit for the whole request: a server that sends a byte now and then cannot prolong it."""

import time
from collections.abc import Iterable

import httpcore
import httpx

from trading.bounded_streams import BoundedStream, Deadline

MAX_CONNECTIONS = 100  # far more than calls at once: an exit must not wait until a look-up gives its one back
MAX_RESPONSE_BYTES = 32 * 1024 * 1024  # of one response; all pairs of Kraken together are below 2 MB


class _Backend(httpcore.SyncBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return BoundedStream(stream, self._deadline)


class BoundedTransport(httpx.HTTPTransport):
    """Reads the whole response; `total` seconds for everything after the connection stands."""

    def __init__(self, total: float) -> None:
        super().__init__()
        self._total = total
        self._deadline = Deadline()
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            network_backend=_Backend(self._deadline),
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=5.0,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the whole response.

        Whatever breaks is an httpx.TransportError; a ConnectError or ConnectTimeout: the request never left.
        """
        self._deadline.at = time.monotonic() + self._total
        response = super().handle_request(request)
        try:
            body = _read_body(response)
        finally:
            response.close()
        return httpx.Response(response.status_code, headers=response.headers, content=body, request=request)


def _read_body(response: httpx.Response) -> bytes:
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if len(body) > MAX_RESPONSE_BYTES:
            raise httpx.ReadError(f"the answer is longer than {MAX_RESPONSE_BYTES} bytes")
    return bytes(body)
