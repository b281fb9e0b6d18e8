"""A program plans a run beside `marketloom dev`, a person approves it in the UI, and the daemon carries it out."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from mcp import Client, StdioServerParameters

from tests.end_to_end.demo_home import DemoHome, demo_home, free_port
from tests.orchestration.mcp.tool_home import data

PATIENCE = 180.0  # seconds that a fact may take on a busy machine
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } } }"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"
MONTH = "2024-06-01"


class Interface:
    """The served UI, by what its pages send."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self._url}/graphql", json=body, headers={"Origin": self._url}, timeout=60)
        found: dict[str, Any] = answer.raise_for_status().json()["data"]
        return found

    def launch(self, job: str, config: Mapping[str, Any]) -> str:
        selector = {
            "repositoryLocationName": "marketloom",
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        params = {"selector": selector, "runConfigData": config, "mode": "default"}
        return str(self.ask(LAUNCH, params=params)["launchRun"]["run"]["runId"])

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run once it has ended: its status and tags."""

        def look() -> dict[str, Any] | None:
            run: dict[str, Any] = self.ask(RUN, id=run_id)["runOrError"]
            return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        return until(look)


def until(fact: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while not (found := fact()):
        assert time.monotonic() < deadline, fact
        time.sleep(0.5)
    return found


@pytest.fixture
def home() -> Iterator[DemoHome]:
    with demo_home() as each:
        yield each


@pytest.mark.anyio
async def test_what_a_person_approves_in_the_ui_is_run_by_the_daemon_as_one_of_its_own(
    home: DemoHome,
) -> None:
    port = free_port()
    served = home.start("dev", MARKETLOOM__DAGSTER__PORT=str(port))
    served.wait_for(f"open http://127.0.0.1:{port}")
    interface = Interface(port)
    command = ["-m", "orchestration.cli", "mcp", "--write"]
    program = StdioServerParameters(command=sys.executable, args=command, env=home.environment())
    async with Client(program, read_timeout_seconds=PATIENCE) as client:
        request = {"job": "history", "partition": f"{MONTH}|BTC-USDT", "reason": "a month is missing"}
        planned = data(await client.call_tool("plan_materialise", request))
        early = await client.call_tool("execute_plan", {"plan_id": planned["plan_id"]})
        [waiting] = json.loads(home.run("mcp", "plans", "--json").output)
        answer = {"code": waiting["code"], "answer": "APPROVE", "by": "grace", "account": planned["account"]}
        noted = interface.launch("answer_plan", {"ops": {"note_answer": {"config": answer}}})
        assert interface.ended(noted)["status"] == "SUCCESS"
        done = data(await client.call_tool("execute_plan", {"plan_id": planned["plan_id"]}))
    assert "nobody has approved" in str(early.content)
    run = interface.ended(done["outcome"]["run_id"])  # after the end of the program that planned it
    tags = {each["key"]: each["value"] for each in run["tags"]}
    served.interrupt()
    ended = served.end()
    assert run["status"] == "SUCCESS"
    assert tags["marketloom/plan"] == planned["plan_id"]
    assert {MONTH, "BTC-USDT"} <= set(tags.values())
    assert (ended.code, ended.text) == (0, "stopped")
    assert home.processes() == []
