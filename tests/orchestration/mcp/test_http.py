"""The server over HTTP, through the SDK's own client: who may call, and whose requests are not even looked at."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orchestration.kill_switch import KillSwitch
from orchestration.mcp.audit import Audit
from orchestration.mcp.catalogue import tools
from orchestration.mcp.http_access import READ, WRITE, HttpAccess, IssuedTokens, http_access
from orchestration.mcp.server import build_server
from orchestration.mcp.serving import NOBODY, http_app
from orchestration.postgres.embedded import EmbeddedPostgres
from orchestration.settings import load_settings
from orchestration.settings_schema import McpSettings
from tests.orchestration.mcp.running_http import running
from tests.orchestration.mcp.tool_home import ToolHome, data, tool_home
from trading.errors import InvalidSettings
from trading.stores.postgres.tool_calls import PostgresToolCalls

pytestmark = pytest.mark.anyio
SECRET = "0123456789abcdef0123456789abcdef"
REMOTE = {"host": "0.0.0.0"}
OAUTH = {"issuer": "http://127.0.0.1:1", "resource": "http://127.0.0.1:2/mcp"}


@pytest.fixture(scope="module")
def home(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHome]:
    with tool_home(tmp_path_factory.mktemp("http"), postgres_server.dsn) as opened:
        yield opened


def settings(**changes: Any) -> McpSettings:
    return load_settings({}).mcp.model_copy(update=changes)


@asynccontextmanager
async def serving(home: ToolHome, access: HttpAccess, *, write: bool = False) -> AsyncIterator[str]:
    audit = Audit(PostgresToolCalls(home.services.dsn), "http", NOBODY)
    server = build_server(audit, tools(write=write), **access.options)
    async with running(http_app(server, access)) as address:
        yield f"{address}/mcp"


@asynccontextmanager
async def connected(
    address: str, token: str = "", mode: str = "auto", **options: Any
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(address, http_client=http), mode=mode, **options) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_on_this_machine_anybody_may_read_and_it_is_recorded(home: ToolHome, mode: str) -> None:
    access = http_access(settings(), "", write=False)
    async with serving(home, access) as address, connected(address, mode=mode) as client:
        assert data(await client.call_tool("cost", {}))["rung"] == "all models"
    [call] = PostgresToolCalls(home.services.dsn).newest(1)
    assert (call["caller"], call["transport"], call["name"], call["outcome"]) == (
        NOBODY,
        "http",
        "cost",
        "ok",
    )


async def test_with_a_token_nobody_is_let_in_without_it(home: ToolHome) -> None:
    async with serving(home, http_access(settings(), SECRET, write=False)) as address:
        async with httpx.AsyncClient() as http:
            for header in ({}, {"Authorization": "Bearer guess"}, {"Authorization": f"Basic {SECRET}"}):
                answer = await http.post(address, json={}, headers=header)
                assert answer.status_code == 401
        async with connected(address, SECRET) as client:
            data(await client.call_tool("cost", {}))
    [call] = PostgresToolCalls(home.services.dsn).newest(1)
    assert call["caller"] == "shared token"
    assert SECRET not in json.dumps(call, default=str)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Host": "evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 400),
    ],
)
async def test_a_page_of_another_site_reaches_nothing(
    home: ToolHome, header: dict[str, str], status: int
) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json", **header}
    async with (
        serving(home, http_access(settings(), "", write=False)) as address,
        httpx.AsyncClient() as http,
    ):
        answer = await http.post(address, content=b"{}", headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("changes", "secret", "write", "words"),
    [
        (REMOTE, "", False, "MARKETLOOM_MCP_TOKEN"),
        ({"host": "192.0.2.7"}, "", False, "lets other machines read"),
        ({}, "short", False, "at least 16"),
        ({}, "", True, "who calls over HTTP"),
        ({"issuer": "https://login.example.org"}, "", False, "set both"),
    ],
)
def test_what_is_not_safe_does_not_start(
    changes: dict[str, Any], secret: str, write: bool, words: str
) -> None:
    with pytest.raises(InvalidSettings, match=words):
        http_access(settings(**changes), secret, write=write)


@pytest.mark.parametrize(("changes", "secret"), [(REMOTE, SECRET), ({**REMOTE, **OAUTH}, "")])
def test_with_a_token_other_machines_may_be_let_in(changes: dict[str, Any], secret: str) -> None:
    assert http_access(settings(**changes), secret, write=True).asks


class Login:
    """An authorization server: its metadata, its keys, and tokens that it signs."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.issuer = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self._metadata),
                Route("/keys", self._keys),
            ]
        )

    async def _metadata(self, request: Request) -> JSONResponse:
        return JSONResponse({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"})

    async def _keys(self, request: Request) -> JSONResponse:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**key, "kid": "one", "alg": "RS256", "use": "sig"}]})

    def token(self, key: Any = None, algorithm: str = "RS256", **changes: Any) -> str:
        claims = {
            "iss": self.issuer, "aud": OAUTH["resource"], "exp": int(time.time()) + 60, "client_id": "desk",
            "sub": "ada", "scope": READ, **changes,
        }  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key or self.key, algorithm, headers={"kid": "one"})


