"""What the automation sensor would start, evaluated on an ephemeral instance; freshness where candles go on closing."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from assets.partitions import Span
from orchestration.automation import CONDITIONS, automated
from orchestration.definitions import definitions
from orchestration.settings import load_settings

SETTINGS = load_settings({})
DEFS = definitions(SETTINGS, Span(date(2023, 1, 1), None))
PAIRS = ["BTC-USDT", "XRP-USDT"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("pair", PAIRS)
        yield made


def evaluate(instance: dg.DagsterInstance, cursor: Any = None) -> dg.EvaluateAutomationConditionsResult:
    return dg.evaluate_automation_conditions(DEFS, instance, cursor=cursor)


def store(instance: dg.DagsterInstance, asset: str, key: str, version: str) -> None:
    tags = {"dagster/data_version": version}
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key, tags=tags))


def test_news_of_the_running_day_are_judged_when_they_change_and_not_when_they_do_not(
    instance: dg.DagsterInstance,
) -> None:
    graph = DEFS.resolve_asset_graph()
    day = graph.get(dg.AssetKey("news_articles")).partitions_def.get_last_partition_key()
    first = evaluate(instance)
    store(instance, "news_articles", day, "one")
    store(instance, "news_sentiment", day, "one")
    store(instance, "news_embeddings", day, "one")
    second = evaluate(instance, first.cursor)
    store(instance, "news_articles", day, "one")
    unchanged = evaluate(instance, second.cursor)
    store(instance, "news_articles", day, "two")
    changed = evaluate(instance, unchanged.cursor)
    assert unchanged.get_requested_partitions(dg.AssetKey("news_sentiment")) == set()
    assert changed.get_requested_partitions(dg.AssetKey("news_sentiment")) == {day}
    assert changed.get_requested_partitions(dg.AssetKey("news_embeddings")) == {day}


def test_nothing_that_sends_an_order_or_trains_materialises_itself() -> None:
    conditions = {
        spec.key.to_user_string(): spec.automation_condition for spec in DEFS.resolve_all_asset_specs()
    }
    assert {name for name, condition in conditions.items() if condition} == set(CONDITIONS)
    assert not {"decision", "ppo_policy", "ohlcv", "news_articles"} & set(CONDITIONS)


def policies(source: str, until: str = "") -> dict[str, Any]:
    settings = load_settings({"MARKETLOOM__MARKET__SOURCE": source, "MARKETLOOM__MARKET__UNTIL": until})
    specs = [automated(settings)(dg.AssetSpec(name)) for name in ("ohlcv", "features", "decision")]
    return {spec.key.to_user_string(): spec.freshness_policy for spec in specs}


def test_candles_of_a_live_market_are_late_when_risk_would_refuse_them() -> None:
    found = policies("kraken")
    allowed = SETTINGS.risk.candle_age * SETTINGS.market.universe.timeframe.duration
    assert found["ohlcv"] == found["features"] == dg.FreshnessPolicy.time_window(allowed)
    assert found["decision"] is None
    assert allowed >= timedelta(minutes=2)


@pytest.mark.parametrize(
    ("source", "until"), [("simulator", ""), ("files", ""), ("kraken", "2024-01-01T00:00:00")]
)
def test_a_dataset_that_has_ended_is_never_late(source: str, until: str) -> None:
    assert set(policies(source, until).values()) == {None}
