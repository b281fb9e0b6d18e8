"""What a person sees of an asset: help, column texts, numbers with few digits, nothing hidden behind a button."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl
import pytest
from pydantic import ValidationError

from assets import backtests, decisions, features, market, news, performance, policies, portfolio
from assets.backtests import BacktestConfig
from assets.decisions import DecisionConfig
from assets.metadata_numbers import readable
from assets.metadata_tables import WORDS, column_schema, shown_table
from trading.errors import InvalidValue

MODULES = [market, features, news, policies, backtests, performance, decisions, portfolio]
OHLCV = market.ohlcv_from(None)
ASSETS = [*dg.load_assets_from_modules(MODULES), OHLCV]
CONFIGURED = [
    each for each in ASSETS if isinstance(each, dg.AssetsDefinition) and each.op.config_schema.config_type
]


@dg.asset
def clock(context: dg.AssetExecutionContext, config: DecisionConfig) -> None:
    context.log.info(config.as_of)


@dg.asset
def stretch(context: dg.AssetExecutionContext, config: BacktestConfig) -> None:
    context.log.info(config.start)


def launch(
    asset: dg.AssetsDefinition, instance: dg.DagsterInstance, **config: Any
) -> dg.ExecuteInProcessResult:
    run_config = {"ops": {asset.op.name: {"config": config}}}
    return dg.materialize([asset], instance=instance, run_config=run_config)


@pytest.mark.parametrize(
    ("asset", "config"),
    [(clock, {"as_of": "noon"}), (clock, {"as_of": "2024-13-01"}), (stretch, {"start": "x"}),
     (stretch, {"end": "2024-02-30"}), (stretch, {"path": "2h"})],
)  # fmt: skip
def test_a_wrong_time_is_refused_before_a_run_exists(
    asset: dg.AssetsDefinition, config: dict[str, str]
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(InvalidValue, match="is not a time"):
            launch(asset, instance, **config)
        assert instance.get_runs_count() == 0


@pytest.mark.parametrize("as_of", ["", "2024-02-29", "2024-02-29T23:00", "2024-02-29T23:00:00+01:00"])
def test_a_time_as_people_write_it_starts_a_run(as_of: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert launch(clock, instance, as_of=as_of).success


def test_pydantic_refuses_the_same_texts() -> None:
    assert DecisionConfig(as_of="2024-02-29").as_of == "2024-02-29"
    with pytest.raises(ValidationError, match="is not a time"):
        DecisionConfig(as_of="noon")


def test_every_field_that_can_be_configured_has_a_help_text() -> None:
    fields = {
        f"{asset.op.name}.{name}": field.description
        for asset in CONFIGURED
        for name, field in getattr(asset.op.config_schema.config_type, "fields", {}).items()
    }
    assert {"decision.as_of", "backtest_report.start", "ppo_policy.again"} <= set(fields)
    assert [name for name, description in fields.items() if not description] == []


@pytest.mark.parametrize("asset", [OHLCV, features.features], ids=["ohlcv", "features"])
def test_every_column_has_a_text_and_a_type_in_words(asset: dg.AssetsDefinition) -> None:
    columns = asset.metadata_by_key[asset.key]["dagster/column_schema"].columns
    assert [column.name for column in columns if not column.description] == []
    assert {column.type for column in columns} <= set(WORDS.values())


def test_a_column_without_a_text_is_an_error() -> None:
    with pytest.raises(KeyError, match="close"):
        column_schema(pl.Schema({"close": pl.Float64()}), {})


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2103.123456, 2103.12), (0.012345678, 0.01235), (12.3456, 12.35), (-0.0, 0.0), (7, 7), (True, True),
     ({"a": [0.123456, "x"]}, {"a": [0.1235, "x"]}), (None, None)],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_a_person_reads(value: object, shown: object) -> None:
    assert readable(value) == shown
    assert type(readable(value)) is type(shown)


def test_what_dagster_wraps_already_stays_as_it_is() -> None:
    exact = dg.MetadataValue.json({"equity": 0.123456789})
    at = dg.MetadataValue.timestamp(datetime(2024, 1, 1, tzinfo=UTC))
    assert readable({"receipt": exact, "at": at}) == {"receipt": exact, "at": at}


def test_a_table_is_shown_with_its_columns_also_when_it_has_no_row() -> None:
    shown = shown_table(("pair", "price"), [])
    assert [column.name for column in shown.schema.columns] == ["pair", "price"]
    assert shown_table(("pair", "price"), [("BTC/USDT", "1")]).records == [
        dg.TableRecord({"pair": "BTC/USDT", "price": "1"})
    ]