@pytest.fixture
async def login() -> AsyncIterator[Login]:
    made = Login()
    async with running(made.app()) as address:
        made.issuer = address
        yield made


async def test_a_token_of_the_authorization_server_names_its_caller(home: ToolHome, login: Login) -> None:
    access = http_access(settings(issuer=login.issuer, resource=OAUTH["resource"]), "", write=False)
    async with serving(home, access) as address:
        async with connected(address, login.token(scope=f"{READ} {WRITE}")) as client:
            data(await client.call_tool("cost", {}))
        async with httpx.AsyncClient() as http:
            refused = await http.post(address, json={})
            scopeless = {"Authorization": f"Bearer {login.token(scope='openid')}"}
            assert (await http.post(address, json={}, headers=scopeless)).status_code == 403
            origin = address.removesuffix("/mcp")
            document = (await http.get(f"{origin}/.well-known/oauth-protected-resource/mcp")).json()
    assert "resource_metadata" in refused.headers["www-authenticate"]
    assert document["authorization_servers"] == [login.issuer]
    [call] = PostgresToolCalls(home.services.dsn).newest(1)
    assert call["caller"] == "desk ada"


async def test_a_token_that_may_only_read_plans_nothing(home: ToolHome, login: Login) -> None:
    access = http_access(settings(issuer=login.issuer, resource=OAUTH["resource"]), "", write=True)
    async with serving(home, access, write=True) as address, connected(address, login.token()) as client:
        refused = await client.call_tool("plan_pause", {"reason": "a person asked"})
        listed = data(await client.call_tool("plans", {}))
    assert WRITE in str(refused.content)
    assert listed["plans"] == []


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_person_approves_a_plan_in_the_dialogue_of_a_client_over_http(
    home: ToolHome, mode: str
) -> None:
    account = home.services.account.name

    async def person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert f"Account: {account}, paper money" in params.message
        return ElicitResult(action="accept", content={"account": account})

    async with (
        serving(home, http_access(settings(), SECRET, write=True), write=True) as address,
        connected(address, SECRET, mode, elicitation_callback=person) as client,
    ):
        planned = data(await client.call_tool("plan_pause", {"reason": "a person asked"}))
        done = data(await client.call_tool("execute_plan", {"plan_id": planned["plan_id"]}))
    assert done["state"] == "done"
    assert "approved by shared token" in done["standing"]
    assert KillSwitch(home.services.home).requested().startswith("pulled by shared token")
    KillSwitch(home.services.home).release()


async def test_tokens_that_do_not_count(login: Login) -> None:
    verifier = IssuedTokens(login.issuer, OAUTH["resource"])
    assert await verifier.verify_token(login.token()) is not None
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong = (
        login.token(key=stranger),
        login.token(key="a secret of thirty-two characters", algorithm="HS256"),
        login.token(aud="http://another.example/mcp"),
        login.token(iss="http://another.example"),
        login.token(exp=int(time.time()) - 5),
        login.token(exp=None),
        login.token(aud=None),
        "not a token",
    )
    assert [await verifier.verify_token(each) for each in wrong] == [None] * len(wrong)


async def test_without_its_authorization_server_nobody_is_let_in() -> None:
    assert await IssuedTokens(OAUTH["issuer"], OAUTH["resource"]).verify_token("a.b.c") is None
