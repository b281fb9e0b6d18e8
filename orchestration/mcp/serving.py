"""Runs the server until its client leaves, or until Ctrl-C."""

import getpass
import os
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from rich.console import Console
from starlette.types import ASGIApp

from orchestration.commands.port import check_port_is_free
from orchestration.mcp.audit import Audit
from orchestration.mcp.catalogue import tools
from orchestration.mcp.http_access import TOKEN, HttpAccess, http_access
from orchestration.mcp.server import build_server
from orchestration.system import running_system
from trading.stores.postgres.tool_calls import PostgresToolCalls

NOBODY = "anybody on this machine"


def serve_stdio(write: bool) -> None:
    """Serve the program that has started this one, over its standard input and output, until it closes them."""
    with running_system() as system:
        audit = Audit(PostgresToolCalls(system.dsn), "stdio", getpass.getuser())
        offered = tools(write=write or system.settings.mcp.write)
        anyio.run(build_server(audit, offered).run_stdio_async)


def serve_http(port: int | None, write: bool, out: Console) -> None:
    """Serve every program that may call over HTTP. InvalidSettings where the address is not safe, or taken."""
    with running_system() as system:
        settings = system.settings.mcp
        host, chosen = settings.host, settings.port if port is None else port
        writes = write or settings.write
        access = http_access(settings, os.environ.get(TOKEN, ""), write=writes)
        check_port_is_free(host, chosen, "choose another [mcp] port, or --port")
        audit = Audit(PostgresToolCalls(system.dsn), "http", NOBODY)
        server = build_server(audit, tools(write=writes), **access.options)
        asked = "a token is asked for" if access.asks else "anybody on this machine may read"
        out.print(f"MCP at http://{host}:{chosen}/mcp: {asked}", soft_wrap=True)
        uvicorn.run(http_app(server, access), host=host, port=chosen, log_level="warning")


def http_app(server: MCPServer[Any], access: HttpAccess) -> ASGIApp:
    return server.streamable_http_app(transport_security=access.security)
