"""Months and days begin and end with the dataset: what "missing only" would launch is what can be there."""

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.partitions import PAIRS
from orchestration.dataset_span import dataset_span
from orchestration.definitions import definitions
from orchestration.settings import PROJECT, lake_folder, load_settings
from orchestration.settings_schema import Settings
from trading.importers.import_report import ImportedFile, ImportReport
from trading.importers.landing_area import LandingArea
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.simulation.market import SimulatedMarket
from trading.stores.lake import LakeTable

TODAY = date(2024, 6, 15)
BTC = Pair("BTC", "USDT")


def settings(tmp_path: Path, **market: Any) -> Settings:
    changes = {f"MARKETLOOM__MARKET__{key.upper()}": str(value) for key, value in market.items()}
    return load_settings({"MARKETLOOM_HOME": str(tmp_path), **changes})


def partitions(made: dg.Definitions, asset: str) -> list[str]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(PAIRS.name), [BTC.key])
        defined = made.resolve_asset_graph().get(dg.AssetKey(asset)).partitions_def
        assert defined is not None
        return list(defined.get_partition_keys(dynamic_partitions_store=instance))


def of(chosen: Settings, tmp_path: Path, asset: str) -> list[str]:
    return partitions(definitions(chosen, dataset_span(chosen, tmp_path, TODAY)), asset)


def test_the_simulators_months_are_those_that_it_makes_candles_for(tmp_path: Path) -> None:
    months = of(settings(tmp_path), tmp_path, "ohlcv")
    assert (len(months), months[0], months[-1]) == (21, f"2023-01-01|{BTC.key}", f"2024-09-01|{BTC.key}")


def test_the_simulators_days_end_with_the_day_on_which_its_last_candle_closes(tmp_path: Path) -> None:
    for asset in ("news_articles", "news_sentiment", "model_performance", "portfolio_snapshots"):
        days = of(settings(tmp_path), tmp_path, asset)
        assert (days[0], days[-1], len(days)) == ("2023-01-01", "2024-10-01", 640)


def test_until_ends_the_months_at_the_last_candle_that_it_shows(tmp_path: Path) -> None:
    months = of(settings(tmp_path, until="2024-03-01T00:00:00"), tmp_path, "features")
    assert months[-1] == f"2024-02-01|{BTC.key}"


def imported(home: Path, *spans: tuple[datetime, datetime]) -> None:
    """Import hourly candles of the pair; each span is a file of another format."""
    landing = LandingArea(home / "landing")
    for number, (start, end) in enumerate(spans):
        market = SimulatedMarket((BTC,), Timeframe.H1, 1, start, end)
        candles = market.candles(BTC, start, end)
        report = _report(home / f"{number}.csv", f"format {number}")
        landing.add(ImportedFile(report, candles, candles.clear()))


def _report(path: Path, name: str) -> ImportReport:
    report = ImportReport.of_refused_file(path, name, 0, "")
    return replace(report, venue="binance", pair=BTC, timeframe=Timeframe.H1, refused_reason=None)


JANUARY, MARCH, MAY = (datetime(2020, month, 10, tzinfo=UTC) for month in (1, 3, 5))


def test_imported_candles_begin_and_end_the_months_whatever_lies_before_and_after(tmp_path: Path) -> None:
    imported(tmp_path, (MARCH, MAY))
    months = of(settings(tmp_path, source="files"), tmp_path, "ohlcv")
    assert [month[:7] for month in months] == ["2020-03", "2020-04", "2020-05"]


def test_older_candles_imported_later_add_their_months(tmp_path: Path) -> None:
    imported(tmp_path, (MARCH, MAY))
    imported(tmp_path, (MARCH, MAY), (JANUARY, MARCH - timedelta(days=30)))
    months = of(settings(tmp_path, source="files"), tmp_path, "ohlcv")
    assert [month[:7] for month in months] == ["2020-01", "2020-02", "2020-03", "2020-04", "2020-05"]


def test_a_damaged_import_leaves_the_graph_loadable(tmp_path: Path) -> None:
    imported(tmp_path, (MARCH, MAY))
    for file in (tmp_path / "landing").rglob("*.parquet"):
        file.write_bytes(b"PAR1 nonsense PAR1")
    assert of(settings(tmp_path, source="files"), tmp_path, "ohlcv")


def test_a_venue_begins_as_far_back_as_a_policy_learns_and_is_judged(tmp_path: Path) -> None:
    chosen = settings(tmp_path, source="kraken")
    span = dataset_span(chosen, tmp_path, TODAY)
    months = chosen.policy.train_months + chosen.promotion.minimum_folds
    assert (TODAY.year * 12 + TODAY.month) - (span.first.year * 12 + span.first.month) == months
    assert span.end is None


def test_a_venue_whose_older_months_are_stored_begins_with_the_oldest(tmp_path: Path) -> None:
    chosen = settings(tmp_path, source="kraken")
    stored = LakeTable(lake_folder(tmp_path, chosen) / "ohlcv", CANDLE_SCHEMA)
    stored.write(BTC, date(2019, 5, 1), pl.DataFrame(schema=CANDLE_SCHEMA))
    assert dataset_span(chosen, tmp_path, TODAY).first == date(2019, 5, 1)


def test_the_setting_since_has_the_last_word(tmp_path: Path) -> None:
    chosen = settings(tmp_path, source="kraken", since="2018-02-03")
    assert of(chosen, tmp_path, "ohlcv")[0] == f"2018-02-01|{BTC.key}"


def test_the_running_month_and_day_of_a_live_market_are_partitions(tmp_path: Path) -> None:
    chosen = settings(tmp_path, source="kraken")
    now = datetime.now(UTC)
    assert of(chosen, tmp_path, "ohlcv")[-1].startswith(f"{now:%Y-%m}")
    assert of(chosen, tmp_path, "news_articles")[-1] == f"{now:%Y-%m-%d}"


@pytest.mark.parametrize(("started", "first"), [("2020-02-20", date(2020, 2, 6)), ("", date(2024, 6, 1))])
def test_a_sandbox_begins_with_the_history_that_it_remembers(
    tmp_path: Path, started: str, first: date
) -> None:
    replay = {"MARKETLOOM__SANDBOX__CANDLES": "candles"} if started else {}
    chosen = load_settings(
        {
            "MARKETLOOM_HOME": str(tmp_path),
            "MARKETLOOM__MARKET__SOURCE": "sandbox",
            "MARKETLOOM__SANDBOX__START": started,
            **replay,
        }
    )
    assert dataset_span(chosen, tmp_path, TODAY).first == first


def test_the_shipped_settings_explain_where_months_begin() -> None:
    text = (PROJECT / "marketloom.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["market"]["since"] == ""
