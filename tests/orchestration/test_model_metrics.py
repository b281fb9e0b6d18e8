"""What Prometheus is told of language models is what the record has."""

import asyncio
import subprocess

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ml.models.budget import BudgetLadder
from orchestration.model_metrics import ModelMetrics
from tests.doubles.stores import MemoryModelCalls
from tests.services import needs
from trading.errors import StoreUnreachable
from trading.ports.model_calls import ModelCall, ModelResponse

KEY = {"provider": "openai", "model": "openai/small", "purpose": "headline-sentiment"}


def booked(calls: MemoryModelCalls, outcome: str, seconds: float, usd: float, key: str = "k") -> None:
    number = calls.begin(ModelCall(key, KEY["purpose"], "openai", "openai/small", "p", {}, 1, 0.5), None)
    assert number is not None
    answer = {"text": "x"} if outcome == "valid" else None
    calls.finish(number, ModelResponse(outcome, answer, "", 100, 10, usd, seconds))


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> tuple[str, ...]:
    return (f"marketloom_model_{name}", *(f"{key}={value}" for key, value in sorted({**labels}.items())))


def test_calls_failures_latency_tokens_and_cost_are_exported_per_provider() -> None:
    calls, registry = MemoryModelCalls(), CollectorRegistry()
    booked(calls, "valid", 0.2, 1.0)
    booked(calls, "valid", 3.0, 2.0, key="other")
    booked(calls, "timeout", 10.0, 0.5)
    calls.answer("k")
    calls.begin(ModelCall("open", "p", "openai", "openai/small", "p", {}, 1, 0.25), None)
    metrics = ModelMetrics(calls, BudgetLadder(5.0, 0.6, 0.9), registry)
    assert samples(registry) == {}  # nothing is known yet
    metrics.read()
    found = samples(registry)
    assert found[labelled("calls_total", outcome="valid", **KEY)] == 2
    assert found[labelled("calls_total", outcome="timeout", **KEY)] == 1
    assert found[labelled("reused_total", **KEY)] == 1
    assert found[labelled("usd_total", **KEY)] == 3.5
    assert found[labelled("tokens_total", direction="read", **KEY)] == 300
    assert found[labelled("tokens_total", direction="written", **KEY)] == 30
    which = {"provider": "openai", "model": "openai/small"}
    assert found[labelled("seconds_bucket", le="0.25", **which)] == 1
    assert found[labelled("seconds_bucket", le="5.0", **which)] == 2
    assert (
        found[labelled("seconds_bucket", le="+Inf", **which)]
        == found[labelled("seconds_count", **which)]
        == 3
    )
    assert found[labelled("seconds_sum", **which)] == 13.2
    assert found[labelled("spent_today_usd")] == 3.75
    assert found[labelled("budget_usd")] == 5
    assert found[labelled("rung", rung="one model")] == 1
    assert found[labelled("rung", rung="all models")] == 0
    assert not any("outcome=open" in key for key in found)


@pytest.mark.anyio
async def test_a_database_that_is_away_leaves_the_figures_as_they_were() -> None:
    ended, looks = asyncio.Event(), []

    class Away(MemoryModelCalls):
        def spent_today(self) -> float:
            looks.append(1)
            loop.call_soon_threadsafe(ended.set)
            raise StoreUnreachable("away")

    loop, registry = asyncio.get_running_loop(), CollectorRegistry()
    await ModelMetrics(Away(), BudgetLadder(5.0), registry).follow(ended)
    assert (looks, samples(registry)) == ([1], {})


@pytest.mark.service
def test_promtool_has_nothing_to_say_about_the_metrics() -> None:
    calls, registry = MemoryModelCalls(), CollectorRegistry()
    booked(calls, "valid", 0.2, 1.0)
    ModelMetrics(calls, BudgetLadder(5.0), registry).read()
    promtool = [needs("promtool"), "check", "metrics"]
    found = subprocess.run(promtool, input=generate_latest(registry), capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
