"""The tools that read, through the SDK's own client: what each answers, and what no answer holds."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from mcp import Client, MCPError

from orchestration.mcp.audit import Audit
from orchestration.mcp.catalogue import READING
from orchestration.mcp.server import build_server
from orchestration.postgres.embedded import EmbeddedPostgres
from tests.orchestration.mcp.tool_home import PAIR, ToolHome, data, tool_home
from trading.stores.postgres.tool_calls import PostgresToolCalls

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def home(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHome]:
    with tool_home(tmp_path_factory.mktemp("tools"), postgres_server.dsn) as opened:
        opened.fill()
        yield opened


@pytest.fixture
async def client(home: ToolHome) -> AsyncIterator[Client]:
    server = build_server(Audit(PostgresToolCalls(home.services.dsn), "memory", "ada"))
    async with Client(server) as opened:
        yield opened


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    return data(await client.call_tool(name, arguments))


async def test_tools_come_in_a_fixed_order_and_say_that_they_only_read(client: Client) -> None:
    tools = (await client.list_tools()).tools
    assert [each.name for each in tools] == [each.name for each in READING]
    assert len(tools) <= 20
    for each in tools:
        assert each.title
        assert each.description
        assert each.annotations
        assert each.annotations.read_only_hint
        assert each.annotations.destructive_hint is False
        assert each.annotations.open_world_hint is False


async def test_candles_are_those_known_at_the_time(client: Client, home: ToolHome) -> None:
    newest = home.services.clock().at
    now = await call(client, "candles", pair="BTC/USDT", rows=3)
    then = await call(
        client, "candles", pair="btc-usdt", rows=3, as_of=(newest - timedelta(hours=1)).isoformat()
    )
    assert [each["close_time"] for each in then["candles"]][1:] == [
        each["close_time"] for each in now["candles"]
    ][:2]
    assert all(each["known_at"] <= then["as_of"] for each in then["candles"])


async def test_features_are_those_that_the_decision_used(client: Client, home: ToolHome) -> None:
    receipt = home.services.journal.decision(home.decision_id)
    found = await call(client, "features", pair="BTC/USDT", as_of=receipt["decided_at"])
    assert found["features"] == receipt["inputs"]["features"]
    few = await call(client, "features", pair="BTC/USDT", names=["rsi_14"])
    assert list(few["features"]) == ["rsi_14"]


async def test_news_is_marked_as_data_and_nothing_later_is_found(client: Client, home: ToolHome) -> None:
    found = await call(client, "news_search", words="the machine", pair="BTC/USDT")
    first, second = found["stories"]
    assert (first["article_id"], second["article_id"]) == ("b" * 16, "a" * 16)
    assert first["score"] > second["score"]
    text = first["passage"]
    mark = text.split(">")[0] + ">"
    assert mark.startswith("<data-")
    assert text.endswith(mark.replace("<", "</"))
    assert not {"\u202e", "\u200b"} & set(text)
    assert mark not in text[len(mark) :]
    for words in ("", "the machine"):
        early = await call(client, "news_search", words=words, as_of=first["known_at"])
        assert [each["article_id"] for each in early["stories"]] == ["a" * 16]


async def test_a_decision_is_listed_explained_replayed_and_traced(client: Client, home: ToolHome) -> None:
    listed, _ = (await call(client, "decisions", pair="BTC/USDT"))["decisions"]
    assert listed["decision_id"] == home.decision_id
    short = home.decision_id[:8]
    assert "Votes" in (await call(client, "why", decision_id=short))["explanation"]
    assert (await call(client, "replay", decision_id=short))["verdict"] == "identical"
    traced = await call(client, "lineage", decision_id=short)
    receipt = home.services.journal.decision(home.decision_id)
    assert traced["candles"]["sha256"] == receipt["inputs"]["candles"]["sha256"]
    assert traced["inputs_sha256"] == receipt["known_sha256"]
    assert {"ohlcv", "features", "news_sentiment", "champion_policy"} <= traced["assets"].keys()
    assert "ohlcv" in traced["assets"]["features"]["parents"]


async def test_the_account_the_data_and_the_costs_are_told(client: Client, home: ToolHome) -> None:
    assert (await call(client, "status"))["account"] == home.services.account.name
    assert float((await call(client, "portfolio"))["equity"]) > 2000
    quality = (await call(client, "data_quality", pair="BTC/USDT"))["pairs"][str(PAIR)]
    missing = sum(each["candles"] for each in quality["newest_holes"])
    assert quality["holes"] == len(quality["newest_holes"]) > 0
    assert quality["candles"] + missing == quality["expected"] > 700
    assert (await call(client, "cost"))["spent_today_usd"] == 0
    judged = {each["agent"] for each in (await call(client, "leaderboard"))["judges"]}
    assert judged == {"desk", "technical"}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("candles", {"pair": "DOGE/USDT"}, "choose one of BTC/USDT"),
        ("candles", {"pair": "BTC/USDT", "as_of": "soon"}, "write it like 2020-01-31"),
        ("candles", {"pair": "BTC/USDT", "rows": 100_000}, "less than or equal to 500"),
        ("features", {"pair": "BTC/USDT", "names": ["luck"]}, "marketloom://features"),
        ("why", {"decision_id": "ffffffff"}, "decision"),
        ("parity", {"day": "yesterday"}, "write it like 2024-03-14"),
        ("parity", {"day": "9999-12-31"}, "allowed are the years 1970 to 2200"),
        ("news_search", {"as_of": "0001-01-02", "days": 400}, "allowed are the years 1970 to 2200"),
    ],
)
async def test_an_error_says_what_to_do(
    client: Client, name: str, arguments: dict[str, Any], words: str
) -> None:
    result = await client.call_tool(name, arguments)
    assert result.is_error
    assert words in str(result.content)


async def test_an_error_does_not_repeat_what_is_endless(client: Client) -> None:
    for name, arguments in (
        ("candles", {"pair": "BTC/USDT", "as_of": "x" * 1_000_000}),
        ("features", {"pair": "BTC/USDT", "names": ["x" * 1_000_000]}),
    ):
        assert len(str((await client.call_tool(name, arguments)).content)) < 10_000


async def test_every_call_is_recorded_with_a_digest_of_its_arguments(client: Client, home: ToolHome) -> None:
    calls = PostgresToolCalls(home.services.dsn)
    await client.call_tool("why", {"decision_id": "secret-ffff"})
    await client.read_resource("marketloom://limits")
    await client.get_prompt("check_data", {"pair": "BTC/USDT"})
    prompt, resource, tool = calls.newest(3)
    assert (tool["caller"], tool["transport"], tool["name"], tool["outcome"]) == (
        "ada",
        "memory",
        "why",
        "refused",
    )
    assert len(tool["arguments_sha256"]) == 64
    assert "secret" not in tool["arguments_sha256"]
    assert tool["seconds"] > 0
    assert (resource["name"], resource["outcome"]) == ("marketloom://limits", "ok")
    assert (prompt["name"], prompt["outcome"]) == ("check_data", "ok")


async def test_resources_and_prompts_can_be_read(client: Client, home: ToolHome) -> None:
    names = [each.name for each in (await client.list_resources()).resources]
    assert names == ["market", "limits", "features", "graph"]
    for name in names:
        [content] = (await client.read_resource(f"marketloom://{name}")).contents
        assert content.mime_type == "application/json"
    [receipt] = (await client.read_resource(f"marketloom://decision/{home.decision_id}")).contents
    assert home.decision_id in str(receipt)
    with pytest.raises(MCPError, match="no decision"):
        await client.read_resource("marketloom://decision/ffffffff")
    prompts = [each.name for each in (await client.list_prompts()).prompts]
    assert prompts == ["explain_decision", "review_day", "check_data"]
