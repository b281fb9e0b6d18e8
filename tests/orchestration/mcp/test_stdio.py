"""`marketloom mcp` as a client starts it: a process of its own, whose standard output is the protocol alone."""

import os
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from orchestration.postgres.embedded import EmbeddedPostgres
from tests.orchestration.mcp.tool_home import data, tool_home
from trading.stores.postgres.tool_calls import PostgresToolCalls


@pytest.mark.anyio
async def test_a_client_starts_it_and_is_answered(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    with tool_home(tmp_path, postgres_server.dsn) as home:
        started = StdioServerParameters(
            command=sys.executable, args=["-m", "orchestration.cli", "mcp"], env=dict(os.environ)
        )
        async with Client(started, read_timeout_seconds=60) as client:
            assert client.protocol_version == "2026-07-28"
            cost = data(await client.call_tool("cost", {}))
            refused = await client.call_tool("candles", {"pair": "BTC/USDT"})
        assert cost["rung"] == "all models"
        assert "materialise `ohlcv` first" in str(refused.content)
        calls = PostgresToolCalls(home.services.dsn).newest(2)
    assert [(each["name"], each["transport"], each["outcome"]) for each in calls] == [
        ("candles", "stdio", "refused"),
        ("cost", "stdio", "ok"),
    ]
    assert calls[0]["client"] == "mcp"
