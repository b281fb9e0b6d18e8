"""What a newcomer reads is true: the compose file is valid, the pins are complete, all packages are listed."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.services import needs

PROJECT = Path(__file__).parents[1]


@pytest.mark.service
def test_the_compose_file_needs_a_password() -> None:
    refused = _compose_config("")
    assert refused.returncode != 0
    assert "set it to a password of your own" in refused.stderr


@pytest.mark.service
@pytest.mark.parametrize("password", ["simple", "p@s/s:w%41$d#'\"ü {}", "${HOME}", "$$"])
def test_the_compose_file_hands_every_password_on_unchanged_and_in_no_address(password: str) -> None:
    lines = _compose_config(password).stdout.splitlines()
    services = yaml.safe_load("\n".join(lines))["services"]
    environment = services["marketloom"]["environment"]
    escaped = password.replace("$", "$$")  # as the file would have to be written
    assert environment["PGPASSWORD"] == services["postgres"]["environment"]["POSTGRES_PASSWORD"] == escaped
    for name in ("MARKETLOOM_POSTGRES", "MARKETLOOM_DAGSTER_POSTGRES"):
        assert urlsplit(environment[name]).password is None
        assert environment[name].count("marketloom@postgres/") == 1


@pytest.mark.service
def test_a_broker_is_started_on_request_alone_and_the_bus_of_the_settings_reaches_it() -> None:
    services = yaml.safe_load(_compose_config("x", "--profile", "redpanda").stdout)["services"]
    assert services["redpanda"]["profiles"] == ["redpanda"]
    environment = services["marketloom"]["environment"]
    [advertised] = [each for each in services["redpanda"]["command"] if "--advertise-kafka-addr=" in each]
    assert f"internal://{environment['MARKETLOOM__BUS__BROKERS']}" in advertised
    assert environment["MARKETLOOM__BUS__KIND"] == "postgres"


def _compose_config(password: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [needs("docker-compose"), *words, "config"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "POSTGRES_PASSWORD": password, "MARKETLOOM_UI_TOKEN": "secret"},
    )


def test_everything_that_is_installed_is_pinned_to_that_version() -> None:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").split()
    pins = {_plain(name): version for name, _, version in (line.partition("==") for line in lines)}
    tools = {"pip", "setuptools", "marketloom"}
    installed = {_plain(each.metadata["Name"]): each.version.partition("+")[0] for each in distributions()}
    assert {name: version for name, version in installed.items() if name not in tools} == pins


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_folder_is_listed_for_installation() -> None:
    listed = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    roots = ("orchestration", "assets", "sensors", "ml", "streaming", "trading")
    found = {
        ".".join(init.parent.relative_to(PROJECT).parts)
        for root in roots
        for init in (PROJECT / root).rglob("__init__.py")
    }
    assert found == listed
