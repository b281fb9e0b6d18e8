"""Dagster's own web server, as `marketloom dev` starts it: what executes mutations stands behind the guard."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

MUTATION = "mutation { setNuxSeen }"
HEADERS = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home: Path = tmp_path_factory.mktemp("dagster")
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration.webserver", "--empty-workspace", "--port", str(port)],
        env={**os.environ, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_until_it_answers(client, process)
            yield client
    finally:
        process.kill()
        process.wait()


def _wait_until_it_answers(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            client.get("/server_info")
        except httpx.ConnectError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the web server ended")


def test_a_mutation_is_executed_for_its_own_pages(server: httpx.Client) -> None:
    own = {**HEADERS, "origin": str(server.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert server.post("/graphql", json={"query": MUTATION}, headers=own).json()["data"] == {
        "setNuxSeen": True
    }


def test_no_mutation_is_executed_by_get(server: httpx.Client) -> None:
    assert server.get("/graphql", params={"query": MUTATION}).status_code == 405


@pytest.mark.parametrize("foreign", [{"host": "evil.example"}, {"origin": "http://evil.example"}])
def test_no_mutation_is_executed_for_another_site(server: httpx.Client, foreign: dict[str, str]) -> None:
    answer = server.post("/graphql", json={"query": MUTATION}, headers={**HEADERS, **foreign})
    assert answer.status_code == 403
