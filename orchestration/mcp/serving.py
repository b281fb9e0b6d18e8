"""Runs the server until its client leaves, or until Ctrl-C."""

import getpass

import anyio

from orchestration.mcp.audit import Audit
from orchestration.mcp.server import build_server
from orchestration.services import Services
from orchestration.system import running_system
from trading.stores.postgres.tool_calls import PostgresToolCalls


def serve_stdio() -> None:
    """Serve the program that has started this one, over its standard input and output, until it closes them."""
    with running_system():
        audit = Audit(PostgresToolCalls(Services.current().dsn), "stdio", getpass.getuser())
        anyio.run(build_server(audit).run_stdio_async)
