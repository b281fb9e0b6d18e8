"""Switching a sensor on and off in a running Dagster, as the switch in its UI does."""

from typing import Any

import httpx

from trading.errors import InvalidSettings, StoreUnreachable

REPOSITORY, LOCATION = "__repository__", "marketloom"
PATIENCE = 60.0  # seconds for an answer of a busy machine
START = """
mutation Start($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { ... on Sensor { sensorState { status } } ... on Error { message } }
}
"""
FIND = """
query Find($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) { ... on Sensor { id } ... on Error { message } }
}
"""
STOP = """
mutation Stop($id: String!) { stopSensor(id: $id) { ... on Error { message } } }
"""


def start_sensor(address: str, name: str) -> None:
    """Switch the sensor on in the Dagster whose UI is at `address`."""
    found = _ask(address, START, {"selector": _selector(name)})["startSensor"]
    if found.get("sensorState", {}).get("status") != "RUNNING":
        raise InvalidSettings(f"sensor {name} cannot be switched on: {found.get('message', found)}")


def stop_sensor(address: str, name: str) -> None:
    """Switch the sensor off; runs that it has requested go on."""
    found = _ask(address, FIND, {"selector": _selector(name)})["sensorOrError"]
    if "id" not in found:
        raise InvalidSettings(f"sensor {name} is not there: {found.get('message', found)}")
    stopped = _ask(address, STOP, {"id": found["id"]})["stopSensor"]
    if message := stopped.get("message"):
        raise InvalidSettings(f"sensor {name} cannot be switched off: {message}")


def _selector(name: str) -> dict[str, str]:
    return {"repositoryName": REPOSITORY, "repositoryLocationName": LOCATION, "sensorName": name}


def _ask(address: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    try:
        response = httpx.post(
            f"{address}/graphql", json={"query": query, "variables": variables}, timeout=PATIENCE
        )
        answer = response.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise StoreUnreachable(f"the Dagster UI on {address} does not answer: {error}") from None
    if errors := answer.get("errors"):
        raise StoreUnreachable(f"the Dagster UI on {address} refuses: {errors[0].get('message', errors)}")
    data: dict[str, Any] = answer["data"]
    return data
