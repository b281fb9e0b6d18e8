"""What a running stream says of itself over HTTP: /health, /status and /metrics. It only reads."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from trading.errors import InvalidSettings

REMEDY = (
    "another stream may use it: stop that, choose another [stream] metrics_port, or 0 for any free one "
    "(MARKETLOOM__STREAM__METRICS_PORT)"
)


@asynccontextmanager
async def serve_status(
    host: str,
    port: int,
    *,
    health: Callable[[], list[str]],
    status: Callable[[], Awaitable[dict[str, Any]]],
    metrics: Callable[[], bytes],
) -> AsyncIterator[str]:
    """Serve until the end of the block and yield the address; port 0: any free one. InvalidSettings when it is taken.

    `health` returns why the stream is not well, nothing when it is.
    """

    async def show_health(_: web.Request) -> web.Response:
        reasons = health()
        return web.json_response({"ok": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def show_status(_: web.Request) -> web.Response:
        return web.json_response(await status())

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes(
        [
            web.get("/health", show_health),
            web.get("/status", show_status),
            web.get("/metrics", show_metrics),
        ]
    )
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise InvalidSettings(
                f"{host}:{port} cannot serve metrics ({error.strerror or error}): {REMEDY}"
            ) from None
        where = runner.addresses[0]
        name = f"[{where[0]}]" if ":" in where[0] else where[0]
        yield f"http://{name}:{where[1]}"
    finally:
        await runner.cleanup()
